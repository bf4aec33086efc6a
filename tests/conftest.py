"""Where tests find recordings and the outputs of reference implementations."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# A worker takes a file at a time: the longest come first, so that none of them is waited for at the end.
LONGEST = (
    "model/test_sequence_model.py",
    "export/test_saved_model.py",
    "golden/test_golden.py",
    "cli/test_app.py",
    "test_docs.py",
    "model/pi_vae/test_pi_vae.py",
    "model/test_builders.py",
    "model/test_label_conditioned.py",
    "model/test_lfads_parity.py",
    "plots/test_all_figures.py",
    "runs/test_run.py",
    "rnn/test_complex_cell.py",
    "training/test_checkpoint.py",
    "training/test_train.py",
    "training/test_sessions.py",
    "training/test_guard.py",
    "model/test_lfads_model.py",
    "notebooks/test_builders.py",
    "notebooks/test_lorenz.py",
    "notebooks/test_motor_cortex.py",
    "notebooks/test_pi_vae.py",
)


def pytest_collection_modifyitems(items):
    rank = {REPOSITORY / "tests" / name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_addoption(parser):
    parser.addoption(
        "--unoptimized",
        action="store_true",
        help="graphs run as traced, and XLA compiles without optimizing: a third less time; numbers differ by rounding",
    )


def pytest_configure(config):
    if config.getoption("--unoptimized"):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"


@pytest.fixture(scope="session", autouse=True)
def graphs_as_traced(request):
    """With --unoptimized TensorFlow runs graphs as they are traced; see `graphs_as_elsewhere`."""
    if request.config.getoption("--unoptimized"):
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"min_graph_nodes": 1_000_000})


@pytest.fixture(scope="module")
def graphs_as_elsewhere():
    """Graphs are optimized as in any process, for numbers that must equal those of another one to the last bit."""
    import tensorflow as tf

    options = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"min_graph_nodes": 0})
    yield
    tf.config.optimizer.set_experimental_options(options)


@pytest.fixture
def families_as_before():
    """What a test adds to the families of models is taken away behind it."""
    from indl.model.families import FAMILIES
    from indl.params import FAMILIES as TABLES

    before = dict(FAMILIES), dict(TABLES)
    yield
    for registry, kept in zip((FAMILIES, TABLES), before, strict=True):
        registry.clear()
        registry.update(kept)


def parity_files(stem):
    """Every file ``stem*.npz`` in the folders of ``$INDL_FIXTURES``, written as in ``$PATH``, or in tests/fixtures."""
    folders = os.environ.get("INDL_FIXTURES") or str(REPOSITORY / "tests" / "fixtures")
    return sorted(path for folder in folders.split(os.pathsep) for path in Path(folder).glob(f"{stem}*.npz"))


@pytest.fixture
def recordings():
    """The paths of the real recordings by file name, as far as they are there."""
    folders = (REPOSITORY.parent / "shared" / "data", Path(os.environ.get("INDL_DATA") or REPOSITORY / "none"))
    return {path.name: path for folder in folders if folder.is_dir() for path in folder.iterdir()}


@pytest.fixture
def recording_path(recordings):
    """The path of a real recording by file name; skips where the recordings are absent."""

    def find(name):
        if name not in recordings:
            pytest.skip(f"the recording {name} is neither in $INDL_DATA nor in ../shared/data")
        return recordings[name]

    return find
