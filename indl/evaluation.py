"""Everything a trained model is judged by, in one dict of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from indl import metrics
from indl.data.recording import Recording
from indl.data.smoothing import gaussian_smooth
from indl.dists.observation import PoissonObservation
from indl.model.sequential_vae import SequentialVAE
from indl.training.hidden import hidden_nll


def evaluate(
    model: SequentialVAE, recording: Recording, samples: int = 50, seed: int = 0, lag_s: float = 0.0
) -> dict[str, float]:
    """Scores of a model on the validation trials of a recording.

    Args:
        model: a trained model.
        recording: read-outs and decoders are fitted on its training trials.
        samples: posterior samples whose rates are averaged; 0: posterior means.
        seed: seed of the samples and of the bootstrap.
        lag_s: seconds by which behaviour is later than the rates that it is decoded from.

    Returns:
        ``nll``, ``kl_f``, ``kl_z``, ``neg_elbo``, ``hidden_nll`` in nats per trial; and, where the recording has what
        they need, ``rate_r2_flat``, ``rate_r2_per_channel``, ``latent_r2`` (mean) and ``latent_r2_1`` ...,
        ``co_bps`` and ``co_bps_se`` (bits/spike of the held-out channels), ``behavior_r2`` and ``behavior_r2_1`` ....
    """
    train, valid = recording.train, recording.valid
    terms = model.evaluate(valid.encod, valid.recon, verbose=0, return_dict=True, batch_size=256)
    out = {name: float(terms[name]) for name in ("nll", "kl_f", "kl_z", "neg_elbo")}
    out["hidden_nll"] = hidden_nll(model, valid.encod)
    rates = model.rates(valid.encod, samples, seed)
    if valid.truth is not None:
        out["rate_r2_flat"] = metrics.rate_r2_flat(rates, valid.truth)
        out["rate_r2_per_channel"] = metrics.rate_r2_per_channel(rates, valid.truth)
    if valid.latents is not None:
        bins = valid.latents.shape[1]
        fitted = model.factors(train.encod, samples, seed)[:, :bins]
        out |= _by_dimension(
            "latent_r2",
            metrics.latent_r2(
                fitted, train.latents, model.factors(valid.encod, samples, seed)[:, :bins], valid.latents
            ),
        )
    if recording.n_heldout and model.observation == PoissonObservation.__name__:
        held_out = (rates, valid.recon, recording.n_heldin, recording.n_times)
        out["co_bps"] = metrics.cosmoothing(*held_out)
        out["co_bps_se"] = metrics.cosmoothing_se(*held_out, seed=seed)
    if valid.behavior is not None:
        out |= _decode(recording, model.rates(train.encod, samples, seed), rates, lag_s)
    return {name: float(value) for name, value in out.items()}


def evaluate_baseline(recording: Recording, seed: int = 0, lag_s: float = 0.0) -> dict[str, float]:
    """The scores of :func:`evaluate` that smoothed spikes reach, under the same names.

    Smoothing and penalties are chosen on the training trials. Behaviour is decoded by ridge regression from the
    counts of all channels, smoothed with 100 ms; held-out channels are predicted by a ridge Poisson regression.
    """
    found = metrics.smoothing_baseline(recording, seed=seed)
    out: dict[str, Any] = {
        "rate_r2_flat": found.rate_r2_flat,
        "rate_r2_per_channel": found.rate_r2_per_channel,
        "co_bps": found.cosmoothing,
        "co_bps_se": found.cosmoothing_se,
    }
    if found.latent_r2 is not None:
        out |= _by_dimension("latent_r2", found.latent_r2)
    if recording.valid.behavior is not None:
        sd_bins = 0.1 / recording.bin_width_s
        out |= _decode(
            recording, *(gaussian_smooth(part.recon, sd_bins) for part in (recording.train, recording.valid)), lag_s
        )
    return {name: float(value) for name, value in out.items() if value is not None}


def _decode(recording: Recording, fitted: np.ndarray, scored: np.ndarray, lag_s: float) -> dict[str, float]:
    """Ridge decoding of behaviour, which may end before the forward steps, from features of both parts."""
    train, valid = recording.train.behavior, recording.valid.behavior
    lag = round(lag_s / recording.bin_width_s)
    decoded = metrics.ridge_decoding(
        fitted[:, : train.shape[1]], train, scored[:, : valid.shape[1]], valid, lag_bins=lag
    )
    return _by_dimension("behavior_r2", decoded.r2_per_dim)


def _by_dimension(name: str, values: Any) -> dict[str, float]:
    """The mean over dimensions, and every dimension, counted from 1."""
    values = np.atleast_1d(values)
    return {name: float(values.mean()), **{f"{name}_{i}": float(value) for i, value in enumerate(values, 1)}}
