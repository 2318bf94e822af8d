# Two commands matter: `make run` and `make test`. Both set up whatever is missing.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
SITE := tests/accounts tests/bank tests/house tests/live tests/review
export PATH := $(BIN):$(PATH)

.PHONY: help run test test-postgres test-sqlite lint types e2e bank-check setup frontend

help:  ## This list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

run: setup frontend  ## Set up and serve the whole site on PORT (default 8000)
	@.ci/need bwrap:bubblewrap
	@exec $(BIN)/python manage.py serve

test: setup frontend  ## Set up and run every suite, with one summary at the end
	@.ci/need bwrap:bubblewrap redis-server:redis-server postgres:postgresql chromium:chromium
	@$(BIN)/python -m tests.all

test-postgres: setup frontend  ## The site's suites on PostgreSQL
	TEST_DB=postgres $(BIN)/python -m pytest $(SITE)

test-sqlite: setup frontend  ## The site's suites on SQLite
	TEST_DB=sqlite $(BIN)/python -m pytest $(SITE)

e2e: setup frontend  ## A real server and a real browser, through a whole interview
	$(BIN)/python -m pytest tests/e2e

lint: setup  ## ruff and import-linter
	$(BIN)/ruff check --quiet .
	$(BIN)/lint-imports --no-cache

types: setup  ## mypy, strict on engine, grading, sandbox
	$(BIN)/mypy

bank-check: setup  ## Every exemplar answer must get its band; every lab's solutions their verdicts
	$(BIN)/python -m pytest tests/bank/test_exemplars.py tests/sandbox/test_labs.py

setup: $(VENV)/.ready

# torch first, so that what needs it does not choose another build.
$(VENV)/.ready: pyproject.toml
	@echo "setting up Python (a few minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -o 'torch==[0-9.]*' pyproject.toml)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

frontend: frontend/dist/manifest.json

frontend/node_modules/.ready: frontend/package.json frontend/package-lock.json $(VENV)/.ready
	@echo "setting up the front end"
	@cd frontend && npm ci --no-audit --no-fund --silent
	@touch $@

# Folders, too: theirs is the date that changes when a file is taken away.
frontend/dist/manifest.json: frontend/node_modules/.ready $(shell find frontend/src frontend/public frontend/stubs 2>/dev/null) $(wildcard frontend/*.ts frontend/*.json)
	@cd frontend && npm run build --silent
