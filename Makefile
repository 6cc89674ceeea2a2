# Needs Python >= 3.11 and make; everything else is installed into .venv. `make help` lists the targets.
# TORCH_INDEX_URL names a package index to take torch from, e.g. a CPU-only one; without it, the configured one is asked.

CANDIDATES := python3.11 python3.12 python3.13 python3
PYTHON ?= $(shell for p in $(CANDIDATES); do if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
TORCH_INDEX := $(if $(TORCH_INDEX_URL),--extra-index-url $(TORCH_INDEX_URL))
SAMPLE := sample-hstu-synthetic
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal
# What a change should pass before it is committed: the rooms that need neither training nor a hub.
FAST_TESTS := $(addprefix tests/,primitives records checkpoint_files event_files digest_lists verdict gin_recipes bundle data \
  report test_api.py test_generated.py)

.PHONY: reproduce help lint fix test test-fast test-slow docs bench bench-archive bench-hub bench-recipes bench-components bench-data sample generated wheel report clean

reproduce: .venv/.installed  ## install, then reproduce the embedded sample bundle (what `make` alone does)
	@$(BIN)/hstu-preserve reproduce sample
	@echo "next: source .venv/bin/activate && hstu-preserve list"

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 \t\2/p' $(MAKEFILE_LIST) | expand -t 28

lint: .venv/.installed-for-tests  ## check style, format, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: .venv/.installed-for-tests  ## repair what ruff can repair, and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint docs  ## lint, build the docs, run all tests but the slow ones
	$(PYTEST)

test-fast: lint  ## lint, then the tests that take seconds: before a commit
	$(PYTEST) $(FAST_TESTS)

test-slow: .venv/.installed-for-tests  ## run the tests that take minutes, and property tests with more examples
	$(PYTEST) -m 'slow or hypothesis' --hypothesis-profile=thorough

docs: .venv/.installed-for-tests  ## run the notebooks, build the documentation into build/docs; a warning is an error
	$(BIN)/python -m tools.notebooks build/notebooks
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --nitpicky --doctree-dir build/doctrees docs build/docs

bench: .venv/.installed-for-tests  ## time the whole loop on ml-latest-small
	$(BIN)/python -m benchmarks.movielens

bench-archive: .venv/.installed-for-tests  ## time pack and verify of 700 MB
	$(BIN)/python -m benchmarks.archive

bench-hub: .venv/.installed-for-tests  ## time a verified download of 1 GiB
	$(BIN)/python -m benchmarks.hub

bench-recipes: .venv/.installed-for-tests  ## train every recipe on ml-latest-small (hours)
	$(BIN)/python -m benchmarks.recipes

bench-components: .venv/.installed-for-tests  ## time each component of the recipes
	$(BIN)/python -m benchmarks.components

# HSTU_PRESERVE_REFERENCE names a checkout of Meta's generative-recommenders; without it only our side is measured.
bench-data: .venv/.installed-for-tests  ## time data of ml-20m's size
	$(if $(HSTU_PRESERVE_REFERENCE),@$(PIP) 'pandas>=2.2,<4')
	$(BIN)/python -m benchmarks.data --also-32m

# The embedded sample: data, training and packing by the program itself.
sample: .venv/.installed  ## make the embedded sample bundle anew
	rm -rf build/sample
	$(BIN)/hstu-preserve data synthesize --users 500 --items 400 --ratings 15000 --seed 20260101 --output build/sample/store
	$(BIN)/hstu-preserve train $(SAMPLE) --data build/sample/store --device cpu --output build/sample/run
	$(BIN)/hstu-preserve pack build/sample/run --output build/sample/$(SAMPLE).tar.gz
	mv build/sample/$(SAMPLE).tar.gz bundles/

generated: .venv/.installed-for-tests  ## write the schemas, reference pages and PRESERVATION_REPORT.md
	$(BIN)/python -m tools.generate

wheel: .venv/.installed-for-tests  ## build the wheel into dist and try it in an environment of its own
	rm -rf dist build/wheel
	$(BIN)/python -m build --wheel --outdir dist
	$(BIN)/python -m venv build/wheel
	build/wheel/bin/python -m pip --disable-pip-version-check install --quiet dist/*.whl
	cd build/wheel && bin/hstu-preserve --version && bin/hstu-preserve list > list.txt && bin/hstu-preserve verify sample

report: .venv/.installed-for-tests  ## judge the sample again, and write PRESERVATION_REPORT.md
	rm -rf build/report reproductions/sample
	$(BIN)/hstu-preserve keygen --output build/report/key
	$(BIN)/hstu-preserve reproduce bundles/$(SAMPLE).tar.gz --device cpu --key build/report/key --output reproductions/sample
	rm -rf build/report
	$(BIN)/python -m tools.generate

clean:  ## remove .venv, build and dist
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
	@$(PIP) $(TORCH_INDEX) --editable '.[cpu,report,docs,test]'
	@touch $@
