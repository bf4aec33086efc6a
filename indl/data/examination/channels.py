"""Checks of single channels, bins and pairs of channels: what is not what neurons do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import binom

from indl.data.checks.findings import Finding, listed
from indl.data.examination.statistics import Statistics

# A neuron cannot fire again within about a millisecond, and hardly keeps up 300 Hz for a whole recording.
_REFRACTORY_S = 1e-3
_MAX_RATE_HZ = 300.0
_PLAUSIBLE_HZ = (0.02, 200.0)
_DUPLICATED = 0.99
# Correlation in the same bin beyond that in neighbouring bins; up to 0.19 in recordings without crosstalk.
_CROSSTALK = 0.3
_FEW_SPIKES = 10


def activity_findings(s: Statistics, name: str, bin_width_s: float | None) -> Iterator[Finding]:
    """Counts that are too high, too low, too regular or too coarse."""
    n_channels = s.shape[2]
    yield from _unit_findings(s, name, bin_width_s)
    if bin_width_s is not None:
        rates = s.means / bin_width_s
        yield from some_channels(
            "hot-channels",
            name,
            np.flatnonzero(rates > _MAX_RATE_HZ),
            n_channels,
            f"{name} has channels with a mean rate above {_MAX_RATE_HZ:g} Hz",
            f"up to {np.nanmax(rates, initial=0):.4g} Hz",
            "Check the bin width and whether these channels hold noise; remove them if so.",
        )
        limit = max(1.0, bin_width_s / _REFRACTORY_S) + 1
        yield from some_channels(
            "hot-bins",
            name,
            np.flatnonzero(s.highest > limit),
            n_channels,
            f"{name} has bins with more spikes than a neuron can fire in them",
            f"up to {s.highest.max():.4g} in a bin of {1000 * bin_width_s:g} ms",
            "Check the bin width, and whether artefacts were taken for spikes or units were merged.",
        )
    # A channel without a sample has no highest count.
    top = np.where(np.isfinite(s.highest), s.highest, 0).astype(int)
    n_top, n_below = (s.histogram[np.arange(n_channels), np.clip(top - k, 0, 256)] for k in (0, 1))
    constant = (s.lowest == s.highest) & (s.highest != 0)
    yield from some_channels(
        "saturated-channels",
        name,
        np.flatnonzero((top >= 2) & (n_top >= 20) & (n_top > 1.5 * n_below) & ~constant),
        n_channels,
        f"{name} has channels whose highest count comes more often than the next lower one",
        f"e.g. {int(n_top[np.argmax((top >= 2) * n_top)])} times",
        "Counts look clipped at that value; write them without clipping.",
    )
    full = [limit for limit in (127, 255, 32767, 65535) if limit == s.highest.max()]
    if full:
        hit = np.flatnonzero(s.highest == full[0])
        yield from some_channels(
            "overflow",
            name,
            hit,
            n_channels,
            f"{name} reaches exactly {full[0]}, the largest value of a small integer type",
            "where higher counts may have been cut or wrapped round",
            "Bin again with a larger type, e.g. uint16.",
        )
    spikes = s.sums.sum(axis=0)
    yield from some_channels(
        "few-spikes",
        name,
        np.flatnonzero((spikes > 0) & (spikes < _FEW_SPIKES)),
        n_channels,
        f"{name} has channels with fewer than {_FEW_SPIKES} spikes",
        "in all its trials together",
        "Nothing can be learnt about these channels; remove them unless their order matters.",
        severity="note",
    )
    yield from _all_at_once(s, name)


def _unit_findings(s: Statistics, name: str, bin_width_s: float | None) -> Iterator[Finding]:
    """Counts that are not in counts per bin, or a bin width that cannot belong to them."""
    values = np.flatnonzero(s.histogram.sum(axis=0))
    step = int(np.gcd.reduce(values)) if len(values) > 1 else 1
    # One column holds all counts above 255: with those the step is not known.
    if step > 1 and s.highest.max() <= 255:
        in_hz = bin_width_s is not None and np.isclose(step * bin_width_s, 1, rtol=0.02)
        yield Finding(
            "warning",
            "multiples",
            name,
            f"All counts of {name} are multiples of {step}.",
            f"Given: the values {listed(values)}.",
            "With this bin width they are rates in Hz: multiply them by the bin width."
            if in_hz
            else "Check that they are counts per bin, neither scaled nor in Hz.",
            details={"step": step},
        )
    if bin_width_s is None or not s.recorded.any():
        return
    rate = s.sums.sum() / s.recorded.sum() / bin_width_s
    low, high = _PLAUSIBLE_HZ
    if rate > 0 and not low <= rate <= high:
        yield Finding(
            "warning",
            "implausible-rate",
            name,
            f"The mean rate of {name} is not one of neurons.",
            f"Given: {rate:.4g} Hz, with bins of {1000 * bin_width_s:g} ms.",
            "Check the bin width (in seconds) and that the values are counts per bin.",
            details={"rate_hz": rate},
        )


def _all_at_once(s: Statistics, name: str) -> Iterator[Finding]:
    """Bins in which nearly all channels fire, far beyond chance."""
    n_channels = s.shape[2]
    typical, often = np.quantile(s.active, [0.5, 0.9])
    needed = int(np.ceil(0.9 * n_channels))
    together = np.argwhere(s.active >= needed / n_channels)
    # Chance at the activity of a busy bin, over all bins.
    if len(together) and binom.sf(needed - 1, n_channels, often) * s.active.size < 1e-3:
        first = tuple(together[0].tolist())
        yield Finding(
            "warning",
            "all-at-once",
            name,
            f"{name} has bins in which nearly all channels fire together.",
            f"Given: {len(together)} of {s.active.size} bins with at least 90 % of the channels active, the first at "
            f"(trial, time) {first}, where {100 * typical:.0f} % are typical.",
            "Such bins are usually artefacts (movement, stimulation); remove them or set them to missing.",
            len(together),
            s.active.size,
            first,
        )


def constant_findings(s: Statistics, name: str) -> Iterator[Finding]:
    """Channels that never change although they are not silent."""
    yield from some_channels(
        "constant-channels",
        name,
        np.flatnonzero((s.lowest == s.highest) & (s.highest != 0)),
        s.shape[2],
        f"{name} has channels with one and the same value in every bin",
        "",
        "They carry no information; remove them, or check how the file was made.",
    )


def channel_pair_findings(s: Statistics, name: str) -> Iterator[Finding]:
    """Channels that are copies of each other, or share spikes."""
    alike = np.triu(np.nan_to_num(s.correlation), k=1)
    copies = np.argwhere(alike > _DUPLICATED)
    excess = np.triu(np.nan_to_num(s.correlation - (s.lagged + s.lagged.T) / 2), k=1)
    shared = np.argwhere((excess > _CROSSTALK) & (alike <= _DUPLICATED))
    for code, pairs, values, problem, advice in (
        (
            "duplicated-channels",
            copies,
            alike,
            f"{name} has channels that are copies of each other",
            "Keep one of each: a copy in the encoder gives a held-out channel away.",
        ),
        (
            "crosstalk",
            shared,
            excess,
            f"{name} has channels that fire in the same bins far more often than in neighbouring ones",
            "They probably share spikes (crosstalk, one unit sorted twice); keep one of each pair, or keep both on the "
            "same side of the held-out split.",
        ),
    ):
        if len(pairs):
            of = "correlation" if code == "duplicated-channels" else "excess correlation"
            shown = listed(f"{i} and {j} ({of} {values[i, j]:.3f})" for i, j in pairs)
            n = s.shape[2]
            yield Finding(
                "warning",
                code,
                name,
                f"{problem}.",
                f"Given: {len(pairs)} of {n * (n - 1) // 2} pairs: {shown}.",
                advice,
                len(pairs),
                n * (n - 1) // 2,
                tuple(pairs[0].tolist()),
                {"pairs": pairs},
            )


def some_channels(code, name, which, total, problem, more, advice, severity="warning") -> Iterator[Finding]:
    if len(which):
        got = f"Given: {len(which)} of {total} channels: {listed(which)}" + (f"; {more}." if more else ".")
        yield Finding(
            severity,
            code,
            name,
            f"{problem}.",
            got,
            advice,
            len(which),
            total,
            (int(which[0]),),
            {"channels": np.asarray(which)},
        )
