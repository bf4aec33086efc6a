"""Learnable priors: Keras layers that own their variables; see :class:`~indl.dists.priors.base.Prior`."""

from indl.dists.priors.affine import AffinePrior
from indl.dists.priors.ar1 import AR1Prior
from indl.dists.priors.base import Prior, SequencePrior
from indl.dists.priors.gated import GatedPrior
from indl.dists.priors.gaussian import GaussianPrior
from indl.dists.priors.label import LabelPrior
from indl.dists.priors.recurrent import RecurrentPrior
from indl.dists.priors.student_t import StudentTPrior
from indl.dists.priors.table import TablePrior

__all__ = [
    "AR1Prior",
    "AffinePrior",
    "GatedPrior",
    "GaussianPrior",
    "LabelPrior",
    "Prior",
    "RecurrentPrior",
    "SequencePrior",
    "StudentTPrior",
    "TablePrior",
]
