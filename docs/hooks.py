"""What the documentation build adds: the parameter tables, which no page holds in its source."""

from __future__ import annotations

from typing import Any

from indl.params import FAMILIES, markdown_table

MARK = "<!-- params -->"
#: Family and level of the headings by page.
PAGES = {"parameters.md": ("sequence", 2), "pi_vae.md": ("pi_vae", 3)}


def on_page_markdown(markdown: str, *, page: Any, **kwargs: Any) -> str:
    """Puts the table of a family, a heading a group, where its page has the mark.

    Raises:
        ValueError: the page has no mark, or several.
    """
    if page.file.src_uri not in PAGES:
        return markdown
    if markdown.count(MARK) != 1:
        raise ValueError(
            f"A page needs one mark. Given: {markdown.count(MARK)} of {MARK} in {page.file.src_uri}. Write it where "
            "the table belongs."
        )
    family, level = PAGES[page.file.src_uri]
    rows = FAMILIES[family].rows
    groups = dict.fromkeys(row.group for row in rows)
    tables = (f"{'#' * level} {group}\n\n{markdown_table(rows, group)}" for group in groups)
    return markdown.replace(MARK, "\n\n".join(tables))
