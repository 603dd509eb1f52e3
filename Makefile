# Two commands do everything: `make demo` and `make test`. A fresh machine needs only Python (>= 3.11, < 3.14) and make.
PYTHON ?= python3
HERE := $(CURDIR)
BIN := $(HERE)/.venv/bin
export REVENUE_ERP_VENV ?= $(HERE)/.venv-erp
export REVENUE_ERP_CACHE ?= $(HERE)/.cache/erp
export UV_PROJECT_ENVIRONMENT = $(HERE)/.venv
export DBT_SEND_ANONYMOUS_USAGE_STATS = false

.PHONY: help demo test test-full kill-matrix simulate night recovery-trials dev check lint format typecheck manifest install clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

install: .venv/.installed  ## make .venv with the locked dependencies

.venv/.installed: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] < (3, 14) else "Python %d.%d found at %s; revenue_assets needs Python 3.11, 3.12 or 3.13. Name one: make PYTHON=python3.12 demo" % (v[0], v[1], sys.executable))'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing the locked dependencies into .venv (a minute or two the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==0.13.9"
	@$(BIN)/uv sync --quiet --frozen --inexact --compile-bytecode
	@touch $@

demo: install  ## run the demo company end to end: land, model, book, post to a real ERP, reconcile, close, publish
	@$(BIN)/revenue demo $(ARGS)

test: install  ## the default test run
	@$(BIN)/python -m pytest -n 2 --no-loadscope-reorder $(ARGS)

test-full: install  ## longer trials: more seeds, more kills
	@REVENUE_TRIALS=full REVENUE_KILL_SEEDS=200 REVENUE_LONG=1 $(BIN)/python -m pytest -n 2 --no-loadscope-reorder $(ARGS)

kill-matrix: install  ## posting processes killed over every adapter protocol and ERP behaviour: SEEDS=10 trials a cell from FROM=0, JOBS=1 at a time
	@$(BIN)/python tests/kill_matrix/run.py --seeds $(or $(SEEDS),10) --from $(or $(FROM),0) --jobs $(or $(JOBS),1) --report .cache/kill-matrix.json $(ARGS)
	@$(BIN)/python tests/kill_matrix/run.py --seeds $(or $(SEEDS),10) --from $(or $(FROM),0) --jobs $(or $(JOBS),1) --report .cache/kill-matrix-stopped.json --duel $(ARGS)

daemon-trials: install  ## the real dagster-daemon killed, wiped, lied to: TRIALS=60 seeds of 4 faults from FROM=0
	@$(BIN)/python tests/daemon_trials/run.py --trials $(or $(TRIALS),60) --from $(or $(FROM),0) --jobs 2 --report .cache/daemon-trials.json $(ARGS)

simulate: install  ## posting under simulated faults: SEEDS=3000 seeds from FROM=0, every promise checked after each step
	@$(BIN)/python tests/simulation/run.py --seeds $(or $(SEEDS),3000) --from $(or $(FROM),0)

night: install  ## the promises at their night figures, then the other long commands: MINUTES=480 for all of it
	@$(BIN)/python tests/trials/run.py --minutes $(or $(MINUTES),480) $(ARGS)

recovery-trials: install  ## wiped warehouses, killed builds and publishes, upgrades: HOME_OF=.revenue (a demo's) WIPES=20 RERUNS=100
	@$(BIN)/python tests/recovery/run.py --home $(or $(HOME_OF),.revenue) --wipes $(or $(WIPES),20) --reruns $(or $(RERUNS),100)
	@REVENUE_TRIALS=full $(BIN)/python -m pytest -s tests/unit/test_publish.py tests/unit/test_upgrades.py tests/integration/test_store_postgres.py

dev: install  ## the Dagster UI on the demo's data, with the demo's systems running
	@$(BIN)/revenue dev $(ARGS)

manifest: install  ## parse the dbt project once, for shipping
	@$(BIN)/python -c "from revenue_assets.settings import Settings; from revenue_assets.project import ensure_manifest; s = Settings.load(); s.prepare(); print(ensure_manifest(s, renew=True))"

check: install typecheck  ## format, lint, YAML, types, secret scan: what CI runs before the tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/yamllint --strict config dbt_project .pre-commit-config.yaml dagster.yaml workspace.yaml
	@git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline

lint: check  ## check, and the SQL lint of every model (a minute or two; pre-commit lints the changed ones)
	@.ci/sql-lint dbt_project/models

typecheck: install
	@$(BIN)/mypy

format: install  ## format Python and SQL
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:  ## remove what the targets made, except your data in .revenue
	rm -rf .venv .venv-erp .cache .pytest_cache .mypy_cache .ruff_cache dbt_project/target
