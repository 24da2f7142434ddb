# What people and CI run. `make serve` and `make test` need Python 3.11 or newer and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DATA ?= data
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes

.PHONY: install serve test lint types imports bench docs conformance faults lock ci all clean

$(VENV)/.built: requirements/build.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements/build.txt
	touch $@

$(VENV)/.runtime: $(VENV)/.built requirements/runtime.txt pyproject.toml
	$(PIP) -r requirements/runtime.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	$(PIP) -r requirements/dev.txt
	touch $@

install: $(VENV)/.runtime  ## The product in .venv

serve: $(VENV)/.runtime  ## Start the gateway; prints base URL and key
	$(BIN)/meterway serve --data $(DATA)

test: $(VENV)/.dev  ## The whole test suite but conformance
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not conformance and not faults"

conformance: $(VENV)/.dev  ## Judged by official clients and their own suites
	$(BIN)/python -m pytest -m conformance

faults: $(VENV)/.dev  ## Kills, stops and starves real processes; half an hour, FAULTS=short minutes
	$(BIN)/python -m pytest $(if $(filter short,$(FAULTS)),-n 2 --dist loadfile) -m faults

lint: $(VENV)/.dev  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev  ## mypy, strict
	$(BIN)/mypy

imports: $(VENV)/.dev  ## the house's layers
	$(BIN)/lint-imports

bench: $(VENV)/.dev  ## Beside nginx and a bare upstream, in one run
	$(BIN)/meterway bench --json bench.json

docs: $(VENV)/.dev  ## Rewrites the generated pages of docs/
	$(BIN)/python -m scripts.build_docs

lock:  ## Rewrites requirements/*.txt; needs uv
	uv pip compile requirements/build.in $(LOCK) -o requirements/build.txt
	uv pip compile pyproject.toml $(LOCK) -o requirements/runtime.txt
	uv pip compile pyproject.toml --group dev --extra postgres $(LOCK) -o requirements/dev.txt
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links

all: lint types imports test

ci: all conformance  ## What .ci/run calls

clean:
	rm -rf $(VENV) .cache dist
