# bgrd: everything starts from here. Needs Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: run test test-long soak bench bench-quick bench-device bench-edge fidelity check format clean

run: $(VENV)/run
	@exec $(BIN)/bgrd run

test: check
	$(BIN)/pytest -m "not long" -n 2 --dist loadfile

test-long: $(VENV)/dev
	$(BIN)/pytest -m long

soak: $(VENV)/dev
	$(BIN)/python -m bench.soak $(MINUTES)

bench: $(VENV)/dev
	$(BIN)/python -m bench.speed $(if $(ONLY),--only $(ONLY))

bench-quick: $(VENV)/dev
	$(BIN)/python -m bench.speed --quick --json build/speed-quick.json

bench-device: $(VENV)/dev
	$(BIN)/python -m bench.device $(OPTIONS)

bench-edge: $(VENV)/dev
	$(BIN)/python -m bench.edge

fidelity: $(VENV)/dev
	$(BIN)/python -m bench.fidelity

check: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Exactly the tried versions; pyproject.toml says which others may work.
$(VENV)/run: pyproject.toml constraints/constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --quiet --constraint constraints/constraints.txt --editable '.[heif]'
	@touch $@

$(VENV)/dev: pyproject.toml constraints/constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --quiet --constraint constraints/constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/run
