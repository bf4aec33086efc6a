"""Options that commands share: what is read and how, what is printed and where."""

from __future__ import annotations

import functools
import inspect
import itertools
import json
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from indl.cli.inputs import files_among
from indl.cli.printing import console, fail, reported
from indl.files import output_file, write_json

#: In place of a file: the terminal.
_STDOUT = Path("-")
_JSON = "--json"
#: Arguments of commands that may name a folder that they read.
_FOLDERS = ("model", "run")

_RECORDING = "The recording"
_SPLIT = "Split and held-out channels, where the file does not hold them"


def _option(kind: Any, *names: str, panel: str, help: str, **kwargs: Any) -> Any:
    """An option, as an annotation; all are off by default."""
    return Annotated[kind, typer.Option(*names, help=help, rich_help_panel=panel, **kwargs)]


#: How a file is read, by the names of :class:`indl.data.Reading`.
_READING = {
    "bin_width_s": _option(
        float | None, "--bin", "--bin-width", panel=_RECORDING, help="Bin width in seconds, where the file has none."
    ),
    "counts": _option(
        bool | None, "--counts/--signal", panel=_RECORDING, help="What the file holds, if not as it says."
    ),
    "align": _option(str | None, "--align", panel=_RECORDING, help="NWB: column of the trials to align to."),
    "window_s": _option(
        str | None, "--window", panel=_RECORDING, metavar="START,STOP", help="Seconds around the event of --align."
    ),
    "intervals": _option(str | None, "--intervals", panel=_RECORDING, help="NWB: table or tag of the trials."),
    "label": _option(str | None, "--label", panel=_RECORDING, help="NWB: column of the trials with their condition."),
    "signals": _option(list[str] | None, "--signals", panel=_RECORDING, help="NWB: time series that are the channels."),
    "behavior": _option(list[str] | None, "--behavior", panel=_RECORDING, help="NWB: time series, as often as needed."),
    "ext_input": _option(
        list[str] | None, "--ext-input", panel=_RECORDING, help="NWB: time series of the external input."
    ),
    "angles": _option(
        list[str] | None, "--angle", panel=_RECORDING, help="NWB: which of the series are angles (cos, sin taken)."
    ),
    "units": _option(list[str] | None, "--units", panel=_RECORDING, metavar="COLUMN=VALUE", help="NWB: units to take."),
    "edges": _option(
        str | None, "--edges", panel=_RECORDING, help="Trials that leave the recording: raise, missing or drop."
    ),
    "variables": _option(
        list[str] | None,
        "--map",
        panel=_RECORDING,
        metavar="FIELD=VARIABLE[:AXES]",
        help="npz, MATLAB: which variable is counts, label, ...",
    ),
    "axes": _option(
        str | None, "--axes", panel=_RECORDING, help="npz, MATLAB: axes of the variables (trials,time,channels)."
    ),
    "dataset": _option(str | None, "--dataset", panel=_RECORDING, help="HDF5: dataset of an uncut recording."),
    "chop_s": _option(float | None, "--chop", panel=_RECORDING, help="Cut into windows of so many seconds."),
    "overlap_s": _option(float | None, "--overlap", panel=_RECORDING, help="Seconds that windows of --chop share."),
}
_SPLITTING = {
    "valid": _option(float | None, "--valid", panel=_SPLIT, help="Fraction of the trials for validation (0.2)."),
    "heldout": _option(
        str | None, "--heldout", panel=_SPLIT, help="Number or fraction of channels; NWB also the column of marks."
    ),
    "forward": _option(int | None, "--forward", panel=_SPLIT, help="Bins at the end that the encoder does not see."),
    "block": _option(int | None, "--block", panel=_SPLIT, help="Successive trials that stay together."),
    "split_seed": _option(int | None, "--split-seed", panel=_SPLIT, help="Seed of split and held-out channels (0)."),
}
_QUIET = _option(bool | None, "--quiet", "-q", panel="Output", help="Print nothing but warnings and errors.")


def _json_option(*also: str) -> Any:
    """``--json``, which may have another name beside it."""
    help = "JSON file of the result; - or nothing after it: standard output, which then gets nothing else."
    return _option(Path | None, _JSON, *also, panel="Output", metavar="FILE", help=help)


@dataclass(frozen=True)
class Output:
    """Where the result of a command goes beside the printed tables.

    Attributes:
        file: the JSON file, ``-`` for the terminal, or None.
        purpose: what the file is marked with.
    """

    file: Path | None
    purpose: str

    def write(self, result: Mapping[str, Any]) -> None:
        """Writes the result, where it was asked for."""
        if self.file == _STDOUT:
            try:
                print(json.dumps(result, indent=2, default=float), flush=True)
            except OSError as error:
                fail(f"The result could not be printed. Given: {error.strerror}, of standard output. Say --json FILE.")
        elif self.file is not None:
            reported(lambda: write_json(self.file, result, self.purpose))


class _Command(TyperCommand):
    """A command whose ``--json`` may stand without a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = []
        for part, following in itertools.zip_longest(args, args[1:]):
            alone = part == _JSON and (following is None or (following.startswith("-") and following != "-"))
            given += [part, str(_STDOUT)] if alone else [part]
        return super().parse_args(ctx, given)


def command(
    app: typer.Typer, purpose: str | None = None, reads: bool = False, splits: bool = False, also: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers a command that takes ``--quiet`` and ``--json``, and gives it an `output`.

    Args:
        app: where.
        purpose: what its JSON file is marked with. Default: its name.
        reads: it reads a recording: it gets `how`, the options of :class:`indl.data.Reading` that were given.
        splits: those among them that say how trials are split, too.
        also: another name of ``--json``.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function)
        hints = typing.get_type_hints(function, include_extras=True)
        own = [
            part.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            for name, part in signature.parameters.items()
            if name not in ("how", "output")
        ]
        options = {**(_READING if reads else {}), **(_SPLITTING if splits else {})}
        printing = {"quiet": _QUIET, "json_file": _json_option(*([also] if also else []))}

        @functools.wraps(function)
        def run(**given: Any) -> None:
            console.quiet, file = bool(given.pop("quiet")), given.pop("json_file")
            # What is meant for another program stands alone.
            console.stderr = file == _STDOUT
            mark = purpose or function.__name__
            if file is not None and file != _STDOUT:
                file = _json_file(file, mark, given)
            how = {name: given.pop(name) for name in options}
            if reads:
                given["how"] = _how(how)
            function(output=Output(file, mark), **given)

        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
            for name, annotation in {**options, **printing}.items()
        ]
        run.__signature__ = signature.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]
        run.__annotations__ = {part.name: part.annotation for part in [*own, *shared]}
        del run.__wrapped__  # type: ignore[attr-defined]
        app.command(cls=_Command)(run)
        return run

    return register


def repetition_of(run: Path) -> Path:
    """Where `rerun` writes unless told otherwise."""
    folder = run.expanduser().resolve()
    return folder.parent / f"{folder.name}_rerun"


def _json_file(path: Path, purpose: str, given: Mapping[str, Any]) -> Path:
    """Where the JSON goes, if it may: over no input, and not where the command writes something else."""
    data = given.get("data") or []
    inputs = files_among(*(data if isinstance(data, list) else [data]))
    inputs += [given[name] for name in _FOLDERS if given.get(name) is not None]
    found = reported(lambda: output_file(path, purpose, inputs))
    other = given.get("out")
    if other is None and given.get("run") is not None:
        other = repetition_of(given["run"])
    if other is not None and found.is_relative_to(other.expanduser().resolve()):
        fail(f"Two outputs cannot be in one place. Given: {path} and {other}. Choose another path for one of them.")
    return found


def _how(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of reading that were given, as :class:`indl.data.Reading` takes them."""
    how = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    how = {name: value for name, value in how.items() if value not in (None, ())}
    if "window_s" in how:
        how["window_s"] = _window(how["window_s"])
    if "heldout" in how:
        how["heldout"] = _number(how["heldout"])
    return how


def _window(text: str) -> tuple[float, float]:
    try:
        start, stop = map(float, text.split(","))
    except ValueError:
        fail(f"--window takes two numbers of seconds. Given: {text}. For example --window -0.25,0.45.")
    return start, stop


def _number(text: str) -> int | float | str:
    """A count, a fraction, or a name."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
