# `make demo` and `make test` do all their own set-up in .venv; they need Python 3.11 or 3.12 and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 3000
FOLDER ?= .al/demo
DESK_PORT ?= 8200
DESK_FOLDER ?= .al/demo-desk
AL_VLLM_PYTHON ?= $(wildcard $(CURDIR)/.venv-vllm/bin/python)
# Processes that share the tests: one a core, at most four, as each holds one or two GB; 0 runs all of them in one.
WORKERS ?= logical
PYTEST_ARGS ?=
LONG = slow or daemon or browser or postgres or ray or vllm or label_studio
AL_LABEL_STUDIO_PYTHON ?= $(wildcard $(CURDIR)/.venv-label-studio/bin/python)
export AL_VLLM_PYTHON AL_LABEL_STUDIO_PYTHON

.PHONY: help demo demo-desk dev test test-all check bench format clean

help:
	@echo "make demo    run three iterations on real text with real models (about 5 minutes on two cores)"
	@echo "make demo-desk   label the demo's first queue by hand on http://127.0.0.1:$(DESK_PORT)"
	@echo "make dev     open the loop in the Dagster UI on http://127.0.0.1:$(PORT) (AL_POLICY=FILE for your own policy)"
	@echo "make test    run the tests that need no training, server or browser (about 5 minutes on two cores)"
	@echo "make test-all   run every test that this machine can run (about half an hour)"
	@echo "make check   lint, types, import directions"
	@echo "make bench   list the benchmarks and run the shortest (BENCH='desk --json' runs the one you name)"

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 13), "Python 3.11 or 3.12 is needed, this is " + sys.version.split()[0]'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,postgres]'
	touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/.demo
	$(BIN)/al demo --folder $(FOLDER)

demo-desk: $(VENV)/.demo
	$(BIN)/al demo-desk --folder $(DESK_FOLDER) --port $(DESK_PORT)

dev: $(VENV)/.demo
	@if [ -z "$(AL_POLICY)" ]; then $(BIN)/al demo --prepare-only --folder $(FOLDER); fi
	@mkdir -p $(if $(AL_POLICY),.al/dagster,$(FOLDER)/dagster)
	@cp -n al_assets/automation/dagster.yaml $(if $(AL_POLICY),.al/dagster,$(FOLDER)/dagster)/ || true
	AL_POLICY=$(abspath $(or $(AL_POLICY),$(FOLDER)/policy.yaml)) \
	DAGSTER_HOME=$(abspath $(if $(AL_POLICY),.al/dagster,$(FOLDER)/dagster)) \
	exec $(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p $(PORT)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 -m "not ($(LONG))" $(PYTEST_ARGS)

test-all: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 $(PYTEST_ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	@$(if $(BENCH),,$(BIN)/python -m benchmarks --help)
	$(BIN)/python -m benchmarks $(or $(BENCH),selection --n 20000)

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .venv-vllm .venv-label-studio .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
