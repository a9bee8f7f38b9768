# Every target sets up what it needs; nothing has to be installed first but Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := serve,plots,track,offline,dev
# without busy waiting, two threads are not slowed down by whatever else runs on the machine
export OMP_WAIT_POLICY ?= PASSIVE
# each module is compiled once, not by every process anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-browser lint bench clean

setup: $(VENV)/.ready

# --no-compile: most modules that are installed are never used; those that are, are compiled then
$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "GenRec needs Python 3.11 or newer; set PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt torch
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable ".[$(EXTRAS)]"
	@touch $@

demo: setup
	@$(BIN)/genrec demo

# in the order of the files: else those with few tests come last, however long they take, and one process waits for the other
test: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --quiet --ignore tests/browser

# the page of `genrec serve` in a browser, which `make test` leaves out
test-browser: setup
	@.ci/chromium
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --quiet tests/browser

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright

bench: setup
	@echo "Benchmarks run one by one: $(BIN)/python -m benchmarks.NAME [--json FILE]; see benchmarks/README.md"

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache
