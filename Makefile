# What a person does with a clone. `make` alone prints the targets.
#
# Variables (make install NAME=value):
#   PYTHON       interpreter for .venv; the first of python3.11 ... python3 that is new enough
#   TORCH_INDEX  package index to take torch from, for example the CPU-only one that
#                https://pytorch.org/get-started/locally/ names; empty: pip's own configuration
#   PYTEST_ARGS  passed on to pytest; two processes, if nothing else is given

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
TORCH_INDEX ?=
# Two at a time halve the suite; files stay whole, since their tests share servers and models.
PYTEST_ARGS ?= -n 2 --dist loadfile

# A hub is never asked, in no target.
export HF_HUB_OFFLINE := 1

# The dashboard: what it is built from, and the page that stands for all that is built.
WEB := web/index.html web/package-lock.json $(wildcard web/*.json web/*.ts) $(shell find web/src web/public -type f)
PAGE := app/dashboard/static/index.html
NPM := PYTHON=$(abspath $(BIN)/python) web/npm.sh

.PHONY: help install dashboard demo serve test docs lint format constraints clean

help: ## print this
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 14

install: $(STAMP) ## make .venv with everything pinned, and the command `headroom` in it; build the dashboard
	@$(MAKE) --no-print-directory --silent dashboard || \
		echo "The dashboard is not built; everything else works without it. Again: make dashboard" >&2

dashboard: $(PAGE) ## build what the service shows at /, from web/ (Node.js 20.19 or newer)

$(PAGE): $(WEB) | $(STAMP)
	@$(NPM) ci --loglevel=error
	@$(NPM) run --silent build -- --logLevel warn

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Headroom needs Python 3.11 or newer (make install PYTHON=...)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing PyTorch and the pinned rest into $(VENV): a minute or two, once"
	@# torch first and alone, so that an index argument concerns nothing else.
	@$(BIN)/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) \
		"$$(grep '^torch==' constraints.txt)"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: install ## predict the memory of GPT-2's training step, run it for real, compare
	$(BIN)/headroom demo

serve: install ## start the service with one local worker
	$(BIN)/headroom serve

test: install ## the whole test suite
	$(BIN)/python -m pytest $(PYTEST_ARGS)
	@test ! -e $(PAGE) || $(NPM) test --silent

docs: install ## the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

lint: install ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

constraints: ## write constraints.txt anew from what .venv holds
	{ sed -n '/^#/p' constraints.txt; \
	  $(BIN)/python -m pip freeze --exclude-editable | sed -E 's/^(torch==[0-9.]+)\+.*/\1/'; } > constraints.new
	mv constraints.new constraints.txt

clean: ## remove .venv and caches
	rm -rf $(VENV) app/dashboard/static web/node_modules build dist ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
