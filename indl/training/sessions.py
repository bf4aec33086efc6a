"""Models of several sessions: a start from what the sessions have in common, and one session more."""

from __future__ import annotations

from typing import Any

import numpy as np

from indl.data.prepare.joining import JoinedRecording, pad_session
from indl.data.values.recording import Recording
from indl.model.parts import part_of
from indl.model.sequence_model import SequentialVAE
from indl.training.fit import make_model, params_for
from indl.training.pcr import Alignment, SessionWeights


def init_sessions(model: SequentialVAE, alignment: Alignment, freeze: bool = True) -> None:
    """Starts the read-ins and read-outs of all sessions at their principal components regression.

    Args:
        model: a model whose `input_factors` and `n_factors` are the number of components. A compiled one gets a new
            optimizer of the same settings.
        alignment: what :func:`~indl.training.pcr.principal_components_regression` found for the sessions, in their
            order, from the held-in channels; how the read-out is made of it (pseudo-inverse or transpose, log mean or
            mean counts as bias) is chosen there. Held-out channels keep their read-out.
        freeze: whether the read-ins stay as they are, as in LFADS; the read-outs train in any case.

    Raises:
        ValueError: the model has another number of sessions, factors or channels.
    """
    n = model.params["n_sessions"]
    if len(alignment.sessions) != n:
        raise ValueError(
            f"The alignment must hold every session of the model. Given: {len(alignment.sessions)} for {n}. Give the "
            "condition averages of all sessions, in the order in which they were joined."
        )
    for number, weights in enumerate(alignment.sessions):
        set_session(model, number, weights)
    part_of(model, "read_in").trainable = not freeze
    model.params["read_in_trainable"] = not freeze
    if model.optimizer is not None:
        # An optimizer knows the variables that it was built for.
        model.compile(optimizer=type(model.optimizer).from_config(model.optimizer.get_config()))


def set_session(model: SequentialVAE, number: int, weights: SessionWeights) -> None:
    """Sets the read-in and the read-out of one session, the latter of its held-in channels.

    The weights make the first block of the read-out, the log rates or means; others stay as they are.
    """
    n, k = weights.readin_weight.shape
    width, p = model.x.shape[-1], model.params
    read_in, readout = part_of(model, "read_in"), part_of(model, "readout")
    if k != p["input_factors"] or k != readout.kernel.shape[-2] or n > width:
        raise ValueError(
            f"The weights do not fit the model. Given: {n} channels and {k} components, for {width} channels, "
            f"input_factors={p['input_factors']} and n_factors={p['n_factors']}. Build the model with both equal to "
            "the number of components, and make the alignment of held-in channels."
        )
    _assign(read_in.kernel, number, np.pad(weights.readin_weight, ((0, width - n), (0, 0))))
    _assign(read_in.bias, number, weights.readin_bias)
    _assign(readout.kernel, number, np.pad(weights.readout_weight, ((0, 0), (0, width - n))))
    _assign(readout.bias, number, weights.readout_bias)


def add_session(
    model: SequentialVAE, recording: Recording, name: str = "session", train_core: bool = False
) -> tuple[SequentialVAE, JoinedRecording]:
    """A model of one session more, in which the others give what they gave.

    Training it on the new session alone, ``train(new.params, added, model=new)``, leaves the read-ins and read-outs of
    the others as they are, and with a frozen core their outputs too, to the last bit. Where the new session has more
    channels than the model, the model is widened: the others' inputs need more padding then, and their outputs may
    differ by rounding.

    Args:
        model: a model of :func:`~indl.model.assemble.build_sequential_vae` with ``input_factors``.
        recording: trials of the new session, with the bins of the others.
        name: name of the new session.
        train_core: train what all sessions share as well, which changes the others.

    Returns:
        The new model, compiled, with the read-out of its last session at the mean rates, and the recording as that
        session.

    Raises:
        ValueError: the model has no read-in, or a prior of sequences; the recording has other forward steps or
            external inputs, or classes of labels that the model does not know.
    """
    p = model.params or {}
    if not p.get("input_factors"):
        raise ValueError(
            "Only a model with a read-in takes another session. Given: "
            f"input_factors={p.get('input_factors')!r}. Train it with input_factors > 0."
        )
    if p["f_latent_size"] and p["f_prior_type"] == "lookup":
        raise ValueError(
            "A model whose prior has a row for each sequence does not take another session. Given: "
            "f_prior_type='lookup'. Train one model on all sessions, joined."
        )
    external = 0 if recording.train.ext_input is None else recording.train.ext_input.shape[-1]
    if (recording.forward_steps, external) != (p["forward_steps"], p["ext_input_dim"]):
        raise ValueError(
            "The new session must have what the model predicts and reads. Given: "
            f"{recording.forward_steps} forward steps and {external} external inputs, for {p['forward_steps']} and "
            f"{p['ext_input_dim']}. Split the trials alike."
        )
    classes = params_for(p, recording)["u_dim"]
    if classes > p["u_dim"]:
        raise ValueError(
            f"The new session has classes that the model does not know. Given: {classes} for u_dim={p['u_dim']}. Build "
            "the first model with u_dim of all sessions."
        )
    n, heldin = p["n_sessions"], model.x.shape[-1]
    width, heldout = max(heldin, recording.n_heldin), max(p["out_dim"] - heldin, recording.n_heldout)
    added = pad_session(recording, n, width, heldout, name)
    changes: dict[str, Any] = {
        "read_in_trainable": True,
        "core_trainable": train_core,
        "init_rate_bias": None,
        "batch_parts": 0,
    }
    if added.n_channels > p["out_dim"]:
        changes["missing_data"] = True
    new = make_model({**p, **changes, "n_sessions": n + 1}, added)
    theirs = {layer.name: layer for layer in model.layers}
    held_in, held_out = np.arange(heldin), width + np.arange(p["out_dim"] - heldin)
    for layer in new.layers:
        old = theirs.get(layer.name)
        if layer.name == "read_in":
            _assign(layer.kernel, slice(n), np.asarray(old.kernel))
            _assign(layer.bias, slice(n), np.asarray(old.bias))
        elif layer.name == "readout":
            channels = np.concatenate([held_in, held_out])
            for mine, its in zip(layer.weights, old.weights, strict=True):
                blocks = np.arange(mine.shape[-1] // added.n_channels)[:, None] * added.n_channels
                values = mine.numpy().copy()
                values[:n, ..., (blocks + channels).ravel()] = its
                mine.assign(values)
        elif layer.weights:
            layer.set_weights(old.get_weights())
    return new, added


def _assign(variable: Any, which: Any, value: np.ndarray) -> None:
    """Sets the first entries along each axis of one session, or of several, or of a variable without sessions."""
    values = variable.numpy().copy()
    own = values[which] if values.ndim > value.ndim or isinstance(which, slice) else values
    own[(..., *map(slice, value.shape[-2:]))] = value
    variable.assign(values)
