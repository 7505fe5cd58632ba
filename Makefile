# Everything runs from .venv, which is built from requirements.lock (exact versions, hashes, no addresses).
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help setup demo test test-long test-system lint types unit audit bench bento image lock clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

setup: $(STAMP)  ## build or refresh the environment

# The stamp is written last: an interrupted install is done again, a finished one is never repeated.
$(STAMP): requirements.lock pyproject.toml features/families/_future_paths.c
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; install Python 3.11 or call make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	@touch $(STAMP)

demo: setup  ## simulated market -> trained model -> served answer
	$(BIN)/bearmode demo

lint: setup  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup  ## mypy, strict
	$(BIN)/mypy

unit: setup  ## the fast tests
	$(BIN)/pytest -n 2 -m "not long and not system"

audit: setup  ## look every locked version up among known vulnerabilities; says so where it cannot
	$(BIN)/python .ci/audit.py

test: lint types unit  ## what every change passes (under 8 minutes)

test-long: setup  ## the full counts of every property, fault and load
	BEARMODE_TIER=long $(BIN)/pytest -n 2 -m "not system"

test-system: setup  ## what needs more than pip brings (installs Chromium where it may, else skips)
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || echo "Chromium is not here and cannot be installed: its tests skip"
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql >/dev/null; } || echo "PostgreSQL is not here and cannot be installed: its tests skip"
	$(BIN)/pytest -m system -rs

bench: setup  ## every benchmark, printed
	for name in labels_and_features window walk_forward store archive update_many many_symbols liquidation_map pandas_oracle board scale layers serving; do $(BIN)/python -m benchmarks.$$name || exit 1; done

bento: setup  ## bentoml build: the service without what trains it
	BENTOML_DO_NOT_TRACK=True $(BIN)/bentoml build

image: bento  ## a container image of it, bearmode:latest (needs a container engine)
	BENTOML_DO_NOT_TRACK=True $(BIN)/bentoml containerize bearmode:latest --image-tag bearmode:latest

UV_COMPILE = uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock"

lock:  ## re-resolve the locks: everything, what a served image holds, MLflow's server (needs uv)
	$(UV_COMPILE) pyproject.toml --extra dev --output-file requirements.lock
	$(UV_COMPILE) --group serving --constraint requirements.lock --output-file requirements-serving.lock
	$(UV_COMPILE) --group tracking-server --constraint requirements.lock --output-file deploy/mlflow/requirements.lock

clean:  ## remove what runs leave behind (data, runs, bundles stay)
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache
