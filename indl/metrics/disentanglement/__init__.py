"""Whether codes are disentangled: scores against known factors, probes of static and dynamic latents, swap tests."""

from indl.metrics.disentanglement.beta_vae_score import beta_vae_score, beta_vae_score_by_resampling, pair_differences
from indl.metrics.disentanglement.code_dependence import code_dependence
from indl.metrics.disentanglement.dci import dci, importance_scores
from indl.metrics.disentanglement.dynamic_summary import dynamic_summary
from indl.metrics.disentanglement.explicitness import explicitness
from indl.metrics.disentanglement.factor_vae_score import factor_vae_score, factor_vae_score_by_resampling
from indl.metrics.disentanglement.information import discretized
from indl.metrics.disentanglement.irs import irs
from indl.metrics.disentanglement.judge import TrialJudge
from indl.metrics.disentanglement.mig import mig
from indl.metrics.disentanglement.modularity import modularity
from indl.metrics.disentanglement.prior_swaps import generation_scores, prior_swap_scores
from indl.metrics.disentanglement.probes import LatentTrials, static_dynamic_probes
from indl.metrics.disentanglement.sap import sap_r2, sap_svc
from indl.metrics.disentanglement.swaps import counterfactual_rate_r2, swap_partners, swap_rate_r2, swap_test
from indl.metrics.disentanglement.table import disentanglement_scores

__all__ = [
    "LatentTrials",
    "TrialJudge",
    "beta_vae_score",
    "beta_vae_score_by_resampling",
    "code_dependence",
    "counterfactual_rate_r2",
    "dci",
    "discretized",
    "disentanglement_scores",
    "dynamic_summary",
    "explicitness",
    "factor_vae_score",
    "factor_vae_score_by_resampling",
    "generation_scores",
    "importance_scores",
    "irs",
    "mig",
    "modularity",
    "pair_differences",
    "prior_swap_scores",
    "sap_r2",
    "sap_svc",
    "static_dynamic_probes",
    "swap_partners",
    "swap_rate_r2",
    "swap_test",
]
