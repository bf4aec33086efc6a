"""Files as nlb_tools writes them, of a recording with known rates."""

import h5py
import numpy as np

N_TRAIN, N_EVAL, BINS, FORWARD, HELDIN, HELDOUT = 14, 9, 10, 3, 5, 2


def known(seed=0):
    """Rates, counts and behaviour of all trials, of which the first N_TRAIN are for training."""
    rng = np.random.default_rng(seed)
    steps = np.arange(BINS + FORWARD)
    phase, level = rng.uniform(0, 6, (N_TRAIN + N_EVAL, 1, 1)), rng.uniform(0.3, 2, (N_TRAIN + N_EVAL, 1, 1))
    rates = level * (1.1 + np.sin(0.5 * steps[:, None] + np.arange(HELDIN + HELDOUT) + phase))
    counts = rng.poisson(rates)
    counts[:, 0, :] += 1
    return rates, counts, rng.normal(size=(N_TRAIN + N_EVAL, BINS, 2))


def cut(part, kind, values):
    """An array (trials, time, channels) under the names that its pieces have in the files."""
    return {
        f"{part}_{kind}_heldin": values[:, :BINS, :HELDIN],
        f"{part}_{kind}_heldout": values[:, :BINS, HELDIN:],
        f"{part}_{kind}_heldin_forward": values[:, BINS:, :HELDIN],
        f"{part}_{kind}_heldout_forward": values[:, BINS:, HELDIN:],
    }


def layout(seed=0):
    """The arrays of the training input, the evaluation input, and the targets."""
    _, counts, hand = known(seed)
    train, evaluation = cut("train", "spikes", counts[:N_TRAIN]), cut("eval", "spikes", counts[N_TRAIN:])
    seen = {"eval_spikes_heldin": evaluation.pop("eval_spikes_heldin")}
    rng = np.random.default_rng(seed + 1)
    # Conditions of different size, and a trial of each part that belongs to none.
    conditions = {"train": ([0, 3, 6, 9, 12], [1, 4, 7, 10], [2, 5, 8, 11]), "eval": ([0, 1], [7, 2, 4, 5], [3, 6])}
    targets = {
        **evaluation,
        "train_behavior": hand[:N_TRAIN],
        "eval_behavior": hand[N_TRAIN:],
        "psth": rng.uniform(0.1, 2, (3, BINS, HELDIN + HELDOUT)),
        **{f"{part}_cond_idx": ragged(rows) for part, rows in conditions.items()},
        "train_decode_mask": np.ones((N_TRAIN, 1), bool),
        "eval_decode_mask": np.ones((N_EVAL, 1), bool),
        "eval_jitter": np.zeros(N_EVAL, int),
    }
    return {**train, "train_behavior": hand[:N_TRAIN]}, seen, targets


def ragged(rows):
    """An array of arrays."""
    found = np.empty(len(rows), object)
    found[:] = [np.array(row) for row in rows]
    return found


def write(path, arrays, group=""):
    """Writes arrays in the types and with the compression of nlb_tools; None leaves one out."""
    with h5py.File(path, "a") as file:
        for name, values in arrays.items():
            if values is None:
                continue
            types = {"f": np.float32, "i": np.int32, "O": h5py.vlen_dtype(np.int32)}
            dtype = types.get(values.dtype.kind, values.dtype)
            file.create_dataset(f"{group}/{name}", data=values, dtype=dtype, compression="gzip")
    return path


def written(folder, group="mc_maze_small_20", seed=0):
    """The paths of the training input, the evaluation input, and the targets."""
    train, seen, targets = layout(seed)
    return (
        write(folder / "train_input.h5", train),
        write(folder / "eval_input.h5", seen),
        write(folder / "target_data.h5", targets, group),
    )
