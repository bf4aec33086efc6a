"""Numbers that say how good a model is: spikes, rates, latents, decoding, and baselines.

Nothing here imports TensorFlow or Keras: every function takes numpy arrays.
"""

from indl.metrics.autocorrelation import mean_autocorrelation
from indl.metrics.baselines import Baselines, fit_baselines
from indl.metrics.bootstrap import bootstrap_se
from indl.metrics.cosmoothing_baselines import CosmoothingBaseline, cosmoothing_baseline
from indl.metrics.decoding import Decoding, VelocityDecoding, ridge_decoding, velocity_r2
from indl.metrics.disentanglement import (
    LatentTrials,
    TrialJudge,
    beta_vae_score,
    beta_vae_score_by_resampling,
    code_dependence,
    counterfactual_rate_r2,
    dci,
    discretized,
    disentanglement_scores,
    dynamic_summary,
    explicitness,
    factor_vae_score,
    factor_vae_score_by_resampling,
    generation_scores,
    importance_scores,
    irs,
    mig,
    modularity,
    pair_differences,
    prior_swap_scores,
    sap_r2,
    sap_svc,
    static_dynamic_probes,
    swap_partners,
    swap_rate_r2,
    swap_test,
)
from indl.metrics.identifiability import (
    MeanCorrelation,
    RecoveryR2,
    aligned,
    circular_distance,
    identifiability_findings,
    label_error,
    label_error_rate,
    mcc,
    recovery_r2,
)
from indl.metrics.latent_r2 import latent_r2, latent_r2_se
from indl.metrics.psth import psth, psth_ceiling, psth_r2
from indl.metrics.rate_scores import rate_r2_flat, rate_r2_per_channel
from indl.metrics.smooth_observed import channel_means, smooth_observed
from indl.metrics.smoothing_baseline import SmoothingBaseline, smoothing_baseline
from indl.metrics.speed import speed_interval_correlation
from indl.metrics.spike_scores import (
    bits_per_spike,
    cosmoothing,
    cosmoothing_se,
    forward_prediction,
    forward_prediction_se,
    poisson_nll,
)
from indl.metrics.static_dynamic_baseline import StaticDynamicCodes, pca_codes
from indl.metrics.targets import TargetDecoding, target_decoding

__all__ = [
    "Baselines",
    "CosmoothingBaseline",
    "Decoding",
    "LatentTrials",
    "MeanCorrelation",
    "RecoveryR2",
    "SmoothingBaseline",
    "StaticDynamicCodes",
    "TargetDecoding",
    "TrialJudge",
    "VelocityDecoding",
    "aligned",
    "beta_vae_score",
    "beta_vae_score_by_resampling",
    "bits_per_spike",
    "bootstrap_se",
    "channel_means",
    "circular_distance",
    "code_dependence",
    "cosmoothing",
    "cosmoothing_baseline",
    "cosmoothing_se",
    "counterfactual_rate_r2",
    "dci",
    "discretized",
    "disentanglement_scores",
    "dynamic_summary",
    "explicitness",
    "factor_vae_score",
    "factor_vae_score_by_resampling",
    "fit_baselines",
    "forward_prediction",
    "forward_prediction_se",
    "generation_scores",
    "identifiability_findings",
    "importance_scores",
    "irs",
    "label_error",
    "label_error_rate",
    "latent_r2",
    "latent_r2_se",
    "mcc",
    "mean_autocorrelation",
    "pca_codes",
    "mig",
    "modularity",
    "pair_differences",
    "poisson_nll",
    "prior_swap_scores",
    "psth",
    "psth_ceiling",
    "psth_r2",
    "rate_r2_flat",
    "rate_r2_per_channel",
    "recovery_r2",
    "ridge_decoding",
    "sap_r2",
    "sap_svc",
    "smooth_observed",
    "smoothing_baseline",
    "speed_interval_correlation",
    "static_dynamic_probes",
    "swap_partners",
    "swap_rate_r2",
    "swap_test",
    "target_decoding",
    "velocity_r2",
]
