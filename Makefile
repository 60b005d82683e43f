# Every target does its own set-up: on a bare clone `make up` and `make test` are all there is to type.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help
.PHONY: help setup check test up down contracts release generated bench observe containers worlds year drill doors faults seeded \
	sbom licences audit digests load

help:  ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: .venv/checks  ## everything the checks and tests need, into .venv

check: .venv/checks  ## format, lint, spelling, types, who imports whom, contracts and migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/python -m tests.architecture.stock
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m contracts.compatibility
	$(BIN)/python -m tests.architecture.migrations

test: .venv/checks  ## all tests, on a real Kafka and a real PostgreSQL, in two processes; what takes longest first
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests/pipeline tests/faults tests

worlds: .venv/checks  ## random worlds against the oracle, in a random order of their seeds (WORLDS=2000; FIRST_WORLD=0)
	WORLDS=$(or $(WORLDS),200) $(BIN)/python -m pytest -q -s tests/component/flagging/test_worlds.py

year: .venv/checks  ## a replayed school year, every figure compared with the facts, and a large district carried over (YEAR=0.03)
	YEAR=$(or $(YEAR),0.02) CARRIED=$(or $(CARRIED),10000) $(BIN)/python -m pytest -q -s \
		tests/pipeline/test_year.py tests/pipeline/test_carried_over.py

drill: .venv/checks  ## backups put back while Kafka is ahead, each behind further days and work (ROUNDS=10)
	RESTORE_ROUNDS=$(or $(ROUNDS),10) $(BIN)/python -m pytest -q -s tests/pipeline/test_restore_drill.py

doors: .venv/checks  ## everybody asks everything: requests from the table of routes across districts and roles (DOORS=100000)
	DOORS=$(or $(DOORS),100000) $(BIN)/python -m pytest -q -s tests/component/doors

faults: .venv/checks  ## random faults on the whole system, every figure recomputed (KILLS=1000, SEED, BROKERS=3, DENSE=1, ANEW=1; SHORT=1)
	$(BIN)/python -m tests.faults $(if $(SHORT),--short,--kills $(or $(KILLS),1000)) --seed $(or $(SEED),1) \
		--brokers $(or $(BROKERS),1) $(if $(DENSE),--kills-a-round 20 --times-a-round 8) $(if $(ANEW),--anew)

seeded: .venv/checks  ## eleven bugs, each put into a copy of this tree, and the control that must find it
	$(BIN)/python -m tests.faults.seeded

up: .venv/runs  ## the whole system on this machine, with a simulated state
	$(BIN)/leap up

down: .venv/runs  ## the end of it, leaving nothing behind
	$(BIN)/leap down --purge

contracts: .venv/checks  ## schemas and AsyncAPI documents from the event models; RELEASE=1 lists what is new as released
	$(BIN)/python -m contracts.generate
	$(if $(filter 1,$(RELEASE)),$(BIN)/python -m contracts.compatibility --release)

release: .venv/checks  ## a version: checked, listed as released, in the CHANGELOG, tagged (VERSION=x.y.z; RELEASING.md)
	@$(BIN)/python -m contracts.release --ready "$(VERSION)"
	$(MAKE) check
	@$(BIN)/python -m contracts.release "$(VERSION)"
	@$(BIN)/python -m deploy.supply.bill build/leap-$(VERSION).cdx.json

sbom: .venv/checks  ## the bill of materials, CycloneDX, into build/leap.cdx.json
	$(BIN)/python -m deploy.supply.bill build/leap.cdx.json

licences: .venv/checks  ## every part that runs, by its licence; fails for one that is not on the list
	$(BIN)/python -m deploy.supply.licences

audit: .venv/checks  ## known holes in what runs; ends with 4, proving nothing, where no service of advisories can be asked
	$(BIN)/python -m deploy.supply.audit

digests: .venv/checks  ## the images of others pinned by digest, where a registry can be asked, into deploy/images.env
	$(BIN)/python -m deploy.supply.digests

load: .venv/checks  ## half-sent requests, rubbish, uploads and plans: the desk and a neighbour before and during (SHORT=1)
	$(BIN)/python -m tests.doors $(if $(SHORT),--short)

generated: contracts  ## everything that is generated: contracts, rules and boards, compose files
	$(BIN)/python -m deploy.observability.generate
	$(BIN)/python -m deploy.containers.generate

bench: .venv/checks  ## speed against the peers and a state's days, on a real Kafka (SHORT=1, LONG=1, PARTS="day-rolls month")
	$(BIN)/python -m tests.bench $(if $(SHORT),--short) $(if $(LONG),--long) $(if $(PARTS),--parts $(PARTS))

observe: .venv/checks  ## metrics, boards and alerts, proved with a real Prometheus on the running stack
	$(BIN)/python -m deploy.observability.prove

containers: .venv/checks  ## images built and compose.yaml run for real, as root on Debian; installs podman
	$(BIN)/python -m deploy.containers.prove

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later with venv is needed (Debian: python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/runs: requirements.txt requirements-assets.txt pyproject.toml | .venv/bin/python
	@echo "installing what runs (hash-locked) ..."
	@$(PIP) --require-hashes -r requirements.txt
	@$(PIP) --require-hashes --no-deps -r requirements-assets.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/checks: requirements-dev.txt .venv/runs
	@echo "installing what checks (hash-locked) ..."
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@
