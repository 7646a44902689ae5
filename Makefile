# Two commands on a fresh machine: `make demo` and `make test`. Each makes .venv when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt

.PHONY: demo test chaos sabotages check format fuzz wheel real clean
demo: $(VENV)/.ready
	@$(BIN)/candlebus demo

# Most tests wait for processes, so several run at once: JOBS=0 for one after the other.
JOBS ?= auto
test: $(VENV)/.ready
	$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 4 --dist worksteal $(TESTS)

# Faults upon faults, and a check after each case: make chaos SEED=7 MINUTES=60 (FAULTS=…, STATE=file to go on from).
chaos: $(VENV)/.ready
	$(BIN)/python -m tests.faults $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) \
	  $(if $(FAULTS),--faults $(FAULTS)) $(if $(STATE),--state $(STATE)) $(if $(SERVER),--server $(SERVER)) $(if $(WITHOUT),--without "$(WITHOUT)")

sabotages: $(VENV)/.ready
	$(BIN)/python -m tests.faults.sabotages $(ONLY)

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Executions are shared out over the properties of tests/fuzz; Linux only.
RUNS ?= 140000
fuzz: $(VENV)/.ready
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install -q -e '.[fuzz]'
	@$(BIN)/python -m tests.fuzz.run $(RUNS)

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "candlebus needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing candlebus and its pinned dependencies into $(VENV) …"
	@$(BIN)/python -m pip install -q -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
