# make demo   sets everything up in .venv and runs the default study to its figures
# make run    runs a study, a mistake is one line: make run CONFIG=studies/x.yaml
# make plan   says what a run would make, why, and what it would cost; nothing is run. Another study, other options:
#             make plan CONFIG=studies/x.yaml ARGS="--cores 4 --config data_root=/data"
# make repair makes again what is missing or damaged of a study, with the same results, and runs it; CONFIG, ARGS as above
# make status says how far a study is, what failed, how its curves look so far and when it ends; CONFIG as above
# make report writes a study's report as far as it is, and prints the verdicts; of others: ARGS="results/a results/b"
# make test   sets everything up in .venv and runs all checks
# Nothing is installed outside this folder. Another Python: make demo PYTHON=python3.13

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo run plan repair status report test lint clean

demo: $(READY)
	@$(BIN)/snakemake --cores all
	@echo
	@echo "Open the report:           results/digits/report.html"
	@echo "Open the learning curves:  results/digits/figures/digits/small_cnn/by_strategy.png and by_pool.png"
	@echo "The tables behind them:    results/digits/summary.csv (mean, std) and curves.csv (every run)"

run: $(READY)
	@PYTHONPATH=workflow $(BIN)/python -P -m poolflow run $(ARGS) $(if $(CONFIG),--configfile $(CONFIG))

plan: $(READY)
	@PYTHONPATH=workflow $(BIN)/python -P -m poolflow plan $(ARGS) $(if $(CONFIG),--configfile $(CONFIG))

repair: $(READY)
	@PYTHONPATH=workflow $(BIN)/python -P -m poolflow repair $(ARGS) $(if $(CONFIG),--configfile $(CONFIG))

status: $(READY)
	@PYTHONPATH=workflow $(BIN)/python -P -m poolflow status $(ARGS) $(if $(CONFIG),--configfile $(CONFIG))

report: $(READY)
	@PYTHONPATH=workflow $(BIN)/python -P -m poolflow report $(ARGS) $(if $(CONFIG),--configfile $(CONFIG))

test: lint
	@$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

lint: $(READY)
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/snakefmt --check Snakefile workflow/rules
	@$(BIN)/snakemake --lint

$(READY): requirements.txt
	@test -n "$(PYTHON)" || { echo "poolflow needs Python 3.11 or newer; install it, or name it: make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $(READY)

clean:
	rm -rf .venv .snakemake results
