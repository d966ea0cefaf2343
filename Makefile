# The two commands of the README, and what a developer needs besides.
# Everything runs in .venv, which is made on first use; nothing else on the machine is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := all,test
STAMP := $(VENV)/.installed

.PHONY: demo test lint screenshots audit clean

demo: $(STAMP)
	$(BIN)/napari-sam2 demo

test: $(STAMP)
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt mypy ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The tutorial's pictures, from a real window driven by a script. Needs a display (or xvfb-run -a make screenshots).
screenshots: $(STAMP)
	$(BIN)/python docs/screenshots.py

# Known vulnerabilities of what is installed; asks the network.
audit: $(STAMP)
	$(BIN)/pip install --quiet pip-audit
	$(BIN)/pip-audit --skip-editable

clean:
	rm -rf $(VENV) demo-output

# torch first: its pinned version is the CPU build; everything after finds it there.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@
