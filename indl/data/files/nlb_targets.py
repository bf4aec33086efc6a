"""Files that nlb_tools scores with, written: a group for a data set, and the targets of its evaluation trials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from indl.data.files.storage import write_array, writing
from indl.data.values.nlb_data import NLBData
from indl.files.marks import MARK

TARGETS = "nlb targets"


def write_nlb_targets(data: NLBData, path: Path | str, *, name: str = "") -> None:
    """Writes what the evaluation of nlb_tools compares a submission with, to score one yourself.

    `nlb_tools.evaluation.evaluate(targets, submission)` takes the paths of this file and of the one that
    :func:`~indl.export.write_nlb_submission` writes. The file appears whole or not at all. It replaces targets that
    this function wrote, and no other file.

    Args:
        data: A data set of whose evaluation trials nothing is hidden, with behaviour of both parts. Its `extras` are
            written, too.
        path: Where to write; the folder must exist.
        name: The data set as the benchmark calls it. Default: `data.name`.

    Raises:
        ValueError: If there are no evaluation trials, samples of them are hidden, or there is no behaviour; or the
            name tells another width of bins.
        FileNotFoundError: If the folder does not exist.
        OutputError: If there is a file that this function did not write.
        OSError: If the disk is full, or otherwise refuses.

    Warns:
        UserWarning: If the benchmark scores no data set of that name.
    """
    check_data_set(data)
    if data.hidden:
        raise ValueError(
            "Targets need what is hidden from the model. Given: evaluation trials without a sample in "
            f"{', '.join(data.hidden)}. Read the data with the file that holds them."
        )
    arrays = {f"eval_spikes_{piece}": values for piece, values in data.pieces(data.evaluation.counts).items()}
    # The model has seen them: they are no target.
    del arrays["eval_spikes_heldin"]
    for part, trials in (("train", data.train), ("eval", data.evaluation)):
        if trials.behavior is not None:
            arrays[f"{part}_behavior"] = trials.behavior[:, : data.n_times]
    arrays |= data.extras
    lacking = [key for key in ("train_behavior", "eval_behavior") if key not in arrays]
    if lacking:
        raise ValueError(
            f"The evaluation of nlb_tools decodes behaviour. Given: no {' and no '.join(lacking)}. Give the trials "
            "behaviour, or score with indl.metrics.cosmoothing, which needs none."
        )
    write_data_set(path, TARGETS, data.group(name), arrays)


def check_data_set(data: NLBData) -> None:
    """Refuses what is no data set with evaluation trials."""
    if not isinstance(data, NLBData):
        raise TypeError(
            f"Files of the benchmark are written from NLBData. Given: {type(data).__name__}. Read it with "
            "read_nlb, or make it of Trials with NLBData(train, evaluation, n_heldin)."
        )
    if data.evaluation is None:
        raise ValueError(
            "The benchmark scores evaluation trials. Given: training trials alone. Read the file with "
            "eval_spikes_heldin, too."
        )


def write_data_set(path: Path | str, purpose: str, group: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays into the group of a data set, whole or not at all; see :func:`~indl.data.files.storage.writing`."""
    with writing(path, purpose) as file:
        file.attrs[MARK] = purpose
        place = file.create_group(group)
        for name, values in arrays.items():
            write_array(place, name, values)
