# Every recipe sets up what it needs first. `make` alone lists them.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-from-lock
UV := $(shell command -v uv 2>/dev/null)
export PYTHONPATH := $(CURDIR)
export DO_NOT_TRACK := 1
# Hundreds of processes start in a run of the tests: each would compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE

# The newest Python from 3.11 to 3.13 on PATH; `make PYTHON=/path/to/python3.12` chooses another.
IS_SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for candidate in python3.13 python3.12 python3.11 python3 python; do \
	$$candidate -c '$(IS_SUITABLE)' >/dev/null 2>&1 && command -v $$candidate && break; done)

# A variable of the command line that nothing here reads is a typo, and would be left out in silence.
VARIABLES := ARGS BENCH DOMAIN PROCESSES PYTHON REPOS SINCE TO UV VENV
OF_MAKE := SHELL MAKE% GNUMAKEFLAGS .%
UNREAD := $(filter-out $(VARIABLES) $(OF_MAKE),$(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name))))
NEAREST := import difflib, sys; print(*difflib.get_close_matches(sys.argv[1].upper(), sys.argv[2:], 1))
OR_WAS = $(addprefix ; did you mean ,$(addsuffix =,$(shell $(PYTHON) -c '$(NEAREST)' '$(1)' $(VARIABLES))))
ifneq ($(UNREAD),)
$(error $(foreach name,$(UNREAD),nothing here reads $(name)=$(call OR_WAS,$(name)).) There are: $(VARIABLES))
endif

# Systems and deployments spell domains with hyphens.
override DOMAIN := $(subst -,_,$(DOMAIN))
RECIPES := help setup run up report docs status stop clean test check test-all faults bench lint audit format types dbt psql doctor env shell lock
# A domain among the goals would be found to be none only when the others have run, for all domains.
SLUGS := $(filter-out $(RECIPES),$(notdir $(wildcard flows/[a-z]*)))
NO_GOALS := $(filter $(SLUGS) $(subst _,-,$(SLUGS)),$(MAKECMDGOALS))
ifneq ($(NO_GOALS),)
$(error there is no recipe $(NO_GOALS); did you mean make $(or $(filter-out $(NO_GOALS),$(MAKECMDGOALS)),run) DOMAIN=$(subst -,_,$(firstword $(NO_GOALS))))
endif

# What people do, by its one name: bin/flows --help.
FLOWS := bin/flows
NAMED = test -n "$(DOMAIN)" || { echo "Name a domain: make $@ DOMAIN=scout"; exit 2; }
# One more than there are cores: tests wait for servers, databases and each other's builds.
PROCESSES ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))
PYTEST = $(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder
HAS_TESTS = test -z "$(DOMAIN)" || test -d "tests/$(DOMAIN)" || { echo "Testing $(DOMAIN): there is none of that name. There are: $(notdir $(wildcard flows/[a-z]*))"; exit 2; }
TESTS := $(if $(DOMAIN),$(wildcard tests/$(DOMAIN)) tests/dbt_projects -k "$(DOMAIN) or not dbt_projects")

MEND = { echo "\`make format\` mends what a tool can; the rest is named above, by file and line"; exit 1; }

BENCHMARKS = $(filter-out __init__,$(basename $(notdir $(wildcard tests/benchmarks/*.py))))

.PHONY: $(RECIPES)

help: ## list the recipes
	@echo "make run                         run every domain on this machine, from set-up to a table of results"
	@echo "make run DOMAIN=github_scraper REPOS=\"<url or path> ...\""
	@echo
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  %-10s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv from requirements.lock

$(STAMP): requirements.lock
	@test -n "$(PYTHON)" || { echo "No Python from 3.11 to 3.13 on PATH. Install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c '$(IS_SUITABLE)' || { echo "$(PYTHON) is not a Python from 3.11 to 3.13. Name another: make PYTHON=/path/to/python3.12"; exit 1; }
	@echo "Setting up $(VENV) (the first time takes some minutes)"
ifdef UV
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	@$(UV) pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements.lock
else
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
endif
	@touch $@

run: $(STAMP) ## run domains and show the results (DOMAIN= one of them, REPOS= git repositories)
	@$(FLOWS) run $(DOMAIN) $(addprefix --repo ,$(REPOS))

up: $(STAMP) ## start PostgreSQL, the Prefect server and a worker; apply blocks and deployments
	@$(FLOWS) up

report: $(STAMP) ## make the report site of what is on this machine (TO= a folder, gs:// or s3:// address)
	@$(FLOWS) report $(if $(TO),--to $(TO))

docs: $(STAMP) ## make the documentation a site that can be searched (TO= a folder)
	@$(FLOWS) docs $(if $(TO),--to $(TO))

status: $(STAMP) ## show what runs
	@$(FLOWS) status

stop: $(STAMP) ## stop what `make run` and `make up` started; the data stays
	@$(FLOWS) stop

clean: $(STAMP) ## stop everything and remove .local/
	@$(FLOWS) clean

test: $(STAMP) ## run the tests (DOMAIN= those of one domain, ARGS= for pytest)
	@$(HAS_TESTS)
	@$(PYTEST) $(TESTS) $(ARGS)

check: $(STAMP) ## lint, types and tests of what changed, within a minute (SINCE= a commit, else main)
	@$(BIN)/python -m tests.check $(SINCE)

test-all: $(STAMP) ## run the exhaustive checks, too, in any order
	@$(HAS_TESTS)
	@$(PYTEST) --exhaustive --shuffle $(TESTS) $(ARGS)

faults: $(STAMP) ## faults at every stage of every domain, each with a comparison (ARGS= "--seed 7 --domain scout")
	@$(BIN)/python -m tests.faults $(ARGS)

bench: $(STAMP) ## run the benchmarks and print their figures (BENCH= one of tests/benchmarks)
	@for name in $(or $(BENCH),$(BENCHMARKS)); do echo "== $$name"; $(BIN)/python -m tests.benchmarks.$$name $(ARGS) || exit 1; done

lint: $(STAMP) ## ruff, import-linter, sqlfluff, the check of prefect.yaml
	@$(BIN)/ruff check . || $(MEND)
	@$(BIN)/ruff format --check . || $(MEND)
	@$(BIN)/lint-imports || { echo "docs/architecture.md says which room may import which; the contracts are in pyproject.toml"; exit 1; }
	@$(BIN)/python -m deployments.check
	@$(BIN)/sqlfluff lint --processes 0 --disable-progress-bar dbt_projects || $(MEND)

audit: $(STAMP) ## committed secrets, locks, workflows; known vulnerabilities where the network is there
	@$(BIN)/python -m deployments.audit $(ARGS)

format: $(STAMP) ## let ruff and sqlfluff correct what they can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/sqlfluff fix dbt_projects

types: $(STAMP) ## mypy
	@$(BIN)/mypy

dbt: $(STAMP) ## plain dbt against the domain's database (DOMAIN=, ARGS="build -s ...")
	@$(NAMED)
	@$(FLOWS) dbt $(DOMAIN) $(ARGS)

psql: $(STAMP) ## psql, or DuckDB's prompt, on the domain's database (DOMAIN=, ARGS="-c '...'")
	@$(NAMED)
	@$(FLOWS) psql $(DOMAIN) $(ARGS)

doctor: $(STAMP) ## find what is wrong with a set-up, with cause and remedy
	@$(FLOWS) doctor

env: $(STAMP) ## print that environment: eval "$$(make -s env)"
	@$(FLOWS) env

shell: $(STAMP) ## a shell in which `prefect` and `dbt` use the local server
	@$(FLOWS) shell

lock: ## make requirements.lock anew from pyproject.toml (needs uv)
	@test -n "$(UV)" || { echo "make lock needs uv: https://docs.astral.sh/uv/"; exit 1; }
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --extra local --extra dev --no-annotate --custom-compile-command "make lock" \
		--python-version 3.11 pyproject.toml -o requirements.lock
	$(UV) pip compile --quiet --python-platform linux --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" \
		--python-version 3.11 --constraint requirements.lock pyproject.toml -o deployments/image/requirements.lock
