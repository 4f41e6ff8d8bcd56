# Every target makes its own .venv; nothing else has to be installed but Python 3.11 to 3.13 and make.
PYTHON ?= python3
# What uv and pip should be told beside, for example an index or a folder with wheels of torch.
PIP_ARGS ?=
# Which tests `test-bounds` runs: all fast ones.
TESTS ?=

export OMP_NUM_THREADS := 1
export MPLBACKEND := Agg
# Bytecode is kept, also where the environment says otherwise: every process of a test would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
INSTALLED := .venv/.installed
INSTALLED_DEV := .venv/.installed-dev
INSTALLED_DOCS := .venv/.installed-docs
INSTALLED_WEB := web/node_modules/.package-lock.json
DEMO := out/demo

# From PyPI, torch on Linux brings 5 GB of CUDA libraries, unless the user has said where wheels come from.
FOUND := $(strip $(PIP_ARGS) $(addprefix --find-links ,$(PIP_FIND_LINKS)))
UV_ARGS := $(or $(FOUND),--torch-backend cpu)
# uv installs in a quarter of the time of pip, which does it where uv cannot be had or does not find everything.
install = $(BIN)/python -m uv pip install --quiet --python $(BIN)/python --constraint constraints.txt $(UV_ARGS) $(1) \
	|| { echo "uv cannot install it here; pip does, which takes a few minutes" >&2; \
		$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt $(PIP_ARGS) $(1); }

.PHONY: demo test test-all test-bounds test-install golden check format bench notebooks docs lock web clean

demo: $(INSTALLED)  ## one picture over the air; everything about it lands in out/demo
	$(BIN)/gainnet generate "a red star above a blue house at sunset" --snr-db 0 \
		--num-channel-uses 512 --random-seed 7 --out $(DEMO)

test: $(INSTALLED_DEV)  ## the fast suite
	$(BIN)/python -m pytest -q

test-all: $(INSTALLED_DEV)  ## the slow tests too
	$(BIN)/python -m pytest -q -m "slow or not slow"

test-bounds: bound-lowest-direct bound-highest  ## the fast suite with the lowest and the highest releases of pyproject.toml

bound-%: $(INSTALLED)
	$(PYTHON) -m venv --clear .venv-$*
	$(BIN)/python -m uv pip install --quiet --python .venv-$*/bin/python --resolution $* $(UV_ARGS) --editable '.[dev]'
	.venv-$*/bin/python -m pytest -q $(TESTS)

test-install: $(INSTALLED)  ## sdist and wheel, and the wheel alone in an empty environment; the one test that takes a network
	rm -rf dist out/install
	$(BIN)/python -m uv build --quiet --out-dir dist
	$(BIN)/python -m uv tool run --quiet twine check --strict dist/*
	$(PYTHON) -m venv out/install
	$(BIN)/python -m uv pip install --quiet --python out/install/bin/python --constraint constraints.txt $(UV_ARGS) dist/*.whl
	cd out && env -i HOME=$(CURDIR)/out/install install/bin/gainnet doctor
	du -sh dist/* out/install

lock: $(INSTALLED)  ## constraints.txt anew: the newest releases that pyproject.toml allows, for every Python
	$(BIN)/python -m uv pip compile --quiet --universal --all-extras --no-header --no-annotate pyproject.toml --output-file constraints.txt

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

notebooks: $(INSTALLED_DEV)  ## run those of docs/notebooks and keep their outputs
	PYTHONWARNINGS=ignore $(BIN)/jupyter execute --inplace docs/notebooks/*.ipynb

docs: $(INSTALLED_DOCS)  ## the site, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

web: $(INSTALLED_WEB)  ## the page of the edge, built of web/ into the package; needs Node 20
	cd web && npx tsc --noEmit && PYTHON="$(PYTHON)" node build.mjs

clean:  ## what make made, .venv included; runs and results stay
	rm -rf .venv .venv-lowest-direct .venv-highest web/node_modules out site build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache src/*.egg-info

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	-$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt uv
	$(call install,--editable .)
	touch $@

$(INSTALLED_DEV): $(INSTALLED)
	UV_COMPILE_BYTECODE=1 $(call install,--editable '.[dev]')
	$(BIN)/python -m compileall -q src
	touch $@

$(INSTALLED_DOCS): $(INSTALLED)
	$(call install,--editable '.[docs]')
	touch $@

$(INSTALLED_WEB): web/package-lock.json
	cd web && npm ci --silent
	touch $@
