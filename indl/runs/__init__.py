"""Runs and their folders."""

from indl.runs.report import save_figures, save_run
from indl.runs.run import Difference, Run, RunError, changed_versions, describe, execute, read, repeat

__all__ = [
    "Difference",
    "Run",
    "RunError",
    "changed_versions",
    "describe",
    "execute",
    "read",
    "repeat",
    "save_figures",
    "save_run",
]
