"""Inference network, generative model and loss for latents of any kind, one interface for all three."""

from indl.blackbox.base import GenerativeModel, InferenceNetwork
from indl.blackbox.diagnostics import gradient_snr, log_evidence
from indl.blackbox.latents import Autoregressive, Bernoulli, Categorical, Gaussian, Latent
from indl.blackbox.losses import ELBO, IWAE, NVIL, RWS, VIMCO, DReG, Loss, PWake, QSleep, QWake, ScoreELBO
from indl.blackbox.networks import Generator, Recognizer
from indl.blackbox.regularizers import BetaRegularizer, NormalRegularizer
from indl.blackbox.sequential import SequentialGenerator, SequentialInference
from indl.blackbox.updates import update

__all__ = [
    "ELBO",
    "IWAE",
    "NVIL",
    "RWS",
    "VIMCO",
    "Autoregressive",
    "Bernoulli",
    "BetaRegularizer",
    "Categorical",
    "DReG",
    "Gaussian",
    "GenerativeModel",
    "Generator",
    "InferenceNetwork",
    "Latent",
    "Loss",
    "NormalRegularizer",
    "PWake",
    "QSleep",
    "QWake",
    "Recognizer",
    "ScoreELBO",
    "SequentialGenerator",
    "SequentialInference",
    "gradient_snr",
    "log_evidence",
    "update",
]
