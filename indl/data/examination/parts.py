"""Checks of what belongs to the counts of one part of a recording: labels, behaviour, inputs, order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from indl.data.checks.findings import Finding, listed
from indl.data.examination.statistics import Statistics

PER_TRIAL = ("inds", "start_s", "label")
SEQUENCES = ("behavior", "ext_input", "latents")


@dataclass(frozen=True, eq=False)
class Part:
    """Arrays of one part of a recording, not yet known to fit, with the names by which messages call them."""

    arrays: Mapping[str, Any]
    names: Mapping[str, str]

    def __contains__(self, field: str) -> bool:
        return self.arrays.get(field) is not None

    def __getitem__(self, field: str) -> Any:
        return self.arrays[field]

    def without(self, fields: set[str]) -> Part:
        """The part without some fields."""
        return Part({field: value for field, value in self.arrays.items() if field not in fields}, self.names)


def misfits(part: Part) -> dict[str, Finding]:
    """Fields of a part that do not fit its counts or are not numbers, each with the finding."""
    encod, recon = part["encod"].shape, part["recon"].shape
    bins = {encod[1], recon[1]}
    found = {}
    for field in (*PER_TRIAL, *SEQUENCES, "truth"):
        if field not in part:
            continue
        name, shape = part.names[field], np.shape(part[field])
        if field in PER_TRIAL:
            fits, expected = shape == recon[:1], f"({recon[0]},)"
        elif field == "truth":
            fits, expected = shape == recon, f"{tuple(recon)}"
        else:
            fits = len(shape) == 3 and shape[0] == recon[0] and shape[2] > 0
            # An input may begin after the segment of the initial condition.
            fits = fits and (shape[1] in bins or (field == "ext_input" and 0 < shape[1] < encod[1]))
            expected = f"({recon[0]}, {' or '.join(map(str, sorted(bins)))}, dimensions)"
        problem, got = "", f"Given: shape {shape}, with counts {tuple(recon)}."
        if not fits:
            problem = f"{name} does not fit the trials."
        elif field not in ("label", "inds") and part[field].dtype.kind not in "buif":
            problem, got = f"{name} must be numeric.", f"Given: dtype {part[field].dtype}."
        if problem:
            found[field] = Finding("error", "does-not-fit", name, problem, got, f"Give numbers of shape {expected}.")
    return found


def part_findings(part: Part, s: Statistics) -> Iterator[Finding]:
    """Everything about one part, of which all fields fit; `s` belongs to its `recon`."""
    yield from _encod_findings(part)
    for field in SEQUENCES:
        if field in part:
            yield from _sequence_findings(part, field, s)
    if "truth" in part:
        yield from _truth_findings(part, s)
    if "label" in part:
        yield from _label_findings(np.asarray(part["label"]), part.names["label"])
    for field in ("inds", "start_s"):
        if field in part:
            yield from _order_findings(np.asarray(part[field]), part.names[field])


def channel_id_findings(channel_ids: Any, n_channels: int) -> Iterator[Finding]:
    """Ids that do not name every channel once."""
    ids = np.asarray(channel_ids)
    if ids.shape != (n_channels,):
        yield Finding(
            "error",
            "does-not-fit",
            "channel_ids",
            "channel_ids must name every channel of recon.",
            f"Given: shape {ids.shape} for {n_channels} channels.",
            "Give one id a channel, held-in channels first.",
        )
    elif len(np.unique(ids)) < n_channels:
        values, counts = np.unique(ids, return_counts=True)
        yield Finding(
            "warning",
            "repeated-ids",
            "channel_ids",
            "channel_ids names different channels alike.",
            f"Given: {n_channels - len(values)} repeated ids: {listed(values[counts > 1])}.",
            "Check that no channel was written twice.",
            n_channels - len(values),
            n_channels,
        )


def _encod_findings(part: Part) -> Iterator[Finding]:
    encod, recon = part["encod"], part["recon"]
    if encod is recon:
        return
    _, n_times, n_channels = encod.shape
    n_different, size = 0, int(np.prod(encod.shape))
    first: tuple[int, ...] = ()
    for start in range(0, encod.shape[0], 64):
        a, b = np.asarray(encod[start : start + 64]), np.asarray(recon[start : start + 64])[:, :n_times, :n_channels]
        different = (a != b) & ~((a != a) & (b != b))
        if different.any() and not n_different:
            i, *rest = np.argwhere(different)[0].tolist()
            first = (i + start, *rest)
        n_different += int(np.count_nonzero(different))
    if n_different:
        names = f"{part.names['encod']} and {part.names['recon']}"
        yield Finding(
            "warning",
            "encod-differs",
            names,
            f"{part.names['encod']} is not the first bins and channels of {part.names['recon']}.",
            f"Given: {n_different} of {size} values that differ, the first at (trial, time, channel) {first}.",
            "Held-in channels come first in recon, in the order of encod; leave it so only if encod was smoothed or "
            "corrupted on purpose.",
            n_different,
            size,
            first,
        )


def _sequence_findings(part: Part, field: str, s: Statistics) -> Iterator[Finding]:
    name = part.names[field]
    values = np.asarray(part[field], np.float64)
    size, dims = values.size, values.shape[2]
    # Padding after the end of a trial has no behaviour; an input that has fewer bins lacks the first ones.
    bins = np.arange(values.shape[1]) + max(part["encod"].shape[1] - values.shape[1], 0)
    inside = (bins < s.lengths[:, None])[:, :, None] & np.ones(dims, bool)
    infinite, nan = np.isinf(values), np.isnan(values) & inside
    # Behaviour may have gaps; what a model is fed or compared with may not.
    broken = infinite if field == "behavior" else infinite | nan
    if broken.any():
        first = tuple(np.argwhere(broken)[0].tolist())
        what = "infinite" if field == "behavior" else "NaN or infinite"
        yield Finding(
            "error",
            "not-finite",
            name,
            f"{name} must be finite.",
            f"Given: {np.count_nonzero(broken)} {what} of {size} values, the first at (trial, time, "
            f"dimension) {first}.",
            "Write NaN where behaviour is unknown." if field == "behavior" else "Fill the gaps, or leave it out.",
            int(np.count_nonzero(broken)),
            size,
            first,
        )
    elif nan.any():
        share = 100 * nan.sum() / inside.sum()
        yield Finding(
            "warning" if share > 50 else "note",
            "behavior-gaps",
            name,
            f"{name} has gaps (NaN).",
            f"Given: {np.count_nonzero(nan)} of {inside.sum()} values ({share:.2g} %).",
            "Decoding leaves these bins out; check that this is meant.",
            int(nan.sum()),
            int(inside.sum()),
            tuple(np.argwhere(nan)[0].tolist()),
        )
    shown = np.where(inside & np.isfinite(values), values, np.nan).reshape(-1, dims)
    known = np.isfinite(shown)
    spread = np.where(known, shown, -np.inf).max(axis=0) - np.where(known, shown, np.inf).min(axis=0)
    constant = np.flatnonzero(~known.any(axis=0) | (spread == 0))
    if constant.size:
        yield Finding(
            "warning",
            "constant-dimensions",
            name,
            f"{name} has dimensions that never change or are NaN throughout.",
            f"Given: {constant.size} of {dims}: {listed(constant)}.",
            "Nothing can be decoded from or explained by them; remove them.",
            int(constant.size),
            dims,
            (int(constant[0]),),
            {"dimensions": constant},
        )


def _truth_findings(part: Part, s: Statistics) -> Iterator[Finding]:
    name, truth = part.names["truth"], np.asarray(part["truth"], np.float64)
    inside = np.arange(truth.shape[1]) < s.lengths[:, None]
    broken = ~(truth >= 0) | np.isinf(truth)
    broken &= inside[:, :, None]
    if broken.any():
        first = tuple(np.argwhere(broken)[0].tolist())
        yield Finding(
            "error",
            "truth-not-rates",
            name,
            f"{name} must hold expected counts: finite and not negative.",
            f"Given: {np.count_nonzero(broken)} of {truth.size} values, the first at (trial, time, channel) {first}: "
            f"{truth[first]}.",
            "Write rates, not their logarithm.",
            int(np.count_nonzero(broken)),
            truth.size,
            first,
        )
        return
    expected, counted = truth[inside].mean(), s.sums.sum() / max(s.recorded.sum(), 1)
    if min(expected, counted) > 0 and not 0.5 < expected / counted < 2:
        yield Finding(
            "warning",
            "truth-scale",
            name,
            f"{name} does not have the scale of the counts.",
            f"Given: a mean of {expected:.4g}, while the counts have {counted:.4g} a bin.",
            "True rates are expected counts per bin; give the attribute conversion_factor by which they are divided.",
            details={"ratio": expected / counted},
        )


def _label_findings(label: np.ndarray, name: str) -> Iterator[Finding]:
    if label.dtype.kind == "f" and np.isnan(label).any():
        n_nan = int(np.isnan(label).sum())
        yield Finding(
            "error",
            "label-unknown",
            name,
            f"{name} must name the condition of every trial.",
            f"Given: NaN in {n_nan} of {len(label)} trials, the first is trial {int(np.argmax(np.isnan(label)))}.",
            "Leave those trials out, or give them a condition of their own.",
            n_nan,
            len(label),
            (int(np.argmax(np.isnan(label))),),
        )
        return
    values, sizes = np.unique(label, return_counts=True)
    if len(values) > max(len(label) / 2, 1) and len(label) >= 10:
        yield Finding(
            "warning",
            "label-continuous",
            name,
            f"{name} does not look like conditions.",
            f"Given: {len(values)} different values for {len(label)} trials.",
            "Group the trials into a few conditions; a continuous variable belongs to the behaviour.",
            len(values),
            len(label),
        )
    elif len(values) == 1:
        yield Finding(
            "note",
            "one-condition",
            name,
            f"{name} has a single condition.",
            f"Given: {values[0]} in all {len(label)} trials.",
            "Scores by condition need at least two.",
        )
    elif sizes.max() > 4 * sizes.min():
        rare, common = values[sizes.argmin()], values[sizes.argmax()]
        yield Finding(
            "warning",
            "uneven-conditions",
            name,
            f"{name} has conditions of very different size.",
            f"Given: {sizes.min()} trials of condition {rare} and {sizes.max()} of condition {common}.",
            "Averages of rare conditions are noisy; merge conditions, or read scores by condition with care.",
            details={"sizes": dict(zip(values.tolist(), sizes.tolist(), strict=True))},
        )


def _order_findings(values: np.ndarray, name: str) -> Iterator[Finding]:
    n_repeated = len(values) - len(np.unique(values))
    steps = np.diff(values) if values.dtype.kind in "iuf" else np.array([1])
    if n_repeated:
        yield Finding(
            "warning",
            "repeated-trials",
            name,
            f"{name} names trials more than once.",
            f"Given: {n_repeated} repeated values of {len(values)}.",
            "Check that no trial was written twice.",
            n_repeated,
            len(values),
        )
    elif (steps < 0).any():
        first = int(np.argmax(steps < 0)) + 1
        yield Finding(
            "note",
            "unordered-trials",
            name,
            f"{name} is not in ascending order: trials are not in the order of the session.",
            f"Given: {np.count_nonzero(steps < 0)} steps back, the first at trial {first}.",
            "Nothing has to be done; checks of drift sort by it.",
            int(np.count_nonzero(steps < 0)),
            len(values),
            (first,),
        )
