# Two commands do all the set-up: `make run` and `make test`.
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: run test check lint format conformance chaos bench bench-large drill help

run: $(VENV)/.runtime ## Run everything on this machine: service on PORT (5000), simulator on SIMULATOR_PORT (8090)
	@$(BIN)/python deploy/development.py

test: $(VENV)/.tools ## Run all tests, with their own PostgreSQL and a real Chromium
	@sh deploy/need-chromium.sh $(VENV)
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.tools ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: $(VENV)/.tools ## Try what `make test` leaves: failover, PgBouncer, nginx, PHP, alarm rules, the other database (installs them)
	@sh deploy/need-packages.sh pgbouncer nginx php=php-cli promtool=prometheus node=nodejs npm
	@npm ci --silent --ignore-scripts --no-audit --no-fund --prefix tests/spectral
	@php -m | grep -q pdo_sqlite || sh deploy/need-packages.sh pdo_sqlite=php-sqlite3
	@sh deploy/need-chromium.sh $(VENV)
	$(BIN)/pytest -m 'check and not alone' --timeout 600 --numprocesses auto --dist loadfile --no-loadscope-reorder
	$(BIN)/pytest -m alone

conformance: $(VENV)/.tools ## Try the simulator with the gateways' official SDKs
	$(BIN)/python tests/conformance

SEEDS ?= 7 8 9
DATABASES ?= sqlite postgresql
PAYMENTS ?= 2000
ROUNDS ?= 1000
STORM ?=

chaos: $(VENV)/.tools ## Storms with faults and kill -9, judged (SEEDS, DATABASES, PAYMENTS, ROUNDS; STORM=--help)
	$(BIN)/python -m tests.chaos $(SEEDS:%=--seed %) $(DATABASES:%=--database %) --payments $(PAYMENTS) $(STORM)
	CHAOS_ROUNDS=$(ROUNDS) $(BIN)/pytest tests/chaos/test_races.py

bench: $(VENV)/.tools ## Measure beside a peer in Express, 15 minutes (QUICK=1: two or three; OUTAGES=1: the worker in outages)
	@sh deploy/need-packages.sh wrk node=nodejs npm
	@npm ci --silent --no-audit --no-fund --prefix tests/bench/express
	$(BIN)/python -m tests.bench $(if $(QUICK),--quick) $(if $(OUTAGES),--outages)

LARGE ?= 1000000

bench-large: $(VENV)/.tools ## Measure on a database of a million payments beside a small one, half an hour (LARGE: how many)
	@sh deploy/need-packages.sh wrk node=nodejs
	$(BIN)/python -m tests.bench.large --payments $(LARGE)

ALARMS ?=

drill: $(VENV)/.tools ## Make one fault at a time in a running service: does the right alarm come? (ALARMS: some of them)
	$(BIN)/python -m tests.drill $(ALARMS)

format: $(VENV)/.tools ## Rewrite the code in the common style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

help: ## Say what can be made
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.runtime: requirements.txt
	@sh deploy/install.sh $(VENV) requirements.txt
	@touch $@

$(VENV)/.tools: requirements.txt requirements-celery.txt requirements-sentry.txt requirements-dev.txt
	@sh deploy/install.sh $(VENV) requirements-dev.txt
	@touch $@ $(VENV)/.runtime
