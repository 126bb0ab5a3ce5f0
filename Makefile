# Every target works straight after `git clone`, on a machine with Python 3.11 or newer, git and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := UV_PYTHON_DOWNLOADS=never $(BIN)/uv
# `dvc` and `assay` of this project, for the commands that the stages of dvc.yaml run.
export PATH := $(abspath $(BIN)):$(PATH)
# Some images set it. Each command would compile all that it imports, and start in three times the time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help repro tune pr serve bento image loadtest test lint audit format bench bench-serve gate-bench load-bench push-bench lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

repro: $(VENV)/.train  ## fetch the data, train and judge the model, show the results; only what changed is run
	@assay repro

tune: $(VENV)/.train  ## search for a better model, and write what was found into params.yaml
	@assay tune
	@assay repro

pr: $(VENV)/.train  ## all that a pull request runs, against BASE (default: the merge base with main)
	@assay pr

serve: $(VENV)/.train  ## serve the model on port 3000
	@assay repro > /dev/null
	@bentoml serve

bento: $(VENV)/.train  ## pack the model and its service as a Bento
	@assay repro > /dev/null
	@bentoml build

BACKEND ?= docker

image: $(VENV)/.dev  ## pack the Bento as an image, and list what is in it in build/sbom.json; BACKEND=podman for podman, NAME= its name
	@assay repro > /dev/null
	@bento=$$(bentoml build --output tag) && bento=$${bento#__tag__:} && bentoml containerize "$$bento" \
		--backend $(BACKEND) $(if $(NAME),--image-tag $(NAME)) $(if $(filter podman buildah,$(BACKEND)),--opt format=docker) && mkdir -p build && \
		folder=$$(python -c 'import bentoml, sys; print(bentoml.get(sys.argv[1]).path)' "$$bento") && \
		grep -v '^bentoml==[^ ]*$$' "$$folder/env/python/requirements.txt" > build/requirements.txt && \
		cyclonedx-py requirements --output-reproducible --output-file build/sbom.json build/requirements.txt

loadtest: $(VENV)/.train  ## load the built service beside the champion's, and write reports/loadtest.html; LONG=--long takes ten minutes
	@assay repro > /dev/null
	@assay loadtest $(LONG)

test: $(VENV)/.dev  ## all tests
	@pytest --numprocesses auto

lint: $(VENV)/.dev  ## formatting, lint, types, workflows, and the size of the embedded remote
	@ruff format --check
	@ruff check
	@mypy
	@pre-commit validate-config
	@assay remote check
	@python packages/assay/tests/workflows/lint.py

audit: $(VENV)/.dev  ## known weaknesses of the packages that are installed
	@pip-audit --require-hashes --disable-pip --progress-spinner off -r requirements/train.txt -r requirements/setup.txt

format: $(VENV)/.dev  ## put the code into the one format
	@ruff format
	@ruff check --fix

bench: $(VENV)/.dev  ## what the pipeline costs, as ratios; takes some ten minutes
	@python packages/assay/bench/bench.py

bench-serve: $(VENV)/.dev  ## how fast the service is beside others of the same model; needs wrk, takes some ten minutes
	@test -d $(VENV)-peers || $(UV) venv --quiet $(VENV)-peers
	@$(UV) pip install --quiet --python $(VENV)-peers/bin/python --requirement bench/peers/requirements.in
	@test -d $(VENV)-served || $(UV) venv --quiet $(VENV)-served
	@$(UV) pip install --quiet --python $(VENV)-served/bin/python --require-hashes --requirement requirements/serve.txt
	@python packages/assay/bench/serve.py --peers $(VENV)-peers --served $(VENV)-served

SEEDS ?= 20

gate-bench: $(VENV)/.dev  ## how surely bad changes are caught and harmless ones pass, over SEEDS=20; takes hours
	@python packages/assay/bench/gates.py --seeds $(SEEDS)

load-bench: $(VENV)/.dev  ## how surely faults in the service are caught, and that the same passes; takes an hour
	@assay repro > /dev/null
	@python packages/assay/bench/load.py

push-bench: $(VENV)/.dev  ## what lies between a push and its comment, step by step; takes some ten minutes
	@python packages/assay/bench/pushes.py

lock: $(VENV)/.setup  ## resolve the requirements anew, to the newest releases that go together
	@rm -f requirements/dev.txt requirements/mlflow-server.txt
	@for use in dev mlflow-server; do \
		$(UV) pip compile --quiet --no-header --no-annotate --no-emit-index-url --generate-hashes --universal \
			--python-version 3.11 --fork-strategy fewest requirements/$$use.in \
			--output-file requirements/$$use.txt || exit 1; \
	done
	@for use in setup train serve serve-sklearn mlflow remotes readers; do \
		$(UV) pip compile --quiet --no-header --no-annotate --no-emit-index-url --generate-hashes --universal \
			--python-version 3.11 --fork-strategy fewest requirements/$$use.in \
			--constraint requirements/dev.txt --output-file requirements/$$use.txt || exit 1; \
	done

clean:  ## remove the environment and what the pipeline made; data and cache stay
	@rm -rf $(VENV) build models plots reports

# The packages of a lock, installed with their hashes. uv is fast; where it cannot reach the packages and pip can (a
# mirror that only pip is told of), pip does the same.
define install
$(UV) pip install --quiet --python $(VENV) --require-hashes -r $(1) \
	|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1)
endef

# Assay itself: its source where that is part of this repository, else the wheel that requirements/assay.txt names by hash.
define install_assay
if [ -d packages/assay ]; then \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e packages/assay; \
else \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps --require-hashes -r requirements/assay.txt; \
fi
endef

# An environment is complete when its stamp is there.
$(VENV)/.setup: requirements/setup.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Assay needs Python 3.11 or newer")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/.train $(VENV)/.dev: $(VENV)/.%: requirements/%.txt pyproject.toml .dvc/config $(VENV)/.setup
	@echo "set-up: installing requirements/$*.txt into $(VENV)" >&2
	@$(call install,$<)
	@if grep -q '://' .dvc/config; then $(call install,requirements/remotes.txt); fi
	@$(call install_assay)
	@touch $@
