"""The application that all commands belong to."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from indl import __version__
from indl.cli.printing import interrupted, leaves, print_warning

_WITHOUT_TENSORFLOW = ("check", "convert", "baseline", "params")


class _Commands(TyperGroup):
    """All commands; an interrupt ends each of them in a line."""

    def invoke(self, ctx: Any) -> Any:
        leaves()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            interrupted()


app = typer.Typer(cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"indl {__version__}")
        raise typer.Exit()


@app.callback()
def _quiet(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print it.")
    ] = False,
) -> None:
    """Sequential variational auto-encoders for neural population recordings."""
    warnings.showwarning = print_warning
    # TensorFlow greets on stderr while it is imported, before any log level applies.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "--help" not in sys.argv and context.invoked_subcommand not in _WITHOUT_TENSORFLOW:
        stderr = os.dup(2)
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            try:
                import tensorflow  # noqa: F401
            finally:
                os.dup2(stderr, 2)
                os.close(stderr)
