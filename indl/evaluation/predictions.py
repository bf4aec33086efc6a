"""Rates and latents of trials that a model has not seen, and the file that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from indl.data.files.storage import write_array, write_attribute, writing
from indl.data.prepare.chopping import merge
from indl.data.values.channel_attrs import texts_of
from indl.data.values.chop_plan import ChopPlan
from indl.data.values.recording import Split
from indl.data.values.trials import PER_TRIAL, Trials, time_mask
from indl.dists.observations import PoissonObservation
from indl.files.marks import MARK
from indl.model.inputs.of_recording import inputs_of
from indl.model.latent_model import LatentModel
from indl.model.pi_vae.model import PiVAE
from indl.text import shown

#: What a file of predictions is written for, as its mark says.
PREDICTIONS = "predictions"
_POISSON = PoissonObservation.__name__
_KEPT = ("inds", "start_s", "label")


def predict(
    model: LatentModel,
    trials: Trials,
    heldin: Sequence[str] | None = None,
    n_times: int | None = None,
    samples: int = 0,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Rates and latents of trials, in their order.

    Args:
        model: a trained model.
        trials: what it reads: counts (or a signal), external input and labels where it needs them.
        heldin: ids, as texts, of the channels that the encoder sees, in its order. None: the first of the trials.
        n_times: bins that the encoder sees of trials that hold the model's forward steps too. None: all bins.
        samples: posterior samples whose rates and factors are averaged; 0: posterior means.
        seed: seed of the samples.

    Returns:
        ``rates`` (trials, time, channels) of all channels that the model reconstructs, in expected counts a bin (or
        the signal's unit), forward steps after the bins of the trials; ``factors`` (trials, time, factors); mean and
        standard deviation of the posterior of each latent, ``f_mean`` and ``f_sd`` (trials, F), ``z_mean`` and ``z_sd``
        (trials, time, Z), or (trials, Z) of one z for all bins, as far as the model has them. NaN after the end of a
        shorter trial. Of windows that :func:`~indl.data.chop` made, all with a time axis are merged: (trials before
        they were cut, time, ...), NaN where there is no window; ``window_trial`` and ``window_bin`` say where each
        window begins, to which ``f_mean`` belongs.

    Raises:
        ValueError: the trials are a signal and the model reads counts, or they have not the channels that the model
            reads, or not its external input or labels.
    """
    if not isinstance(trials, Trials):
        raise TypeError(
            f"Predictions are of Trials. Given: {type(trials).__name__}. Pass Trials(counts, bin_width_s), or call "
            "model.rates on arrays and parts of recordings."
        )
    of_rows = isinstance(model, PiVAE)
    counts = model.decoder_observation_model == "poisson" if of_rows else model.observation == _POISSON
    if counts and not trials.are_counts:
        raise ValueError(
            f"The model reads spike counts. Given: {trials!r}, which is said to be a signal. Give counts, or say that "
            "these are some (are_counts=True, --counts)."
        )
    encod = _encoded(model, trials, heldin)
    forward = (model.params or {}).get("forward_steps", 0)
    if n_times is not None and encod.shape[1] == n_times + forward:
        encod = encod[:, :n_times]
    found = _of_rows(model, encod) if of_rows else _of_trials(model, encod, trials, samples, seed)
    ended = ~time_mask(encod)
    ended = np.pad(ended, ((0, 0), (0, forward)), mode="edge") if forward else ended
    for values in found.values():
        if values.ndim == 3:
            values[ended[:, : values.shape[1]]] = np.nan
    plan = ChopPlan.of(trials.attrs)
    if plan is None:
        return found
    windows = plan.known(trials.inds)
    merged = {
        name: merge(values[:, : plan.window_bins], trials) if values.ndim == 3 else values
        for name, values in found.items()
    }
    return {**merged, "window_trial": np.take(plan.trial, windows), "window_bin": np.take(plan.start, windows)}


def save_predictions(
    path: Path | str,
    found: dict[str, np.ndarray],
    trials: Trials,
    channel_ids: Sequence[str] | None = None,
    **about: Any,
) -> None:
    """Writes what :func:`predict` gave to an HDF5 file: a dataset for each, in the order of the trials.

    Beside them `inds`, `start_s` and `label` of the trials (not of windows, which are merged), and attributes. The
    file appears whole or not at all, and replaces none but one of predictions.

    Args:
        path: the file.
        found: what :func:`predict` gave.
        trials: what it was given.
        channel_ids: ids of the channels of the rates, as texts, to write beside them.
        **about: further attributes, numbers or texts.

    Raises:
        OutputError: another file is there.
        OSError: the disk is full, or otherwise refuses.
    """
    with writing(path, PREDICTIONS) as file:
        for name, values in found.items():
            write_array(file, name, values)
        for name in _KEPT if ChopPlan.of(trials.attrs) is None else ():
            if getattr(trials, name) is not None:
                write_array(file, name, getattr(trials, name))
        if channel_ids is not None:
            write_array(file, "channel_ids", np.array(channel_ids))
        unit = "expected counts a bin" if trials.are_counts else "that of the signal"
        attributes = {"bin_width_s": trials.bin_width_s, "source": trials.source, "unit_of_rates": unit}
        for name, value in {**attributes, **about, MARK: PREDICTIONS}.items():
            write_attribute(file, name, value)


def _encoded(model: LatentModel, trials: Trials, heldin: Sequence[str] | None) -> np.ndarray:
    """What the encoder sees, (trials, time, held-in channels)."""
    n = model.params["x_dim"] if isinstance(model, PiVAE) else model.x.shape[-1]
    if heldin is None:
        if trials.n_channels < n:
            raise ValueError(
                f"The model reads more channels than there are. Given: {trials.n_channels} for {n}. Give the channels "
                "that it was trained on, in their order."
            )
        return np.asarray(trials.counts[..., :n])
    ids = texts_of(trials.channel_ids)
    twice = [item for item in heldin if ids.count(item) > 1]
    if twice:
        raise ValueError(
            f"Channels are found by their ids, which must differ. Given: {ids.count(twice[0])} channels called "
            f"{shown(twice[0])}. Give each an id of its own."
        )
    place = {text: i for i, text in enumerate(ids)}
    absent = [item for item in heldin if item not in place]
    if absent:
        raise ValueError(
            f"Channels that the model reads are not in the data. Given: {trials.n_channels} channels, without "
            f"{len(absent)} of {len(heldin)}, such as {shown(absent[0])}. Give the recording's own channels with "
            "their ids; a model file, in place of the folder of its run, reads the first channels whatever their ids."
        )
    return np.asarray(trials.counts[..., [place[item] for item in heldin]])


def _of_trials(model: Any, encod: np.ndarray, trials: Trials, samples: int, seed: int) -> dict[str, np.ndarray]:
    forward = model.params["forward_steps"]
    recon = np.pad(encod, ((0, 0), (0, forward), (0, 0)), constant_values=np.nan) if forward else encod
    beside = {name: getattr(trials, name) for name in PER_TRIAL if name not in ("truth", "latents", "behavior")}
    if beside["ext_input"] is not None:
        beside["ext_input"] = beside["ext_input"][:, : recon.shape[1]]
    x = inputs_of(model, Split(encod=encod, recon=recon, **beside))
    names = tuple(name for name in ("rates", "factors") if name in model.passes.outputs)
    found = {name: np.array(values) for name, values in model.outputs_of(x, names, samples, seed).items()}
    for name, q in model.encode(x).items():
        found |= {f"{name[-1]}_mean": np.array(q.loc), f"{name[-1]}_sd": np.array(q.scale)}
    return found


def _of_rows(model: PiVAE, encod: np.ndarray) -> dict[str, np.ndarray]:
    kept = np.isfinite(encod).all(-1)
    q = model.posterior(encod[kept])
    rows = {"rates": model.decode(q.loc), "z_mean": q.loc, "z_sd": np.exp(0.5 * q.log_variance)}
    found = {}
    for name, values in rows.items():
        found[name] = np.full((*kept.shape, values.shape[-1]), np.nan, np.float32)
        found[name][kept] = values
    return found
