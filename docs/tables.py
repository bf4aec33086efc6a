"""The parameter table as Markdown, one heading a group, and the command that writes it into a page.

``python docs/tables.py README.md`` replaces what stands between the markers ``<!-- params -->`` and
``<!-- /params -->`` of each file named; ``--check`` only tells whether anything would change.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from indl.params import TABLE, Param, markdown_table

BEGIN, END = "<!-- params -->", "<!-- /params -->"


def params_markdown(level: int = 3, table: Sequence[Param] = TABLE) -> str:
    """A whole table under headings of the given level."""
    groups = dict.fromkeys(row.group for row in table)
    return "\n\n".join(f"{'#' * level} {group}\n\n{markdown_table(table, group)}" for group in groups)


def fill(text: str, level: int = 3, table: Sequence[Param] = TABLE) -> str:
    """The text with a table between its markers.

    Raises:
        ValueError: the text has no pair of markers, or several.
    """
    if (text.count(BEGIN), text.count(END)) != (1, 1):
        raise ValueError(f"A page needs one pair of markers. Given: {text.count(BEGIN)} of {BEGIN} and "
                         f"{text.count(END)} of {END}. Write both where the table belongs.")  # fmt: skip
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n\n{params_markdown(level, table)}\n\n{END}", text)


def main(arguments: list[str]) -> int:
    """Fills the files named; returns 1 if, with ``--check``, one of them is out of date."""
    stale = 0
    for path in [Path(argument) for argument in arguments if argument != "--check"]:
        text = path.read_text(encoding="utf-8")
        filled = fill(text)
        if filled != text:
            stale = 1
            if "--check" not in arguments:
                path.write_text(filled, encoding="utf-8")
            print(f"{path}: {'out of date' if '--check' in arguments else 'written'}")
    return stale if "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
