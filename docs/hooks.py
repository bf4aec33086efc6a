"""What the documentation build adds: the parameter table, which no page holds in its source."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any


def on_page_markdown(markdown: str, *, page: Any, **kwargs: Any) -> str:
    """Puts the table between the markers of the page of parameters."""
    return _tables().fill(markdown, level=2) if page.file.src_uri == "parameters.md" else markdown


def _tables() -> Any:
    spec = importlib.util.spec_from_file_location("docs_tables", Path(__file__).with_name("tables.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
