"""``python -m indl``."""

import sys


def main() -> None:
    """Runs the command line; an interrupt while it is still being imported is told as any other."""
    try:
        from indl.cli.app import app
    except KeyboardInterrupt:
        print("interrupted. Nothing was written.", file=sys.stderr)
        sys.exit(130)
    app(prog_name="indl" if sys.argv[0].endswith("indl") else "python -m indl")


if __name__ == "__main__":
    main()
