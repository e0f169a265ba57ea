# hand2vec: `make book` and `make test` need Python 3.11 or newer and make, nothing else.

PYTHON ?= python3
PROFILE ?= quick
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SNAKEMAKE := $(BIN)/snakemake --snakefile workflow/Snakefile --cores all --rerun-incomplete

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help book records unlock test lab lint clean

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  PROFILE=quick (minutes, built-in data), smoke (a few minutes, to try) or full (the stored runs, read)"

book: $(INSTALLED) ## run the chapters and build the book (PROFILE=quick)
	@$(BIN)/thesis book --profile $(PROFILE)

records: $(INSTALLED) ## carry out the larger runs that have no record yet (hours on two cores)
	@$(SNAKEMAKE) --keep-going records

unlock: $(INSTALLED) ## after book or records was killed from outside: let it start again
	@$(SNAKEMAKE) --quiet all --unlock

test: $(INSTALLED) ## run the whole test suite
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

lab: $(INSTALLED) ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab notebooks

lint: $(INSTALLED) ## check style
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

clean: ## remove what the commands made, checkpoints too (not .venv, not data/)
	rm -rf build _build book/executed book/generated book/_static/vendor .snakemake .pytest_cache .ruff_cache

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "hand2vec needs Python 3.11 or newer. '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "setting up $(VENV), a minute or two"
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv --clear $(VENV) || { \
	  echo "could not make $(VENV); on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt uv
	@VIRTUAL_ENV='$(CURDIR)/$(VENV)' $(BIN)/uv pip install --quiet --compile-bytecode -c constraints.txt \
	  $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS)) -e '.[book,test]'
	@touch $@
