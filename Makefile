# make demo   set up, train a small net on handwritten digits, audit it
# make test   set up, run every test
# make check  format, lint, strict types, tests

.PHONY: setup demo test check format bench clean
PYTHON ?= python3
BIN := .venv/bin

# The environment is made anew when the versions or the project's own needs change.
.venv/.ready: constraints.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	touch $@

setup: .venv/.ready

demo: setup
	$(BIN)/pellucid demo --force

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadscope

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	$(BIN)/python benchmarks/audit_pace.py
	$(BIN)/python benchmarks/explain_pace.py

clean:
	rm -rf .venv build demo
