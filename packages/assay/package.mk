# What develops Assay itself, as targets of the Makefile of the template, which includes this file.
.PHONY: test-all lint-all lock-all schemas bench bench-serve gate-bench load-bench push-bench

test-all: test $(VENV)/.package  ## the tests of the project, of Assay, and of a generated project
	@cd packages/assay && pytest --numprocesses auto

lint-all: lint $(VENV)/.package  ## the same of the project and of Assay, and the workflows
	@cd packages/assay && mypy
	@python packages/assay/tests/workflows/lint.py

LOCK := packages/assay/requirements/dev.txt

# What a lock holds is preferred: here the pins of the project.
lock-all: lock  ## the locks of the project, and those of the tests of Assay
	@$(if $(FRESH),rm -f $(LOCK) packages/assay/requirements/mlflow-server.txt)
	@cat requirements/dev.txt >> $(LOCK)
	@$(call resolve,dev,requirements/dev.in packages/assay/requirements/dev.in,packages/assay/requirements)
	@$(COMPILE) packages/assay/requirements/mlflow-server.in --output-file packages/assay/requirements/mlflow-server.txt

schemas: $(VENV)/.train  ## the JSON schemas of contract.yaml and params.yaml, from their types
	@python -m assay.project.schemas

bench: $(VENV)/.package  ## what the pipeline costs, as ratios; takes some ten minutes
	@python packages/assay/bench/bench.py

bench-serve: $(VENV)/.package  ## how fast the service is, compared with others of the same model; needs wrk, takes some ten minutes
	@test -d $(VENV)-peers || $(UV) venv --quiet $(VENV)-peers
	@$(UV) pip install --quiet --python $(VENV)-peers/bin/python --requirement packages/assay/bench/peers/requirements.in
	@test -d $(VENV)-served || $(UV) venv --quiet $(VENV)-served
	@$(UV) pip install --quiet --python $(VENV)-served/bin/python --require-hashes --requirement requirements/serve.txt
	@rm -f $(VENV)-served/*.whl
	@python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir $(VENV)-served ./packages/assay
	@$(UV) pip install --quiet --python $(VENV)-served/bin/python --no-deps --reinstall $(VENV)-served/*.whl
	@python packages/assay/bench/serve.py --peers $(VENV)-peers --served $(VENV)-served

SEEDS ?= 20

gate-bench: $(VENV)/.package  ## how often bad changes are caught and harmless ones pass, over SEEDS=20; takes hours
	@python packages/assay/bench/gates.py --seeds $(SEEDS)

load-bench: $(VENV)/.package  ## how often faults in the service are caught, and that the same passes; takes an hour
	@assay repro > /dev/null
	@python packages/assay/bench/load.py

push-bench: $(VENV)/.package  ## what lies between a push and what may be merged, step by step; takes some ten minutes
	@python packages/assay/bench/pushes.py

$(VENV)/.package: packages/assay/requirements/dev.txt $(VENV)/.dev
	@echo "set-up: installing $< into $(VENV)" >&2
	@$(call install,$<)
	@touch $@
