"""Transitions from one bin of a latent to the next as functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from indl.layers.scale_link import ScaleLink
from indl.rnn.scan import Cell

#: The weights of a transition in order: a kernel and a bias of each of these affine maps.
MAPS = ("gate_0", "gate_1", "proposal_0", "proposal_1", "linear", "scale")


class Transition(NamedTuple):
    """p(z_t | z_{t-1}) and what it is made of, each (..., Z).

    Attributes:
        loc: means.
        scale: standard deviations.
        gate: how much of the proposal there is in the mean, between 0 and 1.
        proposal: the nonlinear proposal.
    """

    loc: Any
    scale: Any
    gate: Any
    proposal: Any


def gated_transition(z: Any, weights: tuple, link: ScaleLink) -> Transition:
    """The transition of Krishnan et al. 2017 (arXiv:1609.09869, section 5)::

        g = sigmoid(W_1 relu(W_0 z));  h = V_1 relu(V_0 z)
        loc = (1 - g) (A z) + g h;     scale = link(C relu(h))

    with a bias in every map. The scale depends on the proposal alone, not on the gated mean.

    Args:
        z: the latent of the bin before, (..., Z).
        weights: kernel and bias of each of :data:`MAPS`.
        link: from the raw scale to the standard deviation.
    """
    maps = dict(zip(MAPS, zip(weights[::2], weights[1::2], strict=True), strict=True))

    def affine(name: str, x: Any) -> Any:
        kernel, bias = maps[name]
        return tf.matmul(x, kernel) + bias

    gate = tf.sigmoid(affine("gate_1", tf.nn.relu(affine("gate_0", z))))
    proposal = affine("proposal_1", tf.nn.relu(affine("proposal_0", z)))
    loc = (1 - gate) * affine("linear", z) + gate * proposal
    return Transition(loc, link.scale(affine("scale", tf.nn.relu(proposal))), gate, proposal)


class Step(NamedTuple):
    """p(z_t | z_{t-1}): means and standard deviations, each (..., Z)."""

    loc: Any
    scale: Any


def affine_transition(z: Any, weights: tuple, link: ScaleLink) -> Step:
    """``loc = A z + b [+ W_1 tanh(W_0 z + c)]``, the transition of a state-space model, with one scale everywhere.

    Args:
        z: the latent of the bin before, (..., Z).
        weights: A and b; W_0, c and W_1, where there is a network; the raw scale (Z,).
        link: from the raw scale to the standard deviation.
    """
    kernel, bias, *network, raw = weights
    loc = tf.matmul(z, kernel) + bias
    if network:
        hidden, hidden_bias, out = network
        loc = loc + tf.matmul(tf.tanh(tf.matmul(z, hidden) + hidden_bias), out)
    return Step(loc, link.scale(raw) + tf.zeros_like(loc))


#: The transitions that a posterior may multiply with, by the value of the parameter `z_prior_process`.
TRANSITIONS: dict[str, Callable[..., Any]] = {
    "gated": gated_transition,
    "linear": affine_transition,
    "mlp": affine_transition,
}


class FreeTransitionStep(Cell):
    """Feeds each draw back: state (z,), inputs (noise, whether the bin is the first), weights of the transition.

    The "noise" of the first bin is the bin itself. It has no backward step of its own.

    Args:
        link: of the transition's scale.
        transition: one of :data:`TRANSITIONS`.
    """

    def __init__(self, link: ScaleLink, transition: Callable[..., Any] = gated_transition):
        self.link = link
        self.transition = transition

    def forward(self, state: tuple, x: tuple, weights: tuple) -> tuple[tuple, tuple]:
        noise, first = x
        p = self.transition(state[0], weights, self.link)
        return (tf.where(first, noise, p.loc + p.scale * noise),), ()
