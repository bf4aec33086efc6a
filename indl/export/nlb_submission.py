"""Submissions to the Neural Latents Benchmark: rates of the training and evaluation trials in its layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from indl.data.files.nlb_targets import check_data_set, write_data_set
from indl.data.files.storage import output_place
from indl.data.values.nlb_data import NLBData
from indl.data.values.trials import Trials
from indl.dists.observations import PoissonObservation
from indl.model.sequence_model import SequentialVAE

SUBMISSION = "nlb submission"


def write_nlb_submission(
    model: SequentialVAE,
    data: NLBData,
    path: Path | str,
    *,
    name: str = "",
    samples: int = 0,
    seed: int = 0,
    batch_size: int | None = None,
) -> Path:
    """Writes the rates of a data set's trials as the Neural Latents Benchmark takes them.

    The file has one group, for example "mc_maze_small" or, of bins of 20 ms, "mc_maze_small_20", with
    `train_rates_heldin`, `train_rates_heldout`, `eval_rates_heldin` and `eval_rates_heldout`, and with forward steps
    `eval_rates_heldin_forward` and `eval_rates_heldout_forward`: expected counts per bin, (trials, time, channels), in
    the order of the trials in `data`. The model sees the held-in channels before the forward bins, nothing else. The
    file appears whole or not at all. It replaces a submission that this function wrote, and no other file.

    Args:
        model: A trained model of counts, for example of ``data.recording()``.
        data: The data set, as :func:`~indl.data.read_nlb` reads it.
        path: Where to write; the folder must exist.
        name: The data set as the benchmark calls it. Default: `data.name`.
        samples: Posterior samples whose rates are averaged. 0: posterior means.
        seed: Seed of the samples.
        batch_size: Trials, or trials times samples, computed at once. Default: as :meth:`SequentialVAE.rates`.

    Returns:
        The path.

    Raises:
        TypeError: If the model is no :class:`~indl.model.sequence_model.SequentialVAE`.
        ValueError: If there are no evaluation trials; the model is not one of counts, or of other bins or channels;
            its rates are not finite; or the name tells another width of bins.
        FileNotFoundError: If the folder does not exist.
        OutputError: If there is a file that this function did not write.
        OSError: If the disk is full, or otherwise refuses.

    Warns:
        UserWarning: If the benchmark scores no data set of that name.
    """
    check_data_set(data)
    if not isinstance(model, SequentialVAE):
        raise TypeError(
            f"Rates of whole trials come from a SequentialVAE. Given: {type(model).__name__}. Train one, for example "
            "with indl.preset('lfads')."
        )
    if model.observation != PoissonObservation.__name__:
        raise ValueError(
            f"The benchmark takes expected counts. Given: a model with {model.observation}. Train one with "
            "output_dist='Poisson'."
        )
    group = data.group(name)
    output_place(path, SUBMISSION)

    def rates(part: Trials) -> dict[str, np.ndarray]:
        found = model.rates(data.seen(part), samples, seed, batch_size)
        if found.shape != part.counts.shape or not np.isfinite(found).all():
            raise ValueError(
                f"The model's rates do not fit the data set. Given: shape {found.shape} with "
                f"{np.count_nonzero(~np.isfinite(found))} values that are not finite, for trials {part.counts.shape}. "
                "Train a model of data.recording()."
            )
        return data.pieces(found)

    arrays = {f"eval_rates_{piece}": values for piece, values in rates(data.evaluation).items()}
    # Behaviour is decoded from these in the bins that the encoder sees.
    arrays |= {f"train_rates_{piece}": values for piece, values in rates(data.train).items() if "forward" not in piece}
    write_data_set(path, SUBMISSION, group, arrays)
    return Path(path)
