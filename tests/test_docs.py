"""README and documentation: code that runs, tables that are generated, links that lead somewhere."""

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from indl.params import FAMILIES, preset
from tests.checks import QUICK

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
LINKED = [*PAGES, *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"))]

# What a page shows at a useful size runs here at the smallest: nothing else in a block is changed.
SMALLER = (
    (re.compile(r"\bepochs=\d+"), "epochs=1"),
    (re.compile(r"\bmax_trials=\d+"), "max_trials=1"),
    (re.compile(r'\b(indl\.)?preset\(\s*"default"'), 'smaller("default"'),
    (re.compile(r"\blorenz\("), "lorenz(n_neurons=12, n_conditions=5, n_trials=8, n_bins=12, "),
)
# Real recordings that pages read by name, which are not everywhere.
REAL = re.compile(r'"((?:mc_maze|head_direction)_\w+\.\w+)"')


def smaller(name, **changes):
    """The preset with a network that is traced quickly, and what a page changes of it."""
    return preset(name, **{**QUICK, **changes})


def relative(path):
    return str(path.relative_to(ROOT))


def python_blocks(path):
    """Every Python block of a page with the line it begins on."""
    text = path.read_text(encoding="utf-8")
    for match in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield text[: match.start(1)].count("\n") + 1, match.group(1)


def prose(path):
    """A page without its code."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(path):
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.fixture(scope="module")
def filled():
    """The text of a page of the documentation, and what its build makes of it."""
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def fill(name, text=None):
        source = (DOCS / name).read_text(encoding="utf-8") if text is None else text
        return source, module.on_page_markdown(source, page=SimpleNamespace(file=SimpleNamespace(src_uri=name)))

    return fill


#: Pages whose code trains for more than twenty seconds.
LONG_PAGES = (
    "data.md",
    "baselines.md",
    "plots.md",
    "builders.md",
    "index.md",
    "export.md",
    "lfads.md",
    "pi_vae.md",
    "readers.md",
    "sessions.md",
    "training.md",
    "tuning.md",
)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow if page.name in LONG_PAGES else [], id=relative(page))
        for page in PAGES
        if any(python_blocks(page))
    ],
)
def test_code_runs(page, tmp_path, monkeypatch, recordings, families_as_before):
    monkeypatch.chdir(tmp_path)
    for name, path in recordings.items():
        (tmp_path / name).symlink_to(path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    # The trials of a search are processes of their own.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    namespace = {"__name__": "__main__", "smaller": smaller}
    for line, code in python_blocks(page):
        if not recordings.keys() >= set(REAL.findall(code)):
            continue
        for pattern, replacement in SMALLER:
            code = pattern.sub(replacement, code)
        # Line numbers of a traceback are those of the page.
        exec(compile("\n" * (line - 1) + code, relative(page), "exec"), namespace)


def test_an_addition_takes_few_lines():
    blocks = [code for _, code in python_blocks(DOCS / "extending.md")]
    assert len(blocks) == 5 and max(len(code.strip().splitlines()) for code in blocks) < 25


@pytest.mark.parametrize("name, family", [("parameters.md", "sequence"), ("pi_vae.md", "pi_vae")])
def test_tables_are_filled_in_at_build_time(filled, name, family):
    source, page = filled(name)
    rows = FAMILIES[family].rows
    assert re.findall(r"^\| `(\w+)` \| ", page, re.MULTILINE) == [row.name for row in rows]
    assert not any(f"| `{row.name}` |" in source for row in rows)
    assert {line.strip("# ") for line in page.splitlines() if line.startswith("#")} >= {row.group for row in rows}


def test_other_pages_stay_as_they_are(filled):
    assert filled("cli.md")[1] == filled("cli.md")[0]


def test_a_mark_is_needed(filled):
    with pytest.raises(ValueError, match="one mark. Given: 0 of"):
        filled("parameters.md", "no mark")


@pytest.mark.parametrize("page", LINKED, ids=relative)
def test_local_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{relative(page)} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{relative(page)} links to {target}"


def test_navigation_holds_every_page():
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^ *- .+: (\S+\.md)$", config, re.MULTILINE)
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


def test_reference_holds_every_module():
    pages = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("api/*.md"))
    documented = set(re.findall(r"^::: ([\w.]+)$", pages, re.MULTILINE))
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "indl").rglob("*.py")
        if not path.name.startswith("__")
    }
    # A process, a command line with a page of its own, and a one-line helper have no reference.
    undocumented = {name for name in modules - documented if not name.startswith("indl.cli.")}
    assert undocumented == {"indl.tuning.worker", "indl.registry"}
    assert documented <= modules
