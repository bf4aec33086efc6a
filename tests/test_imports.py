"""The house rules that a reader cannot see in one file: what may import what, and how light the root is."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import indl

ROOT = Path(indl.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
PRIVATE = ("tf_keras", "keras.src", "tensorflow.python", "tensorflow.compiler", "tensorflow_probability.python")
KERAS_FREE = ("data", "metrics", "params", "plots", "text", "files", "machine")
# From the bottom up: a folder, or a file of the root, imports itself and strictly lower rows.
FLOORS = {
    "indl": [
        {"text"},
        {"__init__"},
        {"files", "machine", "registry"},
        {"params", "data", "sampling"},
        {"metrics", "feed", "layers"},
        {"plots", "rnn"},
        {"dists"},
        {"objectives"},
        {"model"},
        {"loading"},
        {"training", "export", "blackbox"},
        {"tuning", "evaluation"},
        {"runs"},
        {"cli"},
        {"__main__"},
    ],
    "indl.data": [
        {"checks"},
        {"values"},
        {"files", "spikes", "prepare", "simulate", "batches"},
        {"readers"},
        {"examination"},
        {"__init__"},
    ],
}


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    """Every module that a file imports, at any depth of the file, by full name."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield base
            yield from (f"{base}.{name.name}" for name in node.names)


def part(name, house="indl"):
    """The room of a house that a module belongs to; None: it lies elsewhere."""
    if name == house:
        return "__init__"
    return name.removeprefix(f"{house}.").split(".")[0] if name.startswith(f"{house}.") else None


def test_nothing_private_is_imported():
    bad = {
        module_name(path): name
        for path in FILES
        for name in imports(path)
        if name.startswith(PRIVATE) or ".tfp.layers" in name
    }
    assert not bad
    sources = {module_name(path): path.read_text() for path in FILES}
    assert not [name for name, source in sources.items() if "tfp.layers" in source or "tf.compat" in source]


def test_nothing_of_keras_where_numpy_is_enough():
    heavy = {
        module_name(path): name
        for path in FILES
        if part(module_name(path)) in KERAS_FREE
        for name in imports(path)
        if name.split(".")[0] in ("keras", "tensorflow", "tensorflow_probability")
    }
    assert not heavy


@pytest.mark.parametrize("house", FLOORS)
def test_imports_go_downwards(house):
    floor = {name: i for i, names in enumerate(FLOORS[house]) for name in names}
    known = {module_name(file): file for file in FILES if part(module_name(file), house)}
    rooms = {part(name, house) for name in known}
    assert rooms <= floor.keys(), f"no floor in {house} yet: {sorted(rooms - floor.keys())}; give it one in FLOORS"
    upwards = [
        f"{here} imports {there}, which is not below it"
        for here, file in known.items()
        for there in imports(file)
        if there in known
        and part(there, house) != part(here, house)
        and floor[part(there, house)] >= floor[part(here, house)]
    ]
    assert not upwards


def run(code, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent, env=environment
    )


def test_the_root_is_light():
    heavy = ("tensorflow", "keras", "tensorflow_probability", "numpy", "scipy", "h5py", "matplotlib")
    result = run(f"import sys, indl; print([name for name in {heavy!r} if name in sys.modules])")
    assert result.stdout.strip() == "[]", result.stdout + result.stderr


def test_params_and_data_need_no_tensorflow():
    result = run("import sys, indl.params, indl.data; print('tensorflow' in sys.modules, 'keras' in sys.modules)")
    assert result.stdout.strip() == "False False", result.stdout + result.stderr


@pytest.mark.slow
def test_every_module_can_be_imported_first():
    """A ring of imports shows only when the wrong module comes first, so each takes its turn.

    A module that its package has imported by itself cannot come before it: the package's turn is also its own.
    """
    names = [module_name(path) for path in FILES if path.name != "__main__.py"]
    code = (
        "import importlib, sys\n"
        "found = {}\n"
        f"for name in {names!r}:\n"
        "    before = found.get(name.rpartition('.')[0], ())\n"
        "    if name in before: found[name] = before; continue\n"
        "    for old in [m for m in sys.modules if m == 'indl' or m.startswith('indl.')]: del sys.modules[old]\n"
        "    importlib.import_module(name)\n"
        "    found[name] = set(sys.modules)\n"
        "print('all')"
    )
    # Each file is compiled once, not once a turn.
    result = run(code, PYTHONDONTWRITEBYTECODE="")
    assert result.stdout.strip().endswith("all"), result.stderr[-2000:]


def classes_asked_for(path):
    """Names of the classes that a file compares types with."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
            asked = node.args[1]
        elif isinstance(node, ast.MatchClass):
            asked = node.cls
        else:
            continue
        yield from (part.id for part in ast.walk(asked) if isinstance(part, ast.Name))
        yield from (part.attr for part in ast.walk(asked) if isinstance(part, ast.Attribute))


def test_no_prior_is_known_by_its_class():
    """What differs between priors they say themselves; see indl.dists.priors.base.Prior."""
    priors = {
        node.name
        for path in (ROOT / "dists" / "priors").glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    } - {"Prior"}
    assert {"GaussianPrior", "LabelPrior", "AR1Prior"} <= priors
    outside = [path for path in FILES if part(module_name(path)) != "dists"]
    asked = {(module_name(path), name) for path in outside for name in classes_asked_for(path)}
    assert ("indl.model.sequence_model", "Recording") in asked
    assert not [(module, name) for module, name in asked if name in priors]


def texts(path):
    """The strings of a file that are no docstrings."""
    tree = ast.parse(path.read_text())
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def test_layers_and_terms_of_the_loss_are_named_in_one_place_each():
    """A model tells its parts by what they are for, and an objective its terms; see indl.model.parts."""
    outside = [path for path in FILES if part(module_name(path)) != "model"]
    assert not [path for path in outside if "get_layer(" in path.read_text()]
    terms = {"nll", "kl_f", "neg_elbo", "heldin_nll", "sample_nll", "kl_z_encoder"}
    named = {part(module_name(path)) for path in FILES if terms & set(texts(path))}
    # The model's outputs are the terms before they are summed, and a figure has its own words for them.
    assert named == {"objectives", "model", "plots"}
