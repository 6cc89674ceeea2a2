# Needs Python >= 3.11 and make; everything else is installed into .venv.
#   make reproduce   install, then run the main job on the embedded sample bundle
#   make test        install, then lint, types, imports and all tests but the slow ones
# TORCH_INDEX_URL names a package index to take torch from, e.g. a CPU-only one; without it, the configured one is asked.

CANDIDATES := python3.11 python3.12 python3.13 python3
PYTHON ?= $(shell for p in $(CANDIDATES); do if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
TORCH_INDEX := $(if $(TORCH_INDEX_URL),--extra-index-url $(TORCH_INDEX_URL))
SAMPLE := sample-hstu-synthetic

.PHONY: reproduce test test-slow bench bench-archive bench-hub bench-recipes bench-components bench-data sample generated report clean

reproduce: .venv/.installed
	@$(BIN)/hstu-preserve reproduce sample

test: .venv/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

test-slow: .venv/.installed-for-tests
	$(BIN)/python -m pytest -m slow

bench: .venv/.installed-for-tests
	$(BIN)/python -m benchmarks.movielens

bench-archive: .venv/.installed-for-tests
	$(BIN)/python -m benchmarks.archive

bench-hub: .venv/.installed-for-tests
	$(BIN)/python -m benchmarks.hub

bench-recipes: .venv/.installed-for-tests
	$(BIN)/python -m benchmarks.recipes

bench-components: .venv/.installed-for-tests
	$(BIN)/python -m benchmarks.components

# HSTU_PRESERVE_REFERENCE names a checkout of Meta's generative-recommenders; without it only our side is measured.
bench-data: .venv/.installed-for-tests
	$(if $(HSTU_PRESERVE_REFERENCE),@$(PIP) 'pandas>=2.2,<4')
	$(BIN)/python -m benchmarks.data --also-32m

# The embedded sample: data, training and packing by the program itself.
sample: .venv/.installed
	rm -rf build/sample
	$(BIN)/hstu-preserve data synthesize --users 500 --items 400 --ratings 15000 --seed 20260101 --output build/sample/store
	$(BIN)/hstu-preserve train $(SAMPLE) --data build/sample/store --device cpu --output build/sample/run
	$(BIN)/hstu-preserve pack build/sample/run --output build/sample/$(SAMPLE).tar.gz
	mv build/sample/$(SAMPLE).tar.gz bundles/

generated: .venv/.installed-for-tests
	$(BIN)/python -m tools.generate

report: .venv/.installed
	$(BIN)/hstu-preserve report

clean:
	rm -rf .venv build dist

.venv/bin/python:
	@if [ -z "$(PYTHON)" ]; then echo "make: no Python >= 3.11 found (looked for $(CANDIDATES)); install one, or name it: make PYTHON=/path/to/python"; exit 1; fi
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) cannot make virtual environments; install its venv package (Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	@echo "installing into .venv with $(PYTHON) (once)"
	@$(PYTHON) -m venv .venv

.venv/.installed: .venv/bin/python pyproject.toml
	@$(PIP) $(TORCH_INDEX) --editable '.[cpu]'
	@touch $@

.venv/.installed-for-tests: .venv/.installed
	@$(PIP) $(TORCH_INDEX) --editable '.[cpu,report,test]'
	@touch $@
