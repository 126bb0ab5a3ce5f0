# Every target works straight after `git clone`, on a machine with Python 3.11 or newer, git and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := UV_PYTHON_DOWNLOADS=never $(BIN)/uv
# The stages in dvc.yaml run the `dvc` and `assay` of this project.
export PATH := $(abspath $(BIN)):$(PATH)
# Some images set it. Then each command compiles everything it imports, and takes three times as long to start.
unexport PYTHONDONTWRITEBYTECODE
# Some people have it set; packages would go to their home, where this environment does not look.
export PIP_USER := no

.DEFAULT_GOAL := help
.PHONY: help repro tune pr serve bento image loadtest cluster test lint secrets audit format lock lock-cml cml clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

repro: $(VENV)/.train  ## fetch the data, train and evaluate the model, show the results; runs only what changed
	@assay repro

tune: $(VENV)/.train  ## search for a better model and write it to params.yaml
	@assay tune
	@assay repro

pr: $(VENV)/.train  ## everything a pull request runs, against BASE (default: the merge base with main)
	@assay pr

serve: $(VENV)/.train  ## serve the model on port 3000
	@assay repro > /dev/null
	@bentoml serve

bento: $(VENV)/.train  ## pack the model and its service as a Bento
	@assay repro > /dev/null
	@tag=$$(bentoml build --output tag) && echo "built $${tag#__tag__:}"

BACKEND ?= docker

image: $(VENV)/.dev  ## build the image of the Bento, with an SBOM in build/sbom.json; BACKEND=podman, NAME= its name
	@assay repro > /dev/null
	@assay image --backend $(BACKEND) $(if $(NAME),--name $(NAME))

loadtest: $(VENV)/.train  ## load-test the service against the champion's, and write reports/loadtest.html; LONG=--long takes ten minutes
	@assay repro > /dev/null
	@assay loadtest $(LONG)

cluster: $(VENV)/.train  ## a Dask cluster of two workers, for `assay score --engine dask --address tcp://127.0.0.1:8786`; Ctrl-C ends it
	@$(call install,requirements/dask.txt)
	@assay cluster

test: $(VENV)/.dev  ## the tests of data, features, model, service and workflows
	@assay repro > /dev/null
	@pytest

lint: secrets  ## formatting, lint, types, workflows, secrets, and the size of the embedded remote
	@ruff format --check
	@ruff check
	@mypy
	@pre-commit validate-config
	@assay remote check
	@zizmor --offline --quiet .github

secrets: $(VENV)/.dev  ## passwords, keys and tokens in the files that git tracks; IN= patterns of some of them
	@$(if $(IN),git ls-files -z $(IN) | xargs -0) pre-commit run --hook-stage manual secrets $(if $(IN),--files,--all-files)

audit: $(VENV)/.dev  ## known vulnerabilities of the installed packages
	@pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r requirements/train.txt -r requirements/setup.txt

format: $(VENV)/.dev  ## format the code
	@ruff format
	@ruff check --fix

lock: $(VENV)/.setup  ## resolve the requirements again; keeps the pins, FRESH=1 takes the newest releases
	@$(if $(FRESH),rm -f requirements/dev.txt)
	@$(call resolve,dev,requirements/dev.in)
	@$(call resolve,train,requirements/train.in --constraint requirements/dev.txt)
	@for use in serve serve-sklearn; do \
		$(call resolve,$$use,requirements/serve.in --constraint requirements/dev.txt) || exit 1; \
	done
	@for use in init mlflow remotes dask; do \
		$(call resolve,$$use,--constraint requirements/dev.txt) || exit 1; \
	done
	@$(COMPILE) requirements/setup.in --constraint requirements/dev.txt --output-file requirements/setup.txt

CML := npm --prefix .github/cml --ignore-scripts --no-audit --no-fund

lock-cml:  ## lock the packages of CML, which posts the report, by hash; needs npm
	@$(CML) update --package-lock-only --omit-lockfile-registry-resolved

cml:  ## install CML by its lock
	@$(CML) ci

clean:  ## remove the environment and the results of the pipeline; keeps data and cache
	@rm -rf $(VENV) build models plots reports

COMPILE := $(UV) pip compile --quiet --no-header --no-annotate --no-emit-index-url --no-emit-package assay \
	--generate-hashes --universal --python-version 3.11 --fork-strategy fewest
# Lock an extra of Assay, with further requirements, in a folder; Assay itself is in no lock.
ASSAY := ./$(firstword $(wildcard packages/assay vendor/assay-*.whl))
resolve = echo "$(ASSAY)[$(1)]" | $(COMPILE) - $(2) --output-file $(or $(3),requirements)/$(1).txt

# Install the packages of a lock with their hashes. uv is fast; if only pip can reach the packages (through a mirror in
# pip's configuration), pip does the same.
define install
$(UV) pip install --quiet --python $(VENV) --require-hashes -r $(1) \
	|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1)
endef

# Install Assay itself: from its source if this repository has it, else the wheel locked by hash in requirements/assay.txt.
define install_assay
if [ -d packages/assay ]; then \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e packages/assay; \
else \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps --require-hashes -r requirements/assay.txt; \
fi
endef

# When one of these changes, Assay is installed again.
INSTALLED := $(wildcard packages/assay/pyproject.toml requirements/assay.txt)

# The scripts of an environment hold its path: an environment that was moved or copied with the folder is made again.
MOVED := $(shell cd $(VENV) 2> /dev/null && test -s .setup && test "$$(cat .setup)" != "$$(pwd -P)" && echo moved)
.PHONY: moved

# An environment is complete when its stamp file exists.
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

# Development of Assay itself; only in the template.
-include packages/assay/package.mk
