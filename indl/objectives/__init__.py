"""Objectives: what training minimises, as values without a model inside."""

from indl.objectives.base import Context, Objective
from indl.objectives.elbo import Elbo
from indl.objectives.fhvae import FHVAEBound
from indl.objectives.pi_vae_bound import PiVAEBound

__all__ = ["Context", "Elbo", "FHVAEBound", "Objective", "PiVAEBound"]
