# Targets for the development of Assay itself; the Makefile of the template includes this file.
.PHONY: test-all lint-all lock-all schemas docs pictures bench bench-models bench-serve bench-monitor bench-scale gate-bench load-bench push-bench

test-all: test $(VENV)/.package  ## the tests of the project, of Assay and of a generated project
	@cd packages/assay && pytest --numprocesses auto

lint-all: lint $(VENV)/.package  ## lint the project, Assay and the workflows
	@cd packages/assay && mypy
	@python packages/assay/tests/workflows/lint.py

LOCK := packages/assay/requirements/dev.txt

# The resolver prefers pins that are already in the lock: here those of the project.
lock-all: lock  ## lock the requirements of the project and of Assay's tests
	@$(if $(FRESH),rm -f $(LOCK) $(addprefix packages/assay/requirements/,mlflow-server.txt docs.txt spark.txt))
	@cat requirements/dev.txt >> $(LOCK)
	@$(call resolve,dev,requirements/dev.in packages/assay/requirements/dev.in,packages/assay/requirements)
	@for use in mlflow-server docs spark; do \
		$(COMPILE) packages/assay/requirements/$$use.in --output-file packages/assay/requirements/$$use.txt || exit 1; \
	done

schemas: $(VENV)/.train  ## what is generated from types and commands: JSON schemas, and the reference in the manual
	@python -m assay.project.schemas
	@PYTHONPATH=packages/assay/tests python packages/assay/tests/docs/reference.py

SITE := $(VENV)-docs

docs: $(SITE)/.made  ## the manual as a site, in packages/assay/build/site
	@NO_MKDOCS_2_WARNING=1 $(SITE)/bin/mkdocs build --quiet --strict --config-file packages/assay/mkdocs.yml
	@echo "packages/assay/build/site/index.html"

$(SITE)/.made: packages/assay/requirements/docs.txt
	@$(PYTHON) -m venv $(SITE)
	@$(SITE)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

pictures: $(VENV)/.package  ## the pictures of the README, from a real run; needs Chromium and npm, takes five minutes
	@PYTHONPATH=packages/assay/tests python packages/assay/tests/docs/pictures.py

bench: $(VENV)/.package  ## measure the pipeline, as ratios; takes about ten minutes
	@python packages/assay/bench/bench.py

bench-serve: $(VENV)/.package  ## compare the speed of the service with other servers of the same model; needs wrk, takes about ten minutes
	@test -d $(VENV)-peers || $(UV) venv --quiet $(VENV)-peers
	@$(UV) pip install --quiet --python $(VENV)-peers/bin/python --requirement packages/assay/bench/peers/requirements.in
	@test -d $(VENV)-served || $(UV) venv --quiet $(VENV)-served
	@$(UV) pip install --quiet --python $(VENV)-served/bin/python --require-hashes --requirement requirements/serve.txt
	@rm -f $(VENV)-served/*.whl
	@python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir $(VENV)-served ./packages/assay
	@$(UV) pip install --quiet --python $(VENV)-served/bin/python --no-deps --reinstall $(VENV)-served/*.whl
	@python packages/assay/bench/serve.py --peers $(VENV)-peers --served $(VENV)-served

# The libraries of the page on own families are tried beside those of Assay; the tools have an environment of their own.
bench-models: $(VENV)/.package  ## compare the models with those of AutoML tools on the same rows and in the same time; OPTIONS="--data FOLDER --ablation"; takes an hour
	@test -d $(VENV)-models || $(UV) venv --quiet $(VENV)-models
	@$(UV) pip install --quiet --python $(VENV)-models/bin/python --requirement packages/assay/bench/peers/models.in
	@$(UV) pip install --quiet --python $(VENV)/bin/python --no-deps --target $(VENV)-models/own xgboost-cpu catboost onnxmltools
	@cd packages/assay && PYTHONPATH=$(abspath $(VENV))-models/own pytest tests/modelling/test_own_boosting.py --numprocesses 0 --quiet
	@python packages/assay/bench/models.py --peers $(VENV)-models $(OPTIONS)

YEARS ?= 20

bench-monitor: $(VENV)/.package  ## false alarms and delays of `assay monitor` over YEARS=20 simulated years, next to other rules; takes about 20 minutes
	@python packages/assay/bench/monitor.py --years $(YEARS) --worlds $(YEARS)

bench-scale: $(VENV)/.package  ## what `assay score` and the stages cost as rows grow, next to a bare ONNX session, DuckDB, Dask, Spark and Ray; needs Java; OPTIONS=--only-engines; takes an hour
	@$(UV) pip install --quiet --target $(VENV)-scale duckdb
	@$(UV) pip install --quiet --target $(VENV)-engines --constraint $(LOCK) pyspark ray
	@python packages/assay/bench/scale.py --peers $(VENV)-scale --engines $(VENV)-engines $(OPTIONS)

SEEDS ?= 20

gate-bench: $(VENV)/.package  ## how often the gates catch bad changes and pass harmless ones, over SEEDS=20; takes hours
	@python packages/assay/bench/gates.py --seeds $(SEEDS)

load-bench: $(VENV)/.package  ## how often the service gate catches faults and passes an unchanged service; takes an hour
	@assay repro > /dev/null
	@python packages/assay/bench/load.py

push-bench: $(VENV)/.package  ## measure the steps from a push to a mergeable pull request; takes about ten minutes
	@python packages/assay/bench/pushes.py

$(VENV)/.package: packages/assay/requirements/dev.txt $(VENV)/.dev
	@echo "set-up: installing $< into $(VENV)" >&2
	@$(call install,$<)
	@touch $@
