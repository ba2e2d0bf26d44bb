# make app: the main job on the embedded synthetic demo.  make test: everything that proves it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
HOST ?= 127.0.0.1
PORT ?= 8501
JOBS ?= 2
# PyTorch's index of CPU wheels, to spare several GB of CUDA libraries where the default index serves those.
TORCH_INDEX ?=
DEFAULT_MODELS := restorer,vae_8x8_512

.DEFAULT_GOAL := help
BENCHMARKS := bands prepare_order networks workers scale budgets frame_time

.PHONY: help app test check demo train evaluate bench pictures browser clean

help:
	@echo "make app     set up, make the synthetic test cases, open http://$(HOST):$(PORT)"
	@echo "make test    set up (Chromium too) and run all tests"
	@echo "make check   ruff and mypy"
	@echo "make demo    the whole synthetic cohort: 80 training, 9 validation, 24 test scans"
	@echo "make train   train the eight demo models on it (hours on 2 cores)"
	@echo "make evaluate  every table and figure of the paper and ours, on the synthetic cohort and all models here"
	@echo "make bench   speed and memory against named peers, side by side (docs/results/bench_*.csv)"
	@echo "make pictures  redraw the pictures of README from the running app"
	@echo "make clean   remove what make made, verdicts and uploads kept"

$(VENV)/.runtime: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else f"Fontanelle needs Python 3.11, 3.12 or 3.13 (wheels of its packages), found {v}; call make PYTHON=python3.11 ...")'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "Installing the runtime (1 to 3 minutes) ..."
	@$(PY) -m pip install --disable-pip-version-check -q --progress-bar off $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	@echo "Installing what tests and checks need ..."
	@$(PY) -m pip install --disable-pip-version-check -q --progress-bar off -r requirements-dev.txt
	@touch $@

app: $(VENV)/.runtime
	@$(PY) -m core demo --which test --analyze $(DEFAULT_MODELS) --jobs $(JOBS)
	@echo "Fontanelle: http://$(HOST):$(PORT)  (Ctrl-C stops it)"
	@$(PY) -m streamlit run app/server.py --server.address $(HOST) --server.port $(PORT) --server.headless true

demo: $(VENV)/.runtime
	@$(PY) -m core demo --which all --analyze $(DEFAULT_MODELS) --jobs $(JOBS)

browser: $(VENV)/.dev
	@$(PY) tests/browser/ensure_chromium.py

test: $(VENV)/.dev browser
	@$(PY) -m pytest

check: $(VENV)/.dev
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

train: demo
	@for name in $$($(PY) -m core models --names); do $(PY) -m core train $$name --replace || exit 1; done

evaluate: $(VENV)/.runtime
	@$(PY) -m core demo --which all --jobs $(JOBS)
	@$(PY) -m core evaluate --jobs $(JOBS) --cards --tables docs/results

bench: $(VENV)/.dev
	@$(PY) -m pip install --disable-pip-version-check -q --progress-bar off -r requirements-bench.txt
	@$(PY) -m core demo --which test --jobs $(JOBS)
	@for name in $(BENCHMARKS); do $(PY) -m benchmarks.$$name --tables docs/results || exit 1; done

pictures: $(VENV)/.dev browser
	@$(PY) docs/make_pictures.py

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache data/demo data/derivatives data/evaluation data/jobs data/cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
