"""Whether codes are disentangled: scores against known factors, probes of static and dynamic latents, swap tests."""

from indl.metrics.disentanglement.beta_vae_score import beta_vae_score, beta_vae_score_by_resampling, pair_differences
from indl.metrics.disentanglement.code_dependence import code_dependence
from indl.metrics.disentanglement.dci import dci, importance_scores
from indl.metrics.disentanglement.explicitness import explicitness
from indl.metrics.disentanglement.factor_vae_score import factor_vae_score, factor_vae_score_by_resampling
from indl.metrics.disentanglement.information import discretized
from indl.metrics.disentanglement.irs import irs
from indl.metrics.disentanglement.mig import mig
from indl.metrics.disentanglement.modularity import modularity
from indl.metrics.disentanglement.sap import sap_r2, sap_svc

__all__ = [
    "beta_vae_score",
    "beta_vae_score_by_resampling",
    "code_dependence",
    "dci",
    "discretized",
    "explicitness",
    "factor_vae_score",
    "factor_vae_score_by_resampling",
    "importance_scores",
    "irs",
    "mig",
    "modularity",
    "pair_differences",
    "sap_r2",
    "sap_svc",
]
