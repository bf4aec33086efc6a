"""What commands read, and where they write: recordings, models, and files that may be written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from indl.cli.printing import fail, print_warning, reported
from indl.files import output_file

#: Kinds of files that state the width of their bins.
_STATING = ("recording", "trials", "continuous")
#: Options of reading that decide which trials are scored.
_TRIALS = ("valid", "block", "split_seed", "chop_s", "overlap_s", "intervals", "align", "window_s", "edges")


def _finite(value: float) -> float:
    """A number of seconds that an option was given."""
    if not np.isfinite(value):
        fail(f"--lag takes a number of seconds. Given: {value}. For example --lag 0.1 for 100 ms.")
    return value


Data = Annotated[Path, typer.Argument(help="Recording: HDF5, NWB, MATLAB or npz (see the documentation).")]
Model = Annotated[Path, typer.Argument(help="model.keras, or the folder of a run.")]
Samples = Annotated[int, typer.Option(min=0, help="Posterior samples to average; 0: posterior means.")]
Lag = Annotated[float, typer.Option(callback=_finite, help="Seconds by which behaviour is later than the rates.")]
Baselines = Annotated[bool, typer.Option(help="Fit smoothed-spikes baselines on the same data.")]


def output_place(path: Path | None, purpose: str, *inputs: Path | None) -> Path | None:
    """Where to write a file that was asked for, if it was."""
    return reported(lambda: output_file(path, purpose, inputs)) if path else None


def files_among(*paths: Path) -> list[Path]:
    """Inputs that are files: where one is to be, a folder is told by who reads it."""
    return [path for path in paths if not path.expanduser().is_dir()]


def read_data(path: Path, how: dict[str, Any], model: Path | None = None) -> Any:
    """The recording of a file; where a model is given, read as that of its run was."""
    from indl.data import read_recording

    known = {} if model is None else known_of(model)
    recording = reported(lambda: read_recording(path, **read_as_run(path, how, known, split=True)))
    if known:
        check_same_recording(recording, known, model)
        other = [name for name in how if name in _TRIALS and known["reading"].get(name) != how[name]]
        if other:
            print_warning(
                f"Other trials are scored than in the run, among them such as it was trained on: {', '.join(other)} "
                "differ."
            )
    return recording


def known_of(model: Path) -> dict[str, Any]:
    """What the folder of a run says of its recording; nothing for a model alone."""
    from indl.runs import read

    if not (model.expanduser() / "run.json").is_file():
        return {}
    found = reported(lambda: read(model))
    source = found["run"]["data"]
    return {**found["data"], "reading": source.get("reading", {}), "path": source.get("path", "")}


def read_as_run(path: Path, how: dict[str, Any], known: dict[str, Any], split: bool = False) -> dict[str, Any]:
    """Options of reading: those given, and those of the run as far as a file of this kind takes them."""
    from indl.data.readers.any_file import kind_of, options_of

    if not known.get("reading"):
        return how
    kind = reported(lambda: kind_of(path, how.get("dataset", known["reading"].get("dataset"))))
    found = {name: value for name, value in known["reading"].items() if name in options_of(kind, split)}
    if kind in _STATING and str(path.expanduser().resolve()) != known["path"]:
        # Another file says for itself what its bins are.
        found.pop("bin_width_s", None)
    return found | how


def check_same_recording(recording: Any, known: dict[str, Any], model: Path) -> None:
    """Refuses to score other channels, or in another order, than those that the run was trained on."""
    from indl.data.values.channel_attrs import texts_of

    check_same_bins(recording, known, model)
    ids, wanted = texts_of(recording.channel_ids), known.get("channel_ids")
    if wanted is not None and ids != wanted:
        what = "in another order" if sorted(ids) == sorted(wanted) else f"such as {(set(ids) ^ set(wanted)).pop()}"
        fail(
            f"The channels are not those of the run, held-in ones first. Given: {len(ids)} channels, {what}, for "
            f"{len(wanted)} in {model}. Read and split the recording as the run did: leave out --heldout, --split-seed "
            "and --units; a model.keras in place of the folder takes channels as they come."
        )


def check_same_bins(trials: Any, known: dict[str, Any], model: Path) -> None:
    """Refuses bins of another width than those that the run was trained on."""
    width = known.get("bin_width_s", trials.bin_width_s)
    if not np.isclose(width, trials.bin_width_s):
        fail(
            f"The bins are not those of the run. Given: {trials.bin_width_s:g} s, and {width:g} s in {model}. Say "
            "--bin where the file has spike times, or use indl.data.rebin."
        )


def model_at(path: Path) -> Any:
    """The model that a command was given."""
    from indl.loading import load_model

    return reported(lambda: load_model(path))
