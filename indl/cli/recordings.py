"""Commands about recordings: check, convert, baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from indl.cli.application import app
from indl.cli.inputs import Data, files_among, output_place, read_data
from indl.cli.options import Output, command
from indl.cli.printing import console, fail, print_table, reported
from indl.files.marks import FIGURE

#: No smoothing and no lag is longer.
_MOST_S = 60
_FIGURES = (".png", ".pdf", ".svg")


@command(app, reads=True)
def check(
    data: Data,
    how: dict[str, Any],
    output: Output,
    out: Annotated[Path | None, typer.Option(help="Page of figures: .png, .pdf or .svg.")] = None,
) -> None:
    """Lists what is wrong or suspicious about a recording; exit code 1 where it cannot be used.

    An NWB file without --bin is looked at in bins of 20 ms.
    """
    from indl.data.examination.examine import examine, opened

    if out and out.suffix.lower() not in _FIGURES:
        fail(f"The page of figures needs a known ending. Given: {out}. Choose one of {', '.join(_FIGURES)}.")
    out = output_place(out, FIGURE, *files_among(data))

    def look() -> tuple[Any, dict[str, Any] | None]:
        with opened(data, **how) as found:
            report = examine(found, counts=how.get("counts"), bin_width_s=how.get("bin_width_s"))
            return report, _overview(found, how.get("bin_width_s")) if out else None

    report, drawn = reported(look)
    reported(lambda: console.print(str(report), markup=False, highlight=False, soft_wrap=True))
    output.write(report.to_dict())
    if out:
        reported(lambda: _draw_overview(drawn, report, out))
    if not report.ok:
        raise typer.Exit(1)


@command(app, reads=True, splits=True)
def convert(
    data: Data,
    out: Annotated[Path, typer.Argument(help="HDF5 file to write.")],
    how: dict[str, Any],
    output: Output,
    unsplit: Annotated[bool, typer.Option("--unsplit", help="Write the trials as they are, not split.")] = False,
) -> None:
    """Writes any recording in the HDF5 convention: split as `train` with the same options would split it."""
    from indl.data import read_recording, read_trials, save_recording, save_trials
    from indl.data.files.convention import RECORDING, TRIALS
    from indl.data.values.provenance import digest

    out = output_place(out, TRIALS if unsplit else RECORDING, *files_among(data))
    read, save = (read_trials, save_trials) if unsplit else (read_recording, save_recording)
    found = reported(lambda: read(data, **how))
    reported(lambda: save(found, out))
    console.print(f"{found!r} in {out}", markup=False, highlight=False, soft_wrap=True)
    output.write({"file": str(out), "is": repr(found), "sha256": digest(found)})


@command(app, "baselines", reads=True, splits=True, also="--out")
def baseline(
    data: Data,
    how: dict[str, Any],
    output: Output,
    lag: Annotated[str, typer.Option(help="Seconds by which behaviour is later than the counts, or auto.")] = "auto",
    sd: Annotated[str, typer.Option(help="Smoothing of the counts it is decoded from in seconds, or auto.")] = "0.1",
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds and bootstrap.")] = 0,
) -> None:
    """Scores what a recording yields without a model: co-smoothing, behaviour and conditions in one table."""
    from indl.metrics import fit_baselines

    lag_s, sd_s = _seconds("--lag", lag), _seconds("--sd", sd)
    recording = read_data(data, how)
    with console.status("fitting baselines"):
        found = reported(lambda: fit_baselines(recording, lag_s=lag_s, sd_s=sd_s, seed=seed))
    print_table(f"validation trials: {len(recording.valid)}", ("score", "method", "value", "settings"), found.rows())
    for what, reason in found.left_out.items():
        console.print(f"left out: {what} ({reason})", highlight=False)
    output.write(found.as_dict())


def _overview(data: Any, bin_width: float | None) -> dict[str, Any]:
    """What the page of figures shows of a file's content."""
    from indl.data.checks.arrays import bin_width_finding

    counts, label = data.trials() if hasattr(data, "trials") else (data.counts, data.label)
    # Without a bin width that can be, rates are drawn as counts per bin.
    width = next((w for w in (data.bin_width_s, bin_width) if w is not None and bin_width_finding(w) is None), 1.0)
    ids = data.channel_ids if np.shape(data.channel_ids) == counts.shape[2:] else None
    return {"counts": counts, "bin_width_s": width, "label": label, "channel_ids": ids}


def _draw_overview(drawn: Any, report: Any, out: Path) -> None:
    from indl.plots import data_overview

    data_overview(**drawn, findings=report.lines(), path=out)


def _seconds(option: str, text: str) -> float | None:
    """A number of seconds; None for auto."""
    try:
        value = None if text == "auto" else float(text)
    except ValueError:
        value = np.nan
    possible = value is None or value == 0 or 1e-6 < abs(value) <= _MOST_S
    if not possible:
        fail(
            f"{option} takes a number of seconds, {_MOST_S} at most, or auto. Given: {text}. For example {option} 0.1 "
            "for 100 ms."
        )
    return value
