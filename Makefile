PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3
# The processes that tests start read modules that are compiled already.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: venv demo test test-all coverage lint format docs bench clean

venv: $(VENV)/.dev

# The stamp holds the venv to pyproject.toml: it is made anew when the dependencies change. Modules are compiled when they
# are first imported: most never are, and to compile them all takes a third of the time.
$(VENV)/.dev: pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check -e ".[dev]"
	touch $@

$(VENV)/.docs: $(VENV)/.dev
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check -e ".[docs]"
	touch $@

demo: venv
	$(BIN)/python -m indl demo --out demo_out

# Two workers: most of a test's time is one thread that traces a model. A file stays on one of them, so that what its
# tests share is made once; the longest files come first (tests/conftest.py).
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Without the slow ones, and with graphs that are not optimized first.
test: venv
	$(PYTEST) --unoptimized

# All of them, with graphs as users have them.
test-all: venv
	$(PYTEST) -m ""

# Which lines of the library no test reaches.
coverage: venv
	$(PYTEST) --cov=indl --cov-report=term-missing:skip-covered

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: venv
	$(BIN)/python benchmarks/train_step.py --json bench_train_step.json

clean:
	rm -rf $(VENV) demo_out site bench_*.json
