# The one task runner. On a machine with only Python 3.11 or later: `make demo`, `make test`.
# Another interpreter: `make PYTHON=python3.12 test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SERVERS ?= embedded
PYTEST_ARGS ?=
FUZZ_ARGS ?=
FAULTS_ARGS ?=
BENCH_ARGS ?=
DETECTION_ARGS ?=
QUICK ?=
# processes of the unit tests
JOBS ?= auto

# A stamp for each set of extras: nothing is installed again until pyproject.toml changes.
DEMO_READY := $(VENV)/.ready-demo
DEV_READY := $(VENV)/.ready-dev

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test lint types contracts unit integration faults faults-long bench detection fuzz fmt clean

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(DEV_READY) ## Create .venv with everything that development needs

demo: $(DEMO_READY) ## Monitor a real model on a year of real flights, and check every number
	$(BIN)/tidegauge demo

test: lint types contracts unit integration ## Everything below; the suites run on the embedded servers

lint: $(DEV_READY) ## Style and layout of the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV_READY) ## Strict type checking of src
	$(BIN)/mypy

contracts: $(DEV_READY) ## Who may import whom
	$(BIN)/lint-imports

unit: $(DEV_READY) ## Tests that need no servers, doctests, and the coverage of the pure core
	$(BIN)/pytest tests src --doctest-modules -m "not integration" -n $(JOBS) --dist worksteal \
	  --cov --cov-report=term $(PYTEST_ARGS)

integration: $(DEV_READY) ## Tests on servers: SERVERS=embedded (default) or SERVERS=real
	$(BIN)/pytest tests -m integration --servers=$(SERVERS) $(PYTEST_ARGS)

faults: $(DEV_READY) ## Kill, stop, cut off and damage everything, on Apache Kafka and Redis: ten minutes
	$(BIN)/python -m tests.faults $(FAULTS_ARGS)

faults-long: $(DEV_READY) ## The same at random for an hour and at least 200 kills (FAULTS_ARGS="--seed 7")
	$(BIN)/python -m tests.faults --long $(FAULTS_ARGS)

bench: $(DEV_READY) ## Product, peers and limit on the same events: half an hour, or minutes with QUICK=1
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(BENCH_ARGS)

detection: $(DEV_READY) ## How often the detectors cry for nothing, and how soon they find what is there (DETECTION_ARGS="--seed 7")
	$(BIN)/python -m benchmarks.detection $(if $(DETECTION_ARGS),$(DETECTION_ARGS),--figures docs/figures)

fuzz: $(DEV_READY) ## Ten million broken messages for every decoder: about ten minutes (FUZZ_ARGS="--seed 7")
	$(BIN)/python -m tests.fuzz $(FUZZ_ARGS)

fmt: $(DEV_READY) ## Lay the code out and sort its imports
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean: ## Remove what was built, and .venv
	rm -rf $(VENV) .bench-venv build dist .coverage htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v "$(PYTHON)" >/dev/null \
	  || { echo "Tidegauge needs Python 3.11 or later, and there is no '$(PYTHON)': install it, or name another one (make PYTHON=...)." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Tidegauge needs Python 3.11 or later, and '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1): name another one (make PYTHON=...)." >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "'$(PYTHON)' cannot make a virtual environment: install its venv module (Debian: python3-venv)." >&2; exit 1; }

$(DEMO_READY): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded,demo]'
	@touch $@

$(DEV_READY): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded,baseline,demo,dev]'
	@touch $@ $(DEMO_READY)
