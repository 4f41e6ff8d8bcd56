# Every target makes its own .venv; nothing else has to be installed but Python 3.11 or 3.12 and make.
PYTHON ?= python3
# Anything pip should be told, for example an index that has the CPU wheels of torch.
PIP_ARGS ?=

export OMP_NUM_THREADS := 1
export MPLBACKEND := Agg

BIN := .venv/bin
INSTALLED := .venv/.installed
INSTALLED_DEV := .venv/.installed-dev
INSTALLED_DOCS := .venv/.installed-docs
INSTALLED_WEB := web/node_modules/.package-lock.json
DEMO := out/demo

.PHONY: demo test test-all golden check format bench docs web clean

demo: $(INSTALLED)  ## one picture over the air; everything about it lands in out/demo
	$(BIN)/gainnet generate "a red star above a blue house at sunset" --snr-db 0 \
		--num-channel-uses 512 --random-seed 7 --out $(DEMO)

test: $(INSTALLED_DEV)  ## the fast suite
	$(BIN)/python -m pytest -q

test-all: $(INSTALLED_DEV)  ## the slow tests too
	$(BIN)/python -m pytest -q -m "slow or not slow"

golden: $(INSTALLED_DEV)  ## the numbers of commit e3b445d and of the present code, bit for bit
	PYTHONPATH=src:tests $(BIN)/python -m golden.against_first

check: $(INSTALLED_DEV)  ## style, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED_DEV)  ## rewrite what `make check` would complain about, as far as ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(INSTALLED_DEV)  ## every script of benchmarks/, each with its bar
	$(BIN)/python benchmarks/run.py

docs: $(INSTALLED_DOCS)  ## the site, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

web: $(INSTALLED_WEB)  ## the page of the edge, built of web/ into the package; needs Node 20
	cd web && npx tsc --noEmit && node build.mjs

clean:  ## what make made, .venv included; runs and results stay
	rm -rf .venv web/node_modules out site build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache src/*.egg-info

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_ARGS) --editable .
	touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_ARGS) --editable '.[dev]'
	touch $@

$(INSTALLED_DOCS): $(INSTALLED)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_ARGS) --editable '.[docs]'
	touch $@

$(INSTALLED_WEB): web/package-lock.json
	cd web && npm ci --silent
	touch $@
