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

    All components of the state are outputs of the loop. Stacks over time are what training needs memory for, so a
    cell says which of them share one: what is read for the last time makes room for what is written in the same bin.

    Attributes:
        inputs_replaced: so many of the first inputs are replaced by as many of what is kept, of the same shapes, and
            those by their gradients.
        gradients_replaced: the gradients of so many of the first components of the state are replaced by as many of
            the taps, of the same shapes.
    """

    inputs_replaced = 0
    gradients_replaced = 0

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
            x, weights: as in :meth:`forward`; None for the inputs that were replaced.

        Returns:
            Gradients of the previous state; of `x` (None where nothing wants one); and the taps, what
            :meth:`weight_gradients` needs besides.
        """
        raise NotImplementedError

    def weight_gradients(self, previous: tuple, states: tuple, x: tuple, d_x: tuple, taps: tuple) -> Sequence[Any]:
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
        states = [_bins(stacks, _after(lane, 0), _time(lane)) for lane, (stacks, _) in zip(inner, results, strict=True)]

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
    """Stacks (time, batch, size) of every lane: states, and what the cells keep.

    With `keep` those of the states are a bin longer: they hold the initial state too, before the first bin that runs.
    """
    time = _time(lanes[0])
    x = [[_unstack(part) for part in lane.x] for lane in lanes]
    masks = [None if lane.mask is None else _unstack(lane.mask) for lane in lanes]
    # One step outside the loop tells how many stacks there are, and of which shapes.
    first = [lane.cell.forward(lane.state, tuple(part[0] for part in lane.x), lane.weights) for lane in lanes]
    start = [tuple(tf.broadcast_to(part, tf.shape(new)) for part, new in zip(lane.state, state, strict=True))
             for lane, (state, _) in zip(lanes, first, strict=True)]  # fmt: skip
    outs = []
    for lane, inputs, begin, (_, kept) in zip(lanes, x, start, first, strict=True):
        arrays = [_array(part, time + keep) for part in begin]
        if keep:
            arrays = [a.write(_before(lane, _first(lane, time)), part) for a, part in zip(arrays, begin, strict=True)]
            arrays += [inputs[i] if _is_replaced(lane, i) else _array(part, time) for i, part in enumerate(kept)]
        outs.append(arrays)

    def body(step: Any, states: list, outs: list) -> Any:
        new_states, new_outs = [], []
        for i, lane in enumerate(lanes):
            t, n = time - 1 - step if lane.backwards else step, len(lane.state)
            inputs = [outs[i][n + j] if keep and _is_replaced(lane, j) else part for j, part in enumerate(x[i])]
            new, kept = lane.cell.forward(states[i], tuple(part.read(t) for part in inputs), lane.weights)
            if masks[i] is not None:
                inside = masks[i].read(t)
                new = tuple(tf.where(inside, a, b) for a, b in zip(new, states[i], strict=True))
            after = _after(lane, t) if keep else t
            new_states.append(new)
            new_outs.append(
                [array.write(after, value) for array, value in zip(outs[i][:n], new, strict=True)]
                + [array.write(t, value) for array, value in zip(outs[i][n:], kept if keep else (), strict=True)]
            )
        return step + 1, new_states, new_outs

    _, _, outs = tf.while_loop(lambda step, *_: step < time, body, (0, start, outs), maximum_iterations=time)
    found = []
    for lane, arrays in zip(lanes, outs, strict=True):
        n = len(lane.state)
        states = tuple(_stack(array, time + keep) for array in arrays[:n])
        found.append((states, tuple(_stack(array, time) for array in arrays[n:])))
    return found


def _run_back(lanes: list[Lane], results: list, d_states: list) -> list[list[Any]]:
    """Gradients of inputs, initial state and weights of every lane."""
    time = _time(lanes[0])
    readers, outs, wanted = [], [], []
    for lane, (states, kept), d in zip(lanes, results, d_states, strict=True):
        reader = _Reader(lane, states, kept, d)
        at_zero = [
            tuple(None if part is None else part[0] for part in group) for group in (d, states, states, kept, reader.x)
        ]
        _, d_x, taps = lane.cell.backward(*at_zero, lane.weights)
        n_x, n_d = lane.cell.inputs_replaced, lane.cell.gradients_replaced
        new = [[_array(part, time) for part in group if part is not None] for group in (d_x[n_x:], taps[n_d:])]
        outs.append([*reader.kept[:n_x], *new[0], *reader.d[:n_d], *new[1]])
        wanted.append([part is not None for part in d_x])
        readers.append(reader)
    start = [tuple(tf.zeros_like(part[0]) for part in d) for d in d_states]

    def shared(i: int, outs: list, t: Any) -> list:
        """What stands in bin t of the stacks that are read and written; of all lanes' outputs those of lane i."""
        cell, n = lanes[i].cell, sum(wanted[i])
        return [part.read(t) for part in (*outs[i][: cell.inputs_replaced], *outs[i][n : n + cell.gradients_replaced])]

    def body(step: Any, carries: list, ahead: list, outs: list) -> Any:
        new_carries, new_outs = [], []
        for i, lane in enumerate(lanes):
            t = step if lane.backwards else time - 1 - step
            d_state, before, after, kept, x, mask = readers[i].read(t, ahead[i])
            d_state = tuple(a + b for a, b in zip(carries[i], d_state, strict=True))
            if mask is not None:
                passed = tuple(tf.where(mask, tf.zeros_like(d), d) for d in d_state)
                d_state = tuple(tf.where(mask, d, tf.zeros_like(d)) for d in d_state)
            carry, d_x, taps = lane.cell.backward(d_state, before, after, kept, x, lane.weights)
            if mask is not None:
                carry = tuple(a + b for a, b in zip(carry, passed, strict=True))
            values = [part for part in (*d_x, *taps) if part is not None]
            new_carries.append(carry)
            new_outs.append([array.write(t, value) for array, value in zip(outs[i], values, strict=True)])
        # Read behind the write, or the compiler copies the whole stack in every bin to keep the two apart.
        step = step + 1
        at = tf.minimum(step, time - 1)
        ahead = [shared(i, new_outs, at if lane.backwards else time - 1 - at) for i, lane in enumerate(lanes)]
        return step, new_carries, ahead, new_outs

    ahead = [shared(i, outs, 0 if lane.backwards else time - 1) for i, lane in enumerate(lanes)]
    end, carries, _, outs = tf.while_loop(
        lambda step, *_: step < time, body, (0, start, ahead, outs), maximum_iterations=time
    )
    gradients = []
    for i, (lane, (states, _)) in enumerate(zip(lanes, results, strict=True)):
        stacks = iter([_stack(array, time) for array in outs[i]])
        d_x = tuple(next(stacks) if has_gradient else None for has_gradient in wanted[i])
        # Cut where the loop has ended, or the compiler makes these copies ahead of it and holds them all the while.
        previous, after = (_bins(states, at(lane, end - time), time) for at in (_before, _after))
        weights = lane.cell.weight_gradients(previous, after, lane.x, d_x, tuple(stacks))
        d_start = [_sum_like(d, part) for d, part in zip(carries[i], lane.state, strict=True)]
        # An input that is one row for all trials takes the sum of their gradients.
        d_x = [
            tf.reduce_sum(d, 1, keepdims=True) if d is not None and x.shape[1] == 1 else d
            for d, x in zip(d_x, lane.x, strict=True)
        ]
        gradients.append([*d_x, *d_start, *weights])
    return gradients


class _Reader:
    """What the backward step of a lane reads, by bin; the stacks that it writes, too, are read elsewhere."""

    def __init__(self, lane: Lane, states: tuple, kept: tuple, d_states: tuple):
        self.lane = lane
        self.x = tuple(None if i < lane.cell.inputs_replaced else part for i, part in enumerate(lane.x))
        self.states, self.kept, self.d, self._x, (self.mask,) = (
            [None if part is None else _unstack(part) for part in group]
            for group in (states, kept, d_states, self.x, (lane.mask,))
        )

    def read(self, t: Any, shared: list) -> tuple:
        """Gradients of the state, the states before and after, what was kept, inputs and the mask."""
        n_x, n_d = self.lane.cell.inputs_replaced, self.lane.cell.gradients_replaced
        before, after = (tuple(part.read(at(self.lane, t)) for part in self.states) for at in (_before, _after))
        kept, d, x = (
            [None if part is None else part.read(t) for part in group]
            for group in (self.kept[n_x:], self.d[n_d:], self._x)
        )
        mask = None if self.mask is None else self.mask.read(t)
        return (*shared[n_x:], *d), before, after, (*shared[:n_x], *kept), tuple(x), mask


def _is_replaced(lane: Lane, i: int) -> bool:
    """Whether what is kept is written over the i-th input; one row for all trials has no room for it."""
    return i < lane.cell.inputs_replaced and lane.x[i].shape[1] != 1


def _first(lane: Lane, time: Any) -> Any:
    """The bin that runs first."""
    return time - 1 if lane.backwards else 0


def _before(lane: Lane, t: Any) -> Any:
    """Where the state before bin t stands in a stack that holds the initial state."""
    return t + 1 if lane.backwards else t


def _after(lane: Lane, t: Any) -> Any:
    """Where the state of bin t stands there."""
    return t if lane.backwards else t + 1


def _bins(stacks: tuple, begin: Any, time: Any) -> tuple:
    """So many bins of every stack."""
    found = []
    for stack in stacks:
        part = tf.slice(stack, [begin, 0, 0], [time, *tf.unstack(tf.shape(stack)[1:])])
        part.set_shape((time if isinstance(time, int) else None, *stack.shape[1:]))
        found.append(part)
    return tuple(found)


def _time(lane: Lane) -> Any:
    return lane.x[0].shape[0] or tf.shape(lane.x[0])[0]


def _unstack(stack: Any) -> Any:
    size = stack.shape[0] or tf.shape(stack)[0]
    return tf.TensorArray(stack.dtype, size, clear_after_read=False, element_shape=stack.shape[1:]).unstack(stack)


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
