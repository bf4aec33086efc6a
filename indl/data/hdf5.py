"""Reading and writing recordings as HDF5 files.

The layout is the one that lfads-torch and the Neural Latents Benchmark use: `train_*` and
`valid_*` datasets `encod_data`, `recon_data`, `inds`, `label`, `behavior`, `truth`, `latents`,
time on axis 1, held-in channels before held-out ones, and the attribute `bin_width_s`. The older
layout with one `train_data` and `valid_data` (no held-out channels) is read too.
"""

from pathlib import Path

import h5py
import numpy as np

from indl.data.checks import check_trials
from indl.data.recording import OPTIONAL, Recording, Split
from indl.files import atomic

# Derived from the arrays: kept out of `attrs`, where they could contradict them.
_DERIVED = ("bin_width_s", "n_heldin", "n_heldout", "conversion_factor")


class RecordingError(ValueError):
    """A file that cannot be read as a recording, or a recording that cannot be written."""


def load_recording(path, *, counts=True, bin_width_s=None):
    """Read a recording from an HDF5 file and check it.

    Args:
        path: File with `train_encod_data`, `train_recon_data`, `valid_encod_data` and
            `valid_recon_data`, (trials, time, channels), or with `train_data` and `valid_data`.
        counts: True if the data are spike counts, False for real-valued signals.
        bin_width_s: Bin width in seconds for a file that does not state it. A file's own
            attribute `bin_width_s` must not contradict it.

    Returns:
        A `Recording`. `truth` is divided by the file's `conversion_factor` (an attribute or a
        scalar dataset, 1 if absent), so that it is in expected counts per bin. Other datasets
        of the file are left alone.

    Raises:
        FileNotFoundError: If there is no such file.
        RecordingError: If the file is not HDF5, is truncated, lacks keys, or holds data that
            cannot be right (see `check_trials`). The message names the file.

    Warns:
        UserWarning: If channels are silent, or trials are all zero.
    """
    path = Path(path)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "nothing"
        raise FileNotFoundError(
            f"There is no recording at {path}. Found {what} there. Check the path; relative "
            f"paths start at {Path.cwd()}."
        )
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path, counts, bin_width_s)
    except RecordingError:
        raise
    except OSError as error:
        raise RecordingError(
            f"{path} cannot be read as HDF5: it is another kind of file, or truncated. Got "
            f"{path.stat().st_size} bytes ({error}). Copy or download the file again, or convert "
            "it with Recording.from_arrays and save_recording."
        ) from error
    except ValueError as error:
        raise RecordingError(f"{path} is not a usable recording. {error}") from error


def save_recording(recording, path):
    """Write a recording to an HDF5 file that `load_recording` reads back.

    The file appears whole or not at all: it is written beside its place and then moved there.
    An existing file is replaced.

    Args:
        recording: The `Recording`.
        path: Where to write; the folder must exist.

    Raises:
        FileNotFoundError: If the folder does not exist.
        RecordingError: If an entry of `attrs` cannot be an HDF5 attribute.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder to write {path.name} to. Got {path.parent}. Make the folder first."
        )
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        _write(recording, file)


def _read(file, path, counts, bin_width_s):
    keys = {part: _count_keys(file, part, path) for part in ("train", "valid")}
    train = _read_split(file, "train", *keys["train"], counts)
    valid = _read_split(file, "valid", *keys["valid"], counts)
    attrs = {name: _plain(value) for name, value in file.attrs.items() if name not in _DERIVED}
    n_channels = train.recon.shape[2]
    ids = file["channel_ids"][()] if "channel_ids" in file else np.arange(n_channels)
    return Recording(
        train=train,
        valid=valid,
        bin_width_s=_bin_width(file, path, bin_width_s),
        channel_ids=_plain(ids),
        attrs=attrs,
        source=str(path),
    )


def _count_keys(file, part, path):
    """Names of the datasets with the encoder's and the reconstructed data."""
    encod, recon, legacy = f"{part}_encod_data", f"{part}_recon_data", f"{part}_data"
    if encod not in file and recon not in file and legacy in file:
        return legacy, legacy
    missing = [key for key in (encod, recon) if not isinstance(file.get(key), h5py.Dataset)]
    if missing:
        found = ", ".join(sorted(file)[:12]) or "nothing"
        raise RecordingError(
            f"{path} has no dataset {' and no '.join(missing)}. Found: {found}. Rename the "
            "datasets, or read them yourself and use Recording.from_arrays."
        )
    return encod, recon


def _read_split(file, part, encod_key, recon_key, counts):
    encod = file[encod_key][()]
    recon = encod if recon_key == encod_key else file[recon_key][()]
    # Deep enough for the warning to point at whoever called load_recording.
    check_trials(encod, recon, counts=counts, names=(encod_key, recon_key), stacklevel=5)
    extras = {}
    for name in OPTIONAL:
        if f"{part}_{name}" in file:
            extras[name] = file[f"{part}_{name}"][()]
    if "truth" in extras:
        extras["truth"] = extras["truth"] / _conversion_factor(file, file[f"{part}_truth"])
    for name in ("truth", "latents"):
        if name in extras and not np.isfinite(extras[name]).all():
            raise ValueError(
                f"{part}_{name} must be finite. Got "
                f"{np.count_nonzero(~np.isfinite(extras[name]))} NaN or infinite values. "
                "Write it again, or remove it from the file."
            )
    return Split(encod=encod, recon=recon, **extras)


def _conversion_factor(file, truth):
    for attributes in (truth.attrs, file.attrs):
        if "conversion_factor" in attributes:
            value = attributes["conversion_factor"]
            break
    else:
        value = file["conversion_factor"][()] if "conversion_factor" in file else 1.0
    value = np.asarray(value, dtype=np.float64)
    if value.size != 1 or not value.item() > 0:
        raise ValueError(
            f"conversion_factor must be one positive number. Got {value}. It divides truth to "
            "give expected counts per bin; use 1 if truth is in counts per bin already."
        )
    return value.item()


def _bin_width(file, path, bin_width_s):
    stated = file.attrs.get("bin_width_s")
    if stated is None and bin_width_s is None:
        raise RecordingError(
            f"{path} does not state its bin width. Found the attributes: "
            f"{', '.join(sorted(file.attrs)) or 'none'}. Write the attribute bin_width_s into the "
            "file or call load_recording with bin_width_s=..., in seconds."
        )
    if stated is not None and bin_width_s is not None and not np.isclose(stated, bin_width_s):
        raise RecordingError(
            f"{path} states another bin width than the one given. Got {stated} s in the file and "
            f"{bin_width_s} s as argument. Leave out the argument or correct the file."
        )
    width = bin_width_s if stated is None else stated
    return width.item() if isinstance(width, np.ndarray) and width.size == 1 else width


def _plain(value):
    """HDF5 strings as str; everything else as it is."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray) and value.dtype.kind in "SO":
        texts = [item.decode() if isinstance(item, bytes) else str(item) for item in value.flat]
        return np.array(texts, dtype=np.str_).reshape(value.shape)
    return value


def _write(recording, file):
    attrs = {
        "source": recording.source,
        **recording.attrs,
        "bin_width_s": recording.bin_width_s,
        "n_heldin": recording.n_heldin,
        "n_heldout": recording.n_heldout,
    }
    for name, value in attrs.items():
        try:
            file.attrs[name] = _storable(value)
        except (TypeError, ValueError) as error:
            raise RecordingError(
                f"The entry {name!r} of attrs cannot be stored in HDF5. Got {value!r} ({error}). "
                "Use strings, numbers or arrays of them, or remove the entry."
            ) from error
    file["channel_ids"] = _storable(recording.channel_ids)
    for part in ("train", "valid"):
        split = getattr(recording, part)
        for name in ("encod", "recon"):
            data = _compact(getattr(split, name))
            file.create_dataset(f"{part}_{name}_data", data=data, compression="gzip", shuffle=True)
        for name in OPTIONAL:
            value = getattr(split, name)
            if value is not None:
                file[f"{part}_{name}"] = _storable(value)
    if recording.train.truth is not None:
        file["conversion_factor"] = 1.0


def _storable(value):
    if value is None or isinstance(value, dict):
        raise TypeError(f"HDF5 attributes cannot hold {type(value).__name__}")
    array = np.asarray(value)
    if array.dtype.kind in "UO":
        return array.astype(h5py.string_dtype()) if array.ndim else str(value)
    return value


def _compact(data):
    """The smallest unsigned type that holds the values exactly, or the data as they are."""
    if data.min() < 0 or (data != np.rint(data)).any():
        return data
    return data.astype(np.min_scalar_type(int(data.max())))
