"""``python -m indl``."""

from indl.cli.app import app

app(prog_name="python -m indl")
