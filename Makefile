# Every target works straight after `git clone`, on a machine with Python 3.11 or newer, git and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := UV_PYTHON_DOWNLOADS=never $(BIN)/uv
# `dvc` and `assay` of this project, for the commands that the stages of dvc.yaml run.
export PATH := $(abspath $(BIN)):$(PATH)
# Some images set it. Each command would compile all that it imports, and start in three times the time.
unexport PYTHONDONTWRITEBYTECODE
# Some people have it set; packages would go to their home, where this environment does not look.
export PIP_USER := no

.DEFAULT_GOAL := help
.PHONY: help repro tune pr serve bento image loadtest test lint audit format lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

image: $(VENV)/.dev  ## pack the Bento as an image, and list what is in it in build/sbom.json; BACKEND=podman, NAME= its name
	@assay repro > /dev/null
	@assay image --backend $(BACKEND) $(if $(NAME),--name $(NAME))

loadtest: $(VENV)/.train  ## load the service and the champion's, and write reports/loadtest.html; LONG=--long takes ten minutes
	@assay repro > /dev/null
	@assay loadtest $(LONG)

test: $(VENV)/.dev  ## the tests of data, features, model, service and workflows
	@assay repro > /dev/null
	@pytest

lint: $(VENV)/.dev  ## formatting, lint, types, workflows, and the size of the embedded remote
	@ruff format --check
	@ruff check
	@mypy
	@pre-commit validate-config
	@assay remote check
	@zizmor --offline --quiet .github

audit: $(VENV)/.dev  ## known vulnerabilities of the packages that are installed
	@pip-audit --require-hashes --disable-pip --progress-spinner off -r requirements/train.txt -r requirements/setup.txt

format: $(VENV)/.dev  ## put the code into the one format
	@ruff format
	@ruff check --fix

lock: $(VENV)/.setup  ## resolve the requirements again; the pins of the locks stay, FRESH=1 takes the newest releases
	@$(if $(FRESH),rm -f requirements/dev.txt)
	@$(call resolve,dev,requirements/dev.in)
	@$(call resolve,train,requirements/train.in --constraint requirements/dev.txt)
	@for use in serve serve-sklearn; do \
		$(call resolve,$$use,requirements/serve.in --constraint requirements/dev.txt) || exit 1; \
	done
	@for use in init mlflow remotes; do \
		$(call resolve,$$use,--constraint requirements/dev.txt) || exit 1; \
	done
	@$(COMPILE) requirements/setup.in --constraint requirements/dev.txt --output-file requirements/setup.txt

clean:  ## remove the environment and what the pipeline made; data and cache stay
	@rm -rf $(VENV) build models plots reports

COMPILE := $(UV) pip compile --quiet --no-header --no-annotate --no-emit-index-url --no-emit-package assay \
	--generate-hashes --universal --python-version 3.11 --fork-strategy fewest
# The lock of what Assay needs for a use, with further requirements, in a folder; Assay itself is in no lock.
ASSAY := ./$(firstword $(wildcard packages/assay vendor/assay-*.whl))
resolve = echo "$(ASSAY)[$(1)]" | $(COMPILE) - $(2) --output-file $(or $(3),requirements)/$(1).txt

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

# Where it comes from: when one of these changes, it is installed again.
INSTALLED := $(wildcard packages/assay/pyproject.toml requirements/assay.txt)

# The scripts of an environment hold its path: one that was moved, or copied with the folder, is made again.
MOVED := $(shell cd $(VENV) 2> /dev/null && test -s .setup && test "$$(cat .setup)" != "$$(pwd -P)" && echo moved)
.PHONY: moved

# An environment is complete when its stamp is there.
$(VENV)/.setup: requirements/setup.txt $(MOVED)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Assay needs Python 3.11 or newer")'
	@$(PYTHON) -m venv $(if $(MOVED),--clear) $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@cd $(VENV) && pwd -P > .setup

$(VENV)/.train $(VENV)/.dev: $(VENV)/.%: requirements/%.txt pyproject.toml .dvc/config $(INSTALLED) $(VENV)/.setup
	@echo "set-up: installing requirements/$*.txt into $(VENV)" >&2
	@$(call install,$<)
	@if grep -q '://' .dvc/config; then $(call install,requirements/remotes.txt); fi
	@$(call install_assay)
	@touch $@

# What develops Assay itself; in the template alone.
-include packages/assay/package.mk
