"""Checks of the two parts of a recording against each other: what leaks from one to the other, how they differ."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from indl.data.checks.findings import Finding, listed
from indl.data.examination.parts import PER_TRIAL, SEQUENCES, Part
from indl.data.examination.statistics import Statistics


def two_part_findings(train: Part, valid: Part, s_train: Statistics, s_valid: Statistics) -> Iterator[Finding]:
    """What one part says about the other: leaks, and differences; all fields fit their own part."""
    for field in ("encod", "recon", *SEQUENCES):
        if field in train and field in valid:
            a, b = (np.shape(part[field]) for part in (train, valid))
            if a[1:] != b[1:]:
                yield _between(
                    "parts-differ-in-shape",
                    train,
                    valid,
                    field,
                    "must have the same bins and the same channels or dimensions",
                    f"Given: {a[1:]} and {b[1:]}.",
                    "Cut both parts alike.",
                    severity="error",
                )
    for field in (*PER_TRIAL, *SEQUENCES, "truth"):
        if (field in train) != (field in valid):
            has, lacks = (train, valid) if field in train else (valid, train)
            yield Finding(
                "warning",
                "only-in-one-part",
                has.names[field],
                f"Only one part of the recording has {field}.",
                f"Given: {has.names[field]} but no {lacks.names[field]}.",
                "Scores that need both will be left out; add it to the other part.",
            )
    yield from _leaks(train, valid, s_train, s_valid)
    if "label" in train and "label" in valid:
        yield from _unmatched_conditions(train, valid)
    yield from _rate_difference(train, valid, s_train, s_valid)


def _leaks(train: Part, valid: Part, s_train: Statistics, s_valid: Statistics) -> Iterator[Finding]:
    known = {digest: i for i, digest in enumerate(s_train.digests)}
    active = s_valid.sums.any(axis=1)
    if s_train.shape[1:] == s_valid.shape[1:]:
        copies = [i for i, digest in enumerate(s_valid.digests) if digest in known and active[i]]
        if copies:
            shown = listed(f"{i} = {known[s_valid.digests[i]]}" for i in copies)
            yield _between(
                "leaked-trials",
                train,
                valid,
                "recon",
                "share trials",
                f"Given: {len(copies)} of {len(active)} validation trials that are training trials, too (validation = "
                f"training): {shown}.",
                "Split again so that no trial is in both; scores would be too good.",
                count=len(copies),
                total=len(active),
                first=(copies[0],),
                severity="error",
            )
    if "inds" in train and "inds" in valid:
        shared = np.intersect1d(train["inds"], valid["inds"])
        if shared.size:
            yield _between(
                "shared-inds",
                train,
                valid,
                "inds",
                "name the same trials",
                f"Given: {shared.size} of {len(valid['inds'])} validation trials with an index that training trials "
                f"have: {listed(shared)}.",
                "Number the trials by their place in the session, and check that no trial is in both parts.",
                count=int(shared.size),
                total=len(valid["inds"]),
            )


def overlap_findings(train: Part, valid: Part, bin_width_s: float) -> Iterator[Finding]:
    """Validation windows that share time with training windows, where the starts are known."""
    if "start_s" not in train or "start_s" not in valid:
        return
    starts, window = np.sort(np.asarray(train["start_s"], np.float64)), train["recon"].shape[1] * bin_width_s
    begin = np.asarray(valid["start_s"], np.float64)
    after = np.searchsorted(starts, begin)
    padded = np.concatenate([[-np.inf], starts, [np.inf]])
    distance = np.minimum(begin - padded[after], padded[after + 1] - begin)
    # Half a bin of tolerance: starts are rounded.
    overlapping = np.flatnonzero(distance < window - bin_width_s / 2)
    if overlapping.size:
        yield _between(
            "overlapping-windows",
            train,
            valid,
            "start_s",
            "have windows that overlap in time",
            f"Given: {overlapping.size} of {len(begin)} validation trials that begin less than {window:.4g} s from a "
            f"training trial: {listed(overlapping)}.",
            "Split in blocks (block=...) and leave out the windows at their edges; scores would be too good.",
            count=int(overlapping.size),
            total=len(begin),
            first=(int(overlapping[0]),),
        )


def _unmatched_conditions(train: Part, valid: Part) -> Iterator[Finding]:
    a, b = (set(np.unique(part["label"]).tolist()) for part in (train, valid))
    for missing, from_, to in ((b - a, valid, train), (a - b, train, valid)):
        if missing:
            names = [str(value) for value in sorted(missing, key=str)]
            yield Finding(
                "warning",
                "missing-conditions",
                to.names["label"],
                f"{to.names['label']} lacks conditions that {from_.names['label']} has.",
                f"Given: {len(missing)} of {len(a | b)} conditions in one part alone: {listed(names)}.",
                "Split by condition (label=...), or leave the rare conditions out.",
                len(missing),
                len(a | b),
            )


def _rate_difference(train: Part, valid: Part, s_train: Statistics, s_valid: Statistics) -> Iterator[Finding]:
    a, b = (s.trial_means[np.isfinite(s.trial_means)] for s in (s_train, s_valid))
    if min(len(a), len(b)) < 5:
        return
    error = np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    difference = abs(a.mean() - b.mean())
    if difference > 6 * error and difference > 0.2 * max(abs(a.mean()), abs(b.mean())):
        yield _between(
            "parts-differ-in-mean",
            train,
            valid,
            "recon",
            "do not look like parts of one recording",
            f"Given: a mean of {a.mean():.4g} and {b.mean():.4g}, {difference / max(error, 1e-300):.0f} standard "
            "errors apart.",
            "Split the trials at random, or check that both parts have the same channels and bins.",
        )


def _between(code, train, valid, field, problem, got, advice, severity="warning", count=0, total=0, first=()):
    names = f"{train.names[field]} and {valid.names[field]}"
    return Finding(severity, code, names, f"{names} {problem}.", got, advice, count, total, first)
