# The two commands are `make repro` and `make test`; `make help` lists the others.

PYTHON ?= python3
EXTRAS ?=
LOCK := requirements$(if $(EXTRAS),-$(EXTRAS)).lock
READY := .venv/.ready$(if $(EXTRAS),-$(EXTRAS))
UV := 0.13.8
CHECKED := .dvc/tmp/settings
ifneq ($(filter-out gpu,$(EXTRAS)),)
$(error EXTRAS: expected gpu, or none (Ray is part of both). Received: $(EXTRAS))
endif
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export VIRTUAL_ENV := $(CURDIR)/.venv

.DEFAULT_GOAL := help
.PHONY: help repro test test-slow lint lock audit benchmarks clean-cache

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

repro: $(READY)  ## Run the whole pipeline; only what changed runs again
	@python -m stages.mend
	@[ $(CHECKED) -nt params.yaml ] || \
	  { touch $(CHECKED).new && python -m stages.settings && mv $(CHECKED).new $(CHECKED); }
	dvc repro
	@python -m stages.summary

test: lint  ## Check style and types, and run every quick test
	pytest -q -n auto --maxprocesses 4 --dist loadfile

test-slow: $(READY)  ## Run the tests of whole runs, clusters and real photographs
	pytest -q -rs -m slow -n auto --maxprocesses 2 --dist loadfile

lint: $(READY)  ## Check style and types
	ruff format --check -q .
	ruff check -q .
	mypy

benchmarks: $(READY)  ## Measure speed; writes benchmarks/results.json
	python -m benchmarks.run

lock: $(READY)  ## Pin the newest versions that pyproject.toml allows
	uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --extra dev pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --extra dev --extra gpu \
	  -c requirements.lock pyproject.toml -o requirements-gpu.lock

audit: $(READY)  ## Look the locked packages' known vulnerabilities up; needs the network
	uv tool run pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
	  -r requirements.lock
	uv tool run pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
	  -r requirements-gpu.lock

clean-cache:  ## Remove features and training states that were kept for later runs
	rm -rf .cache/features .cache/train

# With extras, an environment has all that it has without them as well: both are marked.
$(READY): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "error: expected Python 3.11 to 3.13. Received: $$($(PYTHON) --version). \
	Name another one: make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -q --disable-pip-version-check uv==$(UV)
	.venv/bin/uv pip install -q --compile-bytecode --require-hashes -r $(LOCK)
	.venv/bin/uv pip install -q --no-deps -e .
	@touch .venv/.ready $@
