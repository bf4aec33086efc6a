"""The densities of a model's own samples under prior and posterior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from keras import ops

from indl.dists.gaussian import Gaussian, as_gaussian
from indl.model.parts import part_of
from indl.sampling.modes import GivenLatents, PosteriorSamples, sampling


def latent_densities(model: Any, outputs: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """``log_p_f``, ``log_q_f``, ``log_p_z`` and ``log_q_z`` in nats, (batch, S), of the latents that the model has.

    Those of z are sums over the bins of each trial.

    Args:
        model: a sequential model.
        outputs: what it gives, with a samples axis.
        inputs: what it was given, with its labels where the prior depends on them.
    """
    found: dict[str, Any] = {}
    for latent in model.latent_names:
        sample, prior = outputs[latent], part_of(model, f"{latent}_prior")
        q, _ = as_gaussian(outputs[f"q_{latent}"]).for_divergence(False)
        log_q = _with_samples(q, sample).log_prob(sample)
        log_p = prior.log_prob(sample, inputs.get(prior.reads) if prior.labelled else None)
        if len(log_q.shape) == 3:
            log_p, log_q = (ops.sum(_recorded(model, inputs, part), axis=-1) for part in (log_p, log_q))
        found |= {f"log_p_{latent}": log_p, f"log_q_{latent}": log_q}
    return found


def _with_samples(q: Gaussian, sample: Any) -> Gaussian:
    """The posterior with the samples axis of what was drawn from it."""
    if len(q.loc.shape) == len(sample.shape):
        return Gaussian(q.loc, q.scale)
    return Gaussian(ops.expand_dims(q.loc, 1), ops.expand_dims(q.scale, 1))


def _recorded(model: Any, inputs: Mapping[str, Any], density: Any) -> Any:
    """(batch, S, time) with zeros behind the last recorded bin of a trial, where nothing is paid for."""
    if not model.context.missing or density.shape[-1] == 1:
        return density
    here = ops.cast(ops.any(~ops.isnan(inputs["x"]), axis=-1), "int32")
    later = ops.flip(ops.cumsum(ops.flip(here, axis=1), axis=1), axis=1)
    return ops.where(later[:, None] > 0, density, 0.0)


def of_many_samples(model: Any, x: Mapping[str, Any], outputs: Mapping[str, Any], training: bool) -> dict[str, Any]:
    """What :class:`~indl.objectives.many_samples.ManySamples` makes its terms of.

    Args:
        model: a sequential model with that objective.
        x: its inputs, complete.
        outputs: what it has given for them; where other runs are needed, they take its place.
        training: whether `outputs` are drawn; else they are drawn here, with one seed, so that scores are repeatable.
    """
    if not training:
        with sampling(PosteriorSamples(ops.shape(x["x"])[0], 0, layers=model.passes.samplers)):
            outputs = model(x, training=False)
    elif model.objective.holds_samples:
        outputs, held = _through_and_held(model, x)
        outputs["held"] = {**held, "densities": latent_densities(model, held, x), "training": training}
    return {**outputs, "densities": latent_densities(model, outputs, x), "training": training}


def _through_and_held(model: Any, x: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Outputs of two runs with the same dropout: at samples that let gradients through, and at the same ones held."""
    states = model.random_states
    before = _read(states)
    through = dict(model(x, training=True))
    after = _read(states)
    latents = {model._graph_outputs[name].name: ops.stop_gradient(through[name]) for name in model.latent_names}
    # Masks are drawn again from where the first run began.
    _assign(states, before)
    with sampling(GivenLatents(latents)):
        held = model(x, training=True)
    _assign(states, after)
    return through, held


def _read(variables: list[Any]) -> list[Any]:
    # A variable's value is the variable itself, which moves on.
    return [tf.identity(ops.convert_to_tensor(variable)) for variable in variables]


def _assign(variables: list[Any], values: list[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
