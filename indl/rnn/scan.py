"""The recurrent loop of the library: runs cells over time, several side by side, with their own gradient.

A cell computes one step. What does not depend on the state is projected before the loop, for all bins at once, and so
are the weight gradients after it: the loop holds the recurrent products alone. In training the backward pass reads what
the forward pass has kept, instead of a tape of every operation of every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf


class Cell:
    """One step of a recurrence as pure functions of tensors; sub-classes hold settings, never variables.

    All components of the state are outputs of the loop.
    """

    def forward(self, state: tuple, x: tuple, weights: tuple) -> tuple[tuple, tuple]:
        """One step.

        Args:
            state: components of the previous state, each (batch, size).
            x: inputs of the step, each (batch, size), already projected.
            weights: what every step shares.

        Returns:
            The new state, and whatever else the backward step wants to read.
        """
        raise NotImplementedError

    def backward(
        self, d_state: tuple, previous: tuple, state: tuple, kept: tuple, x: tuple, weights: tuple
    ) -> tuple[tuple, tuple, tuple]:
        """The same step backward.

        Args:
            d_state: gradients of the new state's components.
            previous, state: the state before and after the step.
            kept: what :meth:`forward` kept.
            x, weights: as in :meth:`forward`.

        Returns:
            Gradients of the previous state; of `x` (None where nothing wants one); and gradients of inner
            pre-activations that :meth:`weight_gradients` needs.
        """
        raise NotImplementedError

    def weight_gradients(
        self, previous: tuple, states: tuple, kept: tuple, x: tuple, d_x: tuple, taps: tuple
    ) -> Sequence[Any]:
        """Gradients of the weights from the stacks (time, batch, size) of all steps, as products over all of them."""
        raise NotImplementedError


class Lane(NamedTuple):
    """One recurrence in the loop.

    Attributes:
        cell: computes its step.
        x: inputs, each (time, batch, size).
        state: components of the initial state, each (batch, size).
        weights: what every step shares.
        backwards: run from the last bin to the first; outputs stay in their bins.
        mask: bool (time, batch, 1); where False, the state passes unchanged.
    """

    cell: Cell
    x: tuple
    state: tuple
    weights: tuple
    backwards: bool = False
    mask: Any = None


@tf.autograph.experimental.do_not_convert
def scan(lanes: Sequence[Lane], own_gradient: bool = True) -> list[tuple]:
    """Runs all lanes in one loop over time.

    Args:
        lanes: recurrences over the same number of bins.
        own_gradient: keep what the cells' own backward steps need. False, for inference: keep nothing;
            automatic differentiation of the loop works all the same.

    Returns:
        For each lane the states of all bins, each (time, batch, size).
    """
    lanes = list(lanes)
    if not own_gradient:
        return [states for states, _ in _run(lanes, keep=False)]

    @tf.custom_gradient
    def run(*tensors: Any) -> Any:
        inner = _pack(lanes, tensors)
        # Kept stacks are results of the first loop, so that the second one reads them without running it again.
        results = _run(inner, keep=True)
        states = [lane_states for lane_states, _ in results]

        def gradient(*d_states: Any) -> list[Any]:
            d_states = tf.nest.pack_sequence_as(states, list(d_states))
            return [part for grads in _run_back(inner, results, d_states) for part in grads]

        return tuple(tf.nest.flatten(states)), gradient

    flat = run(*_flatten(lanes))
    sizes, out = [len(lane.state) for lane in lanes], []
    for size in sizes:
        out.append(tuple(flat[:size]))
        flat = flat[size:]
    return out


def _flatten(lanes: list[Lane]) -> list[Any]:
    # A variable inside a custom gradient would be read there, so all are read here.
    return [tf.convert_to_tensor(part) for lane in lanes for part in (*lane.x, *lane.state, *lane.weights)]


def _pack(lanes: list[Lane], tensors: Sequence[Any]) -> list[Lane]:
    """The lanes with `tensors` in place of theirs."""
    tensors, packed = list(tensors), []
    for lane in lanes:
        parts = []
        for group in (lane.x, lane.state, lane.weights):
            parts.append(tuple(tensors[: len(group)]))
            tensors = tensors[len(group) :]
        packed.append(lane._replace(x=parts[0], state=parts[1], weights=parts[2]))
    return packed


def _run(lanes: list[Lane], keep: bool) -> list[tuple[tuple, tuple]]:
    """States, and what the cells keep, of every lane: stacks (time, batch, size)."""
    time = _time(lanes[0])
    x = [[_unstack(part, time) for part in lane.x] for lane in lanes]
    masks = [None if lane.mask is None else _unstack(lane.mask, time) for lane in lanes]
    # One step outside the loop tells how many stacks there are, and of which shapes.
    first = [lane.cell.forward(lane.state, tuple(part[0] for part in lane.x), lane.weights) for lane in lanes]
    outs = [[_array(part, time) for part in (*state, *(kept if keep else ()))] for state, kept in first]
    start = [tuple(tf.broadcast_to(part, tf.shape(new)) for part, new in zip(lane.state, state, strict=True))
             for lane, (state, _) in zip(lanes, first, strict=True)]  # fmt: skip

    def body(step: Any, states: list, outs: list) -> Any:
        new_states, new_outs = [], []
        for i, lane in enumerate(lanes):
            t = time - 1 - step if lane.backwards else step
            new, kept = lane.cell.forward(states[i], tuple(part.read(t) for part in x[i]), lane.weights)
            if masks[i] is not None:
                inside = masks[i].read(t)
                new = tuple(tf.where(inside, a, b) for a, b in zip(new, states[i], strict=True))
            values = (*new, *(kept if keep else ()))
            new_states.append(new)
            new_outs.append([array.write(t, value) for array, value in zip(outs[i], values, strict=True)])
        return step + 1, new_states, new_outs

    _, _, outs = tf.while_loop(lambda step, *_: step < time, body, (0, start, outs), maximum_iterations=time)
    stacks = [[_stack(array, time) for array in arrays] for arrays in outs]
    return [(tuple(s[: len(lane.state)]), tuple(s[len(lane.state) :])) for s, lane in zip(stacks, lanes, strict=True)]


def _run_back(lanes: list[Lane], results: list, d_states: list) -> list[list[Any]]:
    """Gradients of inputs, initial state and weights of every lane."""
    time = _time(lanes[0])
    previous = [_previous(lane, states) for lane, (states, _) in zip(lanes, results, strict=True)]
    read = []
    for lane, before, (states, kept), d in zip(lanes, previous, results, d_states, strict=True):
        mask = () if lane.mask is None else (lane.mask,)
        groups = (before, states, kept, lane.x, d, mask)
        read.append([[_unstack(part, time) for part in group] for group in groups])
    shapes = []
    for lane, before, (states, kept) in zip(lanes, previous, results, strict=True):
        at_zero = [tuple(part[0] for part in group) for group in (states, before, states, kept, lane.x)]
        shapes.append(lane.cell.backward(*at_zero, lane.weights))
    outs = [[_array(part, time) for part in (*d_x, *taps) if part is not None] for _, d_x, taps in shapes]
    start = [tuple(tf.zeros_like(part) for part in d) for d, _, _ in shapes]

    def body(step: Any, carries: list, outs: list) -> Any:
        new_carries, new_outs = [], []
        for i, lane in enumerate(lanes):
            t = step if lane.backwards else time - 1 - step
            before, after, kept, x, d_out, mask = (tuple(part.read(t) for part in group) for group in read[i])
            d_state = tuple(a + b for a, b in zip(carries[i], d_out, strict=True))
            if mask:
                passed = tuple(tf.where(mask[0], tf.zeros_like(d), d) for d in d_state)
                d_state = tuple(tf.where(mask[0], d, tf.zeros_like(d)) for d in d_state)
            carry, d_x, taps = lane.cell.backward(d_state, before, after, kept, x, lane.weights)
            if mask:
                carry = tuple(a + b for a, b in zip(carry, passed, strict=True))
            values = [part for part in (*d_x, *taps) if part is not None]
            new_carries.append(carry)
            new_outs.append([array.write(t, value) for array, value in zip(outs[i], values, strict=True)])
        return step + 1, new_carries, new_outs

    _, carries, outs = tf.while_loop(lambda step, *_: step < time, body, (0, start, outs), maximum_iterations=time)
    gradients = []
    for i, lane in enumerate(lanes):
        stacks = iter([_stack(array, time) for array in outs[i]])
        d_x = tuple(None if part is None else next(stacks) for part in shapes[i][1])
        weights = lane.cell.weight_gradients(previous[i], *results[i], lane.x, d_x, tuple(stacks))
        d_start = [_sum_like(d, part) for d, part in zip(carries[i], lane.state, strict=True)]
        # An input that is one row for all trials takes the sum of their gradients.
        d_x = [
            tf.reduce_sum(d, 1, keepdims=True) if d is not None and x.shape[1] == 1 else d
            for d, x in zip(d_x, lane.x, strict=True)
        ]
        gradients.append([*d_x, *d_start, *weights])
    return gradients


def _previous(lane: Lane, states: tuple) -> tuple:
    """The state before every bin, (time, batch, size)."""
    start = [tf.broadcast_to(part, tf.shape(stack[0]))[None] for part, stack in zip(lane.state, states, strict=True)]
    if lane.backwards:
        return tuple(tf.concat([stack[1:], part], 0) for part, stack in zip(start, states, strict=True))
    return tuple(tf.concat([part, stack[:-1]], 0) for part, stack in zip(start, states, strict=True))


def _time(lane: Lane) -> Any:
    return lane.x[0].shape[0] or tf.shape(lane.x[0])[0]


def _unstack(stack: Any, time: Any) -> Any:
    return tf.TensorArray(stack.dtype, time, element_shape=stack.shape[1:]).unstack(stack)


def _array(like: Any, time: Any) -> Any:
    return tf.TensorArray(like.dtype, time, element_shape=like.shape)


def _stack(array: Any, time: Any) -> Any:
    stack = array.stack()
    # A loop forgets how many bins there are; checks of the target's shape want to know.
    stack.set_shape((time if isinstance(time, int) else None, *stack.shape[1:]))
    return stack


def _sum_like(gradient: Any, part: Any) -> Any:
    """The gradient of a state that was one row for all trials."""
    return tf.reduce_sum(gradient, 0, keepdims=True) if part.shape[0] == 1 else gradient


def product(a: Any, b: Any) -> Any:
    """``sum over time and batch of a b^T``: (time, batch, m) and (time, batch, n) to (m, n)."""
    return tf.matmul(tf.reshape(a, (-1, a.shape[-1])), tf.reshape(b, (-1, b.shape[-1])), transpose_a=True)
