# Every target makes .venv itself: `make train` and `make test` work on a fresh clone.
PYTHON ?= python3
BIN = .venv/bin
# A process for each core, with one thread each; a file's tests stay together, for what they share.
WORKERS ?= -n auto --maxprocesses 8 --dist loadfile
test test-all: export OMP_NUM_THREADS ?= 1

.PHONY: train test test-all check bench clean

train: .venv/installed
	$(BIN)/arcadia train ppo --preset fast --env ALE/Pong-v5 --sticky 0 --total-steps 1100000

test: .venv/installed
	$(BIN)/python -m pytest -q -m "not slow" $(WORKERS)

test-all: .venv/installed
	$(BIN)/python -m pytest -q $(WORKERS)

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/installed
	$(BIN)/arcadia bench ppo

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Arcadia needs Python 3.11 or newer, this is %s; try make PYTHON=python3.12" % sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
