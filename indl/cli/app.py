"""The command line: the application with all its commands, in the order in which they are listed."""

from indl.cli import recordings, training, models  # noqa: F401  isort:skip
from indl.cli.application import app

__all__ = ["app"]
