"""Numbers that say how good a model is: spikes, rates, latents, decoding, and baselines.

Nothing here imports TensorFlow or Keras: every function takes numpy arrays.
"""

from indl.metrics.baselines import SmoothingBaseline, smoothing_baseline
from indl.metrics.decoding import Decoding, ridge_decoding
from indl.metrics.latents import latent_r2
from indl.metrics.rates import psth_r2, rate_r2_flat, rate_r2_per_channel
from indl.metrics.spikes import bits_per_spike, cosmoothing, cosmoothing_se, forward_prediction, poisson_nll

__all__ = [
    "Decoding",
    "SmoothingBaseline",
    "bits_per_spike",
    "cosmoothing",
    "cosmoothing_se",
    "forward_prediction",
    "latent_r2",
    "poisson_nll",
    "psth_r2",
    "rate_r2_flat",
    "rate_r2_per_channel",
    "ridge_decoding",
    "smoothing_baseline",
]
