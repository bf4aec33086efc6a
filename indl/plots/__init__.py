"""Figures of recordings and models.

Every function takes numpy arrays and returns a `matplotlib.figure.Figure`; with `path` it also writes the file. Neither
pyplot nor matplotlib's settings are touched, so that figures can be drawn in a loop, a thread or a test. Values that
are not finite are gaps: they are left out of averages and drawn as nothing. To see a returned figure in a notebook,
run `%matplotlib inline` once.
"""

from indl.plots.behavior import decoding
from indl.plots.conditions import psths
from indl.plots.counts import calibration
from indl.plots.exchange import latent_swaps, latent_traversal
from indl.plots.label_latents import plot_recovered_latents
from indl.plots.latents import autocorrelation, factors_3d
from indl.plots.overview import data_overview
from indl.plots.rates import raster_with_rates, rates_against_truth
from indl.plots.training import kl_per_dimension, training_curves

__all__ = [
    "autocorrelation",
    "calibration",
    "data_overview",
    "decoding",
    "factors_3d",
    "kl_per_dimension",
    "latent_swaps",
    "latent_traversal",
    "plot_recovered_latents",
    "psths",
    "raster_with_rates",
    "rates_against_truth",
    "training_curves",
]
