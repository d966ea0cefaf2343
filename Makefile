# The two commands of the README, and what a developer needs besides.
# Everything runs in .venv, which is made on first use; nothing else on the machine is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := all,test
STAMP := $(VENV)/.installed

.PHONY: demo test lint screenshots audit bench clean

demo: $(STAMP)
	$(BIN)/napari-sam2 demo --overwrite

# Two processes; the tests of one file stay together. What failed beside the other process, where windows wait for a
# processor, is tried once more alone, and that decides. One process, to look closer: .venv/bin/python -m pytest FILE
test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile || $(BIN)/python -m pytest --last-failed --last-failed-no-failures none

lint: $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt mypy ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The tutorial's pictures, from a real window driven by a script. Needs a display (or xvfb-run -a make screenshots).
screenshots: $(STAMP)
	$(BIN)/python docs/screenshots.py

# Known vulnerabilities of what is installed; asks the network. Fails when anything could not be asked about.
audit: $(STAMP)
	$(BIN)/pip install --quiet pip-audit
	$(BIN)/python benchmarks/audit.py

# What a boundary can be, growth, memory, and, where SAM2_SRC is a copy of facebookresearch/sam2, ratios against it.
bench: $(STAMP)
	$(BIN)/pip install --quiet matplotlib
	$(BIN)/python benchmarks/boundary.py
	$(BIN)/python benchmarks/click_to_mask.py
	$(BIN)/python benchmarks/growth.py --out demo-output/growth
	$(BIN)/python benchmarks/memory.py --out demo-output/memory
	test -z "$(SAM2_SRC)" || $(BIN)/pip install --quiet hydra-core iopath tqdm
	test -z "$(SAM2_SRC)" || $(BIN)/python benchmarks/against_official.py --sam2-src "$(SAM2_SRC)"

clean:
	rm -rf $(VENV) demo-output

# torch first: its pinned version is the CPU build; everything after finds it there.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@
