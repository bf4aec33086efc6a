"""The latents of a batch in the form in which the trials are compared with each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops

from indl.dists.gaussian import Gaussian, as_gaussian
from indl.objectives.total_correlation import log_densities


def across_trials(outputs: Mapping[str, Any], latent: str) -> tuple[Gaussian, Any]:
    """The posterior and its sample with the trials next to the dimensions.

    Args:
        outputs: the model's outputs.
        latent: ``"f"`` or ``"z"``.

    Returns:
        For f the posterior (B, F) and the sample ([S,] B, F); for z both ([S,] time, B, Z).

    Raises:
        ValueError: the posterior is its own path, or has a full covariance.
    """
    q = as_gaussian(outputs[f"q_{latent}"])
    if q.has_path or q.full:
        kind = "is drawn bin by bin along its own path" if q.has_path else "has a full covariance"
        raise ValueError(
            f"Trials are compared by diagonal posteriors that depend on the trial alone. Given: q_{latent}, which "
            f"{kind}. Use another objective, or a mean-field posterior with diagonal covariance."
        )
    loc, scale, sample = (ops.moveaxis(part, 0, -2) for part in (q.loc, q.scale, outputs[latent]))
    return Gaussian(loc, scale), sample


def densities(outputs: Mapping[str, Any], latent: str) -> Any:
    """Log density of each trial's sample under each trial's posterior, ([S,] B, B, F) or ([S,] time, B, B, Z)."""
    q, sample = across_trials(outputs, latent)
    return log_densities(sample, q.loc, q.scale)


def trial_sum(values: Any, latent: str) -> Any:
    """Values ([S,] B) of f, or ([S,] time, B) of z, of every trial (B,): the sum over bins, the mean over samples."""
    if latent == "z":
        values = ops.sum(values, axis=-2)
    return ops.mean(values, axis=0) if len(values.shape) == 2 else values
