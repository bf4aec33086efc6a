"""``python -m indl``."""

from indl.cli import app

app(prog_name="python -m indl")
