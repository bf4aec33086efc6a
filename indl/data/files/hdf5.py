"""Recordings and trials in HDF5 files.

The layout of a recording is the one that lfads-torch and the Neural Latents Benchmark use: datasets `train_*` and
`valid_*`, time on axis 1, held-in channels before held-out ones.

| dataset (`*` is `train` or `valid`) | shape | |
| --- | --- | --- |
| `*_encod_data`, `*_recon_data` | (trials, time, channels) | what the encoder sees, what is reconstructed |
| `*_data` | (trials, time, channels) | both in one, in the older layout |
| `*_inds`, `*_start_s`, `*_label` | (trials,) | index and start in the session, condition |
| `*_behavior` | (trials, time, dimensions) | behaviour; with one row a trial it goes to `attrs` |
| `*_ext_input` | (trials, time, dimensions) | external input; an initial segment may be left out |
| `*_truth`, `*_latents` | (trials, time, ...) | synthetic data; `truth` is divided by `conversion_factor` |
| `channel_ids` | (channels,) | in the order of `*_recon_data` |

The attribute `bin_width_s` is needed, `missing` says that NaN marks samples that were not recorded, all others are kept
in `attrs`; `json_attrs` lists those that are dicts, written as JSON. So are the datasets `readin_weight`,
`readout_bias`, `psth`, `alignment_matrix_cxf`, `alignment_bias_c`, `*_cond_idx`, `*_decode_mask` and `*_jitter`, under
their names. Whatever else a file holds, a `test` part too, is left alone. Unsplit trials have the same names with
`trials_data` and `trials_*`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from indl.data.files.convention import RECORDING, TRIALS, Reader, write_recording, write_trials
from indl.data.files.storage import LABELS, RecordingError, reading, writing
from indl.data.values.lazy import MAX_BYTES
from indl.data.values.recording import Recording
from indl.data.values.trials import Trials

__all__ = [
    "RecordingError",
    "load_continuous",
    "load_recording",
    "load_trials",
    "open_recording",
    "save_recording",
    "save_trials",
]

_LEAST_BYTES = 2**24


def load_recording(
    path: Path | str, *, counts: bool | None = None, bin_width_s: float | None = None, missing: bool | None = None
) -> Recording:
    """Read a recording from an HDF5 file and check it.

    Args:
        path: File with `train_encod_data`, `train_recon_data`, `valid_encod_data` and
            `valid_recon_data`, (trials, time, channels), or with `train_data` and `valid_data`.
        counts: True if the data are spike counts, False for real-valued signals. None: what the file's attribute
            `are_counts` says, else True.
        bin_width_s: Bin width in seconds for a file that does not state it. A file's own
            attribute `bin_width_s` must not contradict it.
        missing: Whether NaN marks samples that were not recorded; False refuses NaN. None: what the file's attribute
            `missing` says, else False.

    Returns:
        A `Recording`. `truth` is divided by the file's `conversion_factor` (an attribute or a
        scalar dataset, 1 if absent), so that it is in expected counts per bin.

    Raises:
        FileNotFoundError: If there is no such file.
        RecordingError: If the file is not HDF5, is truncated or damaged, lacks keys, keeps its arrays in other files,
            or holds data that cannot be right (see `check_trials`). The message names the file.

    Warns:
        UserWarning: If channels are silent, or trials are all zero.
    """
    with reading(path) as source:
        return Reader(source, counts, bin_width_s, missing).recording()


def open_recording(
    path: Path | str,
    *,
    counts: bool | None = None,
    bin_width_s: float | None = None,
    missing: bool | None = None,
    max_bytes: int = MAX_BYTES,
) -> Recording:
    """Open a recording that may be larger than the memory: its arrays stay in the file.

    As :func:`load_recording`, but `encod`, `recon`, `behavior`, `ext_input`, `truth` and `latents` are
    :class:`~indl.data.LazyArray`. The checks go through the file once, piece by piece.

    Args:
        path: The file; it must stay where and as it is.
        counts, bin_width_s, missing: As for :func:`load_recording`.
        max_bytes: More bytes of float32 than this are not read at once, at least 16 MiB.

    Raises:
        FileNotFoundError, RecordingError: As :func:`load_recording`; also if the chunks of the file are larger than
            `max_bytes`.
        ValueError: If `max_bytes` is too small.
    """
    if max_bytes < _LEAST_BYTES:
        raise ValueError(
            f"max_bytes must leave room for a few trials. Given: {max_bytes!r}. Give {_LEAST_BYTES} (16 MiB) or more."
        )
    with reading(path) as source:
        return Reader(source, counts, bin_width_s, missing, max_bytes).recording()


def load_trials(
    path: Path | str, *, counts: bool | None = None, bin_width_s: float | None = None, missing: bool | None = None
) -> Trials:
    """Read unsplit trials from an HDF5 file and check them.

    Args:
        path: File of :func:`save_trials`, or of a recording: then the parts (`test` too where it has the same
            channels) are joined, in the order of their `*_inds`.
        counts, bin_width_s, missing: As for :func:`load_recording`.

    Raises:
        FileNotFoundError: If there is no such file.
        RecordingError: As :func:`load_recording`; also if parts do not fit together, or share a trial.

    Example:
        >>> import numpy as np, pathlib, tempfile
        >>> from indl.data import Trials, load_trials, save_trials
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "trials.h5"
        >>> save_trials(Trials(np.ones((6, 5, 3)), 0.02, attrs={"area": "M1"}), path)
        >>> load_trials(path).attrs
        {'area': 'M1', 'source': 'arrays'}
    """
    with reading(path) as source:
        return Reader(source, counts, bin_width_s, missing).trials()


def load_continuous(
    path: Path | str,
    name: str = "continuous_data",
    *,
    behavior: str | None = None,
    channel_ids: Any = None,
    counts: bool | None = None,
    bin_width_s: float | None = None,
    missing: bool | None = None,
) -> Trials:
    """Read an uncut recording as one long trial, to be cut by :func:`~indl.data.chop`.

    Args:
        path: The HDF5 file.
        name: Dataset (time, channels).
        behavior: Dataset (time, dimensions) or (time,) in the same bins. None: the one named like `name` with
            `behavior` for `data`, where there is one.
        channel_ids: Id of each channel. None: the dataset named like `name` with `channel_ids` for `data`, else 0,
            1, ... (`channel_ids` itself names the channels of the cut trials, which may be in another order).
        counts, bin_width_s, missing: As for :func:`load_recording`.

    Returns:
        One trial that starts at 0 s.

    Raises:
        FileNotFoundError: If there is no such file.
        RecordingError: As :func:`load_recording`.
    """
    with reading(path) as source:
        reader = Reader(source, counts, bin_width_s, missing)
        beside = {what: name.removesuffix("data") + what for what in ("behavior", "channel_ids")}
        values = source.array(name)
        if values.ndim != 2:
            raise source.error(
                f"has no continuous recording in {name}",
                f"Given: shape {values.shape}",
                "Give the name of a dataset (time, channels); load_trials reads trials",
            )
        behavior = beside["behavior"] if behavior is None and beside["behavior"] in source else behavior
        moved = None if behavior is None else source.array(behavior)
        if moved is not None and (moved.ndim not in (1, 2) or len(moved) != len(values)):
            raise source.error(
                f"has no behaviour for {name} in {behavior}",
                f"Given: shape {moved.shape} for {len(values)} bins",
                "Give the name of a dataset with one row a bin, or resample it",
            )
        if channel_ids is None and beside["channel_ids"] in source:
            channel_ids = source.array(beside["channel_ids"], LABELS)
        return reader.make_trials(
            values[None],
            channel_ids=channel_ids,
            start_s=[0.0],
            behavior=None if moved is None else moved.reshape(1, len(values), -1),
        )


def save_recording(recording: Recording, path: Path | str) -> None:
    """Write a recording to an HDF5 file that `load_recording` and `open_recording` read back.

    The file appears whole or not at all: it is written beside its place and then moved there.
    It replaces a recording that this function wrote, and no other file. Values carry checksums, and the attribute
    `sha256` is a hash of them all. Entries of `attrs` that are None are left out; dates, times and paths are read back
    as texts; dicts as dicts with texts as keys, in which arrays are lists.

    Args:
        recording: The `Recording`; arrays that stay on disk are copied piece by piece.
        path: Where to write; the folder must exist.

    Raises:
        FileNotFoundError: If the folder does not exist.
        OutputError: If there is a file that this function did not write.
        RecordingError: If an entry of `attrs` is neither text, number, date, path, array nor a dict or list of them.
        OSError: If the disk is full, or otherwise refuses.
    """
    _require(recording, Recording)
    with writing(path, RECORDING) as file:
        write_recording(recording, file)


def save_trials(trials: Trials, path: Path | str) -> None:
    """Write unsplit trials to an HDF5 file that :func:`load_trials` reads back; otherwise as :func:`save_recording`."""
    _require(trials, Trials)
    with writing(path, TRIALS) as file:
        write_trials(trials, file)


def _require(value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(
            f"Only a {kind.__name__} can be written here. Given: {type(value).__name__}. Use save_recording for a "
            "Recording, save_trials for Trials; Trials(counts, bin_width_s) makes them of an array."
        )
