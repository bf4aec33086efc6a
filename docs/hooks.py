"""What the documentation build adds: the parameter tables, which no page holds in its source."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from indl.params.pi_vae import TABLE as PI_VAE_TABLE


def on_page_markdown(markdown: str, *, page: Any, **kwargs: Any) -> str:
    """Puts each table between the markers of its page."""
    if page.file.src_uri == "parameters.md":
        return _tables().fill(markdown, level=2)
    return _tables().fill(markdown, level=3, table=PI_VAE_TABLE) if page.file.src_uri == "pi_vae.md" else markdown


def _tables() -> Any:
    spec = importlib.util.spec_from_file_location("docs_tables", Path(__file__).with_name("tables.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
