# The short way in. Needs Python 3.11 or later and nothing else; everything is installed into .venv.
# `nox -l` lists the longer ways.

PYTHON ?= python3
BIN := .venv/bin
PIP := PIP_ROOT_USER_ACTION=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test check clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

demo: .venv/.demo ## heartbeat, lookups and the noncompliant list, against a local server
	$(BIN)/mdm demo

test: .venv/.nox ## run all tests
	$(BIN)/nox -s tests

check: .venv/.nox ## style, types, documentation and wheels
	$(BIN)/nox -s lint types docs wheel

clean: ## remove what was built and installed here
	rm -rf .venv .nox dist docs/_build .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The stamps keep a second call from installing again.
.venv/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[cli,simulator]'
	@touch $@

.venv/.nox: constraints.txt | $(BIN)/python
	$(PIP) nox uv
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv .venv
