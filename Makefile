# Two commands do all the set-up: `make demo` and `make test`. The first use of either builds .venv
# from requirements.lock (exact pins, with hashes) and installs nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test races bench lint lock clean

demo: $(STAMP)
	@$(BIN)/acquirer demo

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Two switch processes at one database, 200 rounds of each race; `make test` runs a few of each.
races: $(STAMP)
	RACE_ROUNDS=200 $(BIN)/python -m pytest -n 2 --durations=10 tests/races tests/e2e/test_limits.py

bench: $(STAMP)
	@$(BIN)/acquirer bench

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "acquirer needs Python 3.11 or later; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

# Renew the lock file after a change of the dependencies in pyproject.toml (needs `uv` on the PATH).
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --extra dev --quiet pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
