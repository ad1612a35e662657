# Both `make demo` and `make test` create .venv and install into it by themselves.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
TESTED ?= not slow and not exhaustive

.PHONY: demo test test-all lint clean

# torch first and pinned: a machine that offers a CPU build of it gets that one.
$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(INSTALLED)  ## The main job on generated clips and the bundled backbone, no download.
	$(BIN)/petl-bench run --methods linear,lora,conformer --dataset synthetic --results results-demo
	$(BIN)/petl-bench leaderboard --results results-demo

test: $(INSTALLED)  ## The tests, without the minutes-long ones.
	$(BIN)/python -m pytest -m "$(TESTED)" -n 2 --dist loadgroup

test-all: $(INSTALLED)  ## Every test.
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv results-demo
