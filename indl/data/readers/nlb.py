"""Files in the layout of nlb_tools, the Neural Latents Benchmark's own package."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from indl.data.files.storage import RAGGED, RecordingError, Source, reading
from indl.data.values.nlb_data import EXTRAS, NLBData, check_told, width_told
from indl.data.values.trials import Trials, lengthened
from indl.files import expanded
from indl.text import shown

_PARTS = ("train", "eval")
_PIECES = ("heldin", "heldout", "heldin_forward", "heldout_forward")
_SPIKES = tuple(f"{part}_spikes_{piece}" for part in _PARTS for piece in _PIECES)
_BY_TRIAL = tuple(f"{part}_{what}" for part in _PARTS for what in ("behavior", "decode_mask", "jitter"))
#: Every name that the layout has for data.
NAMES = (*_SPIKES, *EXTRAS)


def read_nlb(*paths: Path | str, name: str = "", bin_width_s: float | None = None) -> NLBData:
    """Training and evaluation trials from HDF5 files that nlb_tools wrote.

    | dataset (`*` is `train` or `eval`) | shape |
    | --- | --- |
    | `*_spikes_heldin`, `*_spikes_heldout` | (trials, time, channels) |
    | `*_spikes_heldin_forward`, `*_spikes_heldout_forward` | (trials, forward steps, channels) |
    | `*_behavior` | (trials, time, dimensions), or (trials, values) |
    | `*_cond_idx` | for each condition, the indices of its trials in that part |
    | `*_decode_mask`, `*_jitter`, `psth` | kept in `extras` |

    In input files they lie at the root, in target files in a group for each data set, for example "mc_maze_small_20".

    Args:
        *paths: The files, of training, evaluation and targets, in any order. Where a target file holds an array that
            an input file holds, too, the target's is taken.
        name: The data set, with the ending "_20" or without: chooses the group of files with several, and names
            what is written.
        bin_width_s: Width of one bin in seconds. The files do not tell it; needed unless the name of the data set
            ends in "_20", which is 20 ms.

    Returns:
        :class:`~indl.data.NLBData`. Channels are held-in first (`attrs["heldout"]` has the indices of the others), and
        forward bins come last, as many as the training part has. In the evaluation trials, what no file holds is NaN.
        `label` is the index of each trial's condition, -1 for a trial of none. Behaviour is NaN in forward bins.
        `inds` is the order of the files.

    Raises:
        FileNotFoundError: If there is no such file.
        RecordingError: If a file cannot be read, or arrays are missing or do not fit together.

    Warns:
        UserWarning: If channels are silent, or trials are all zero; or a target file and an input file disagree.
    """
    if not paths:
        raise ValueError(
            "There must be something to read. Given: no path. Give the input files that nlb_tools wrote, and the "
            "targets if there are any."
        )
    rooted: dict[str, np.ndarray] = {}
    grouped: dict[str, np.ndarray] = {}
    for path in paths:
        with reading(path) as source:
            group = _group(source, name, bin_width_s)
            for place, into in (("", rooted), (group, grouped)):
                found = {} if place is None else _places(source, place)
                twice = sorted(found.keys() & into.keys())
                if twice:
                    raise source.error(
                        f"holds {twice[0]}, which another of the files holds, too",
                        f"Given: {len(paths)} files",
                        "Leave one of them out",
                    )
                into.update({key: source.array(where, RAGGED) for key, where in found.items()})
            if group is not None:
                name = group
    _question(rooted, grouped)
    what = " + ".join(str(expanded(path)) for path in paths)
    try:
        return _assembled({**rooted, **grouped}, name, _width(name, bin_width_s), what)
    except ValueError as error:
        raise RecordingError(f"{what} does not make trials. {error}") from error


def holds_nlb(source: Source) -> bool:
    """Whether an open HDF5 file has spikes under a name of the layout, at its root or in a group."""
    return any(
        f"{place}{key}" in source for place in ("", *(f"{group}/" for group in source.groups())) for key in _SPIKES
    )


def _places(source: Source, group: str) -> dict[str, str]:
    """Where in the file the arrays of the layout lie, by name; a group without name is the root."""
    places = {key: f"{group}/{key}" if group else key for key in NAMES}
    return {key: place for key, place in places.items() if place in source}


def _group(source: Source, name: str, bin_width_s: float | None) -> str | None:
    """The group of the data set; None: the file has no groups."""
    there = [group for group in source.groups() if _places(source, group)]
    if not there:
        if not _places(source, ""):
            raise source.error(
                "holds no array in the layout of nlb_tools",
                f"Found {', '.join(source.names()[:12]) or 'nothing'}",
                "Give a file with train_spikes_heldin and train_spikes_heldout; load_recording reads other layouts",
            )
        return None
    named = [group for group in there if not name or group in (name, f"{name}_20")]
    if bin_width_s is not None:
        told = [group for group in named if width_told(group) == bin_width_s]
        named = told or [group for group in named if width_told(group) is None]
    if len(named) != 1:
        asked = f"name={shown(name)}" + (f" and bin_width_s={shown(bin_width_s)}" if bin_width_s is not None else "")
        raise source.error(
            f"holds {len(named) or 'no'} groups that may be the data set",
            f"Given: {asked} for {', '.join(there[:12])}",
            "Say the name of one of these groups, and the bin width that it tells",
        )
    return named[0]


def _question(inputs: Mapping[str, np.ndarray], targets: Mapping[str, np.ndarray]) -> None:
    """Warns of targets that hold other numbers than the input files do; NaN in either is no number."""
    for key in sorted(inputs.keys() & targets.keys()):
        a, b = inputs[key], targets[key]
        if a.dtype == object or a.shape != b.shape:
            continue
        differ = np.count_nonzero((a != b) & (a == a) & (b == b))
        if differ:
            warnings.warn(
                f"The targets and the input files hold different {key}. Given: {differ} of {a.size} values that "
                "differ. The targets are taken: check that they belong to the same trials.",
                UserWarning,
                stacklevel=3,
            )


def _width(name: str, given: float | None) -> float:
    """The width of bins that was given, or that the name of the data set tells."""
    if given is None:
        given = width_told(name)
    if given is None:
        raise ValueError(
            f"The bin width is not known. Given: {f'the data set {name}' if name else 'no name of a data set'}. Say "
            "bin_width_s=0.005 or 0.02, in seconds, as nlb_tools resampled the recording."
        )
    return check_told(name, given)


def _assembled(found: Mapping[str, np.ndarray], name: str, bin_width_s: float, source: str) -> NLBData:
    """The data set of all arrays that were found."""
    shapes = _shapes(found)
    others = [key for key in found if key.startswith("eval_")]
    evaluated = "eval_spikes_heldin" in found
    if others and not evaluated:
        raise ValueError(
            f"Evaluation trials need the spikes of the held-in channels. Given: {others[0]} without "
            "eval_spikes_heldin. Give the file that make_eval_input_tensors of nlb_tools wrote, too."
        )
    n_heldin, n_heldout = (shapes[piece][1] for piece in _PIECES[:2])

    def trials(part: str) -> Trials:
        counts = _counts(found, part, shapes)
        return Trials(
            counts,
            bin_width_s,
            label=_labels(found.get(f"{part}_cond_idx"), len(counts), f"{part}_cond_idx"),
            behavior=_behavior(found, part, *counts.shape[:2], shapes["heldin"][0]),
            attrs={"heldout": np.arange(n_heldin, n_heldin + n_heldout)},
            source=source,
            missing=bool(np.isnan(counts).any()),
        )

    parts = {part: trials(part) for part in _PARTS if part == "train" or evaluated}
    for key in _BY_TRIAL:
        part = key.partition("_")[0]
        if key in found and found[key].shape[:1] != (len(parts[part]),):
            raise ValueError(
                f"{key} must have one row a trial. Given: shape {found[key].shape} for {len(parts[part])} trials. Give "
                "files of the same trials."
            )
    extras = {key: found[key] for key in EXTRAS if key in found and not _is_series(found[key], key)}
    forward_steps = shapes[_PIECES[2]][0] if len(shapes) > 2 else 0
    return NLBData(parts["train"], parts.get("eval"), n_heldin, forward_steps, name, extras)


def _shapes(found: Mapping[str, np.ndarray]) -> dict[str, tuple[int, int]]:
    """Bins and channels of every piece that the training part has."""
    forward = any(f"train_spikes_{piece}" in found for piece in _PIECES[2:])
    pieces = _PIECES if forward else _PIECES[:2]
    lacking = [key for key in (f"train_spikes_{piece}" for piece in pieces) if key not in found]
    if lacking:
        raise ValueError(
            f"Training needs the spikes of all channels. Given: no {' and no '.join(lacking)}. Give the file that "
            "make_train_input_tensors of nlb_tools wrote."
        )
    for key in _SPIKES:
        if key in found and found[key].ndim != 3:
            raise ValueError(
                f"{key} must be (trials, time, channels). Given: shape {found[key].shape}. Write it as nlb_tools does."
            )
    shapes = [found[f"train_spikes_{piece}"].shape for piece in pieces]
    # The first pieces of their kind say what the others must be.
    return {piece: (shapes[i // 2 * 2][1], shapes[i % 2][2]) for i, piece in enumerate(pieces)}


def _counts(found: Mapping[str, np.ndarray], part: str, shapes: Mapping[str, tuple[int, int]]) -> np.ndarray:
    """All channels and bins of a part, (trials, time, channels); NaN what is not there."""
    n_trials = len(found[f"{part}_spikes_heldin"])
    pieces = []
    for piece, shape in shapes.items():
        key = f"{part}_spikes_{piece}"
        values = found[key] if key in found else np.full((n_trials, *shape), np.nan, np.float32)
        if values.shape != (n_trials, *shape):
            raise ValueError(
                f"{key} does not fit the other arrays. Given: shape {values.shape} instead of {(n_trials, *shape)}, "
                "(trials, time, channels). Give files of the same data set and bin width."
            )
        pieces.append(values)
    rows = [np.concatenate(pieces[i : i + 2], axis=2) for i in range(0, len(pieces), 2)]
    return np.concatenate(rows, axis=1)


def _is_series(values: np.ndarray, key: str) -> bool:
    """Whether this is behaviour in bins, not of whole trials."""
    return key.endswith("_behavior") and values.ndim == 3


def _behavior(found: Mapping[str, np.ndarray], part: str, n_trials: int, n_times: int, bins: int) -> np.ndarray | None:
    """Behaviour in bins, up to `n_times` with NaN; None: there is none, or of whole trials only."""
    key = f"{part}_behavior"
    if key not in found or not _is_series(found[key], key):
        return None
    values = found[key].astype(np.float32)
    if values.shape[:2] != (n_trials, bins) or np.isinf(values).any():
        raise ValueError(
            f"{key} must be ({n_trials}, {bins}, dimensions), finite or NaN. Given: shape {values.shape} with "
            f"{np.isinf(values).sum()} infinite values. Give files of the same trials, or write it again."
        )
    return lengthened(values, n_times)


def _labels(conditions: np.ndarray | None, n_trials: int, key: str) -> np.ndarray | None:
    """The index of each trial's condition, -1 for a trial of none, from the trials of each condition."""
    if conditions is None:
        return None
    label = np.full(n_trials, -1)
    for i, which in enumerate(np.atleast_1d(conditions)):
        which = np.atleast_1d(which)
        whole = which.dtype.kind in "iu" and which.ndim == 1
        if not whole or (which < 0).any() or (which >= n_trials).any() or (label[which] >= 0).any():
            raise ValueError(
                f"{key} must hold, for each condition, the indices of its trials. Given: {shown(which)} for condition "
                f"{i} of {n_trials} trials. Each trial has one condition at most: write it as nlb_tools does."
            )
        label[which] = i
    return label
