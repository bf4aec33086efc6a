"""What the command line prints: tables of scores, warnings, and errors in a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table

Value = TypeVar("Value")

#: Where tables and progress go; see :mod:`indl.cli.options` for ``--quiet`` and ``--json``.
console = Console()

#: What a command that is interrupted leaves, to be told then.
_NOTHING = "Nothing was written."
_left = _NOTHING

#: Beside what the model's objective says of itself.
_LABELS = {
    "labels_seen": "labels given beyond the bound (1: yes)",
    "hidden_nll": "hidden samples, nats/trial",
    "label_error_rate": "bins of another class, fraction",
    "rate_r2_flat": "rate R2, flat",
    "rate_r2_per_channel": "rate R2, mean of channels",
    "latent_r2": "latent R2, mean",
    "co_bps": "co-smoothing, bits/spike",
    "fp_bps": "forward prediction, bits/spike",
    "psth_r2": "trial averages R2, mean of channels",
    "psth_r2_ceiling": "trial averages R2 of the true ones",
    "behavior_r2": "behaviour R2, mean",
}


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], right: bool = False) -> None:
    """Prints rows of text under a title; `right` aligns all columns but the first."""
    table = Table(title=title)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if right and i else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def print_scores(recording: Any, scores: dict[str, Any], model: Any) -> None:
    """Prints the scores of a model, and beside them those of the baseline where there are some."""
    baseline = scores.get("baseline", {})
    columns = [scores["model"], *([baseline] if baseline else [])]
    labels = {**model.objective.scores, **_LABELS}.items()
    rows = [
        (label, *(_cell(part, name) for part in columns)) for name, label in labels if any(name in p for p in columns)
    ]
    heads = ("", "model", "smoothed spikes")[: len(columns) + 1]
    print_table(f"validation trials: {len(recording.valid.encod)}", heads, rows, right=True)


def print_search(tuner: Any, default: dict[str, float]) -> None:
    """Prints the trials of a search from the best one on."""
    from indl.tuning.hypermodel import DATA

    metric, rows = tuner.hypermodel.base["monitor"], []
    for trial in tuner.oracle.get_best_trials(tuner.oracle.max_trials):
        values = {name: value for name, value in trial.hyperparameters.values.items() if name != DATA}
        varied = ", ".join(
            f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
        )
        rows.append((trial.trial_id, f"{trial.score:.2f}", varied))
    title = f"{metric}, nats/trial; the preset itself: {default[metric]:.2f}"
    print_table(title, ("trial", metric, "what was varied"), rows)


def _cell(scores: dict[str, float], name: str) -> str:
    if name not in scores:
        return ""
    digits = 4 if name.endswith("_bps") else 3 if "r2" in name or name.endswith("_rate") else 1
    error = f" +- {scores[f'{name}_se']:.{digits}f}" if f"{name}_se" in scores else ""
    parts = [f"{value:.2f}" for key, value in scores.items() if key.startswith(f"{name}_") and key[-1].isdigit()]
    return f"{scores[name]:.{digits}f}{error}" + (f" ({', '.join(parts)})" if parts else "")


def reported(action: Callable[[], Value]) -> Value:
    """Runs an action; what the user can mend is told in a line, without a traceback."""
    try:
        return action()
    except (ValueError, FloatingPointError, RuntimeError, OSError) as error:
        fail(str(error))


def print_warning(message: Any, *where: Any) -> None:
    """Tells a warning in a line; the place in the library's code helps nobody here."""
    Console(stderr=True).print(f"warning: {message}", style="yellow", markup=False, highlight=False, soft_wrap=True)


def leaves(what: str = _NOTHING) -> None:
    """Notes what is there if the command is interrupted from here on."""
    global _left
    _left = what


def interrupted() -> NoReturn:
    """Tells that the command was interrupted and what is there, and ends with exit code 130."""
    Console(stderr=True).print(f"interrupted. {_left}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(130)


def fail(message: str) -> NoReturn:
    """Tells what went wrong in a line, and ends with exit code 1."""
    Console(stderr=True).print(f"error: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1)
