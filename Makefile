# make demo   the main job on embedded parts         make test   the whole gate
# make up     the platform with UI, until Ctrl-C     make lint   its static half
# make ui     the pages of embedded jobs

.DEFAULT_GOAL := help
SHELL := /bin/bash
UV_VERSION := 0.13.9
PORT ?= 4200
GATEWAY_PORT ?= 4300
# Three tests for two cores: those that wait for a server leave a core to others. In the order of
# their names the long ones, of whole platforms, come first.
TESTERS ?= $(shell echo $$(( ($$(nproc) * 3 + 1) / 2 )))

# The first Python that fits pyproject.toml and can make environments.
PYTHON ?= $(shell for candidate in python3.11 python3.12 python3; do \
	$$candidate -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
	2>/dev/null && command -v $$candidate && break; done)

BIN := .venv/bin
# Without its bytecode every process that a test starts compiles Prefect and Qiskit anew, for 4 s.
unexport PYTHONDONTWRITEBYTECODE
step = @printf '\n== %s\n' '$(1)'

.PHONY: help
help:
	@head -3 Makefile | cut -c3-
	@echo 'make docs   the documentation, into dist/docs'
	@echo 'make clean  caches, environments and built files away'

.PHONY: demo
demo: install
	@$(BIN)/python -m examples.demo

.PHONY: up
up: install
	@exec $(BIN)/python -m deployments.up --port $(PORT) --gateway-port $(GATEWAY_PORT) $(UP_ARGS)

.PHONY: ui
ui: install
	@exec $(BIN)/python -m deployments.ui --port $(PORT)

.PHONY: test
test: install
	@$(MAKE) --no-print-directory -j 2 -O lint .venv/.bytecode
	$(call step,pytest)
	@$(BIN)/pytest -m 'not slow' -n $(TESTERS) --maxprocesses 6 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# What the tests import, compiled once for a new environment: the testers, which start together,
# would each do it. What fails to import is left for pytest to tell.
.venv/.bytecode: .venv/.installed
	@$(BIN)/pytest --collect-only -qq -p no:cacheprovider >/dev/null 2>&1 || true
	@touch $@

.PHONY: lint types rules format contracts
lint: types rules format contracts  # the longest first

types: install
	$(call step,mypy)
	@$(BIN)/mypy

rules: install
	$(call step,ruff check)
	@$(BIN)/ruff check --quiet

format: install
	$(call step,ruff format --check)
	@$(BIN)/ruff format --check --quiet

contracts: install
	$(call step,import contracts)
	@$(BIN)/lint-imports --no-cache --no-logo > .import-contracts.log || { cat .import-contracts.log; exit 1; }
	@tail -3 .import-contracts.log; rm .import-contracts.log

.PHONY: docs
docs: install
	@$(BIN)/python -m sphinx -W --keep-going -q -j auto docs dist/docs
	@echo 'Written to dist/docs/index.html'

.PHONY: clean
clean:
	rm -rf .venv .uv dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment from the lock file. Without a change of it nothing is done, nor fetched.
.PHONY: install
install: .venv/.installed

.venv/.installed: uv.lock pyproject.toml | .uv/$(UV_VERSION)
	@echo 'Installing the locked environment into .venv'
	@UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV= .uv/bin/uv sync -qq --frozen --python '$(PYTHON)'
	@touch $@

.uv/$(UV_VERSION):
	@if [ -z '$(PYTHON)' ]; then echo 'Python 3.11 or 3.12 with its venv module is needed;' \
		'found $(shell python3 --version 2>&1). On Debian: apt-get install python3 python3-venv.' \
		'Elsewhere name one: make PYTHON=/path/to/python3.11.' >&2; exit 1; fi
	@echo 'Installing uv $(UV_VERSION) into .uv'
	@rm -rf .uv && '$(PYTHON)' -m venv .uv
	@.uv/bin/pip install --quiet --disable-pip-version-check 'uv==$(UV_VERSION)'
	@touch $@
