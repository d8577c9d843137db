# Everything runs from a virtual environment that make builds from python3 alone.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
FUZZ := $(VENV)/.fuzz
PAGE := src/kubewitness/web/page/index.html
UI := $(shell find ui/src ui/public -type f) $(wildcard ui/*.*) ui/.npmrc
PYTEST := $(BIN)/python -m pytest

.PHONY: demo test lint types imports page page-check check cluster long crash s3 peers browser screenshots soak reliability keys bench record-demo lock clean help

help: ## what make can do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(RUN) $(PAGE) ## the main job on a bundled recording of a real cluster: three questions, then the server
	$(BIN)/kubewitness demo

test: $(DEV) $(PAGE) ## fast tests (under five minutes)
	$(PYTEST) -n 2 --dist loadfile -m "not cluster and not crash and not soak and not s3 and not peers and not browser and not long"

lint: $(DEV) ## ruff, style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV) ## mypy --strict
	$(BIN)/mypy

imports: $(DEV) ## the import rules of the rooms
	$(BIN)/lint-imports --no-cache

page: $(PAGE) ## the browser's page, built from ui/ (needs no Node: it comes from PyPI)

page-check: $(RUN) ## TypeScript and Biome over ui/
	$(BIN)/python hatch_build.py check

check: lint types imports page-check ## all static checks

cluster: $(DEV) ## tests against a real control plane
	$(PYTEST) -m "cluster and not soak and not browser" -ra

long: $(DEV) ## fast tests' longer forms: who on the whole corpus, many commits beside readers
	$(PYTEST) -n 2 -m "long and not soak" -ra

crash: $(DEV) ## kill -9 at random points
	$(PYTEST) -m "crash and not cluster and not soak" -ra -s

s3: $(DEV) ## the store on object storage
	$(PYTEST) -m "s3 and not crash and not soak" -ra

peers: $(DEV) ## real far sides from Debian: Prometheus, Alertmanager
	$(PYTEST) -m "peers and not soak" -ra

browser: $(DEV) $(PAGE) page-check ## the page in a real headless Chromium (Debian's chromium)
	$(PYTEST) -n 2 --dist loadfile -m browser -ra

screenshots: $(DEV) $(PAGE) ## the README's pictures, of the demo's data
	$(BIN)/python -m tests.browser.screenshots

soak: $(DEV) $(FUZZ) ## the long forms; minutes to hours
	$(PYTEST) -m soak -ra -s

reliability: $(DEV) ## every fault that a test plays, and docs/reliability.md anew
	$(PYTEST) --reliability -m "not soak and not browser" -n0

keys: $(DEV) ## what keys tests set, noted while they run (all, or TESTS="FILE ..."), and docs/fluent-bit.md anew
	$(PYTEST) --keys -m "not cluster and not crash and not soak and not s3 and not peers and not browser and not long" -n0 $(TESTS)
	$(BIN)/python -m tests.config.reference_docs

bench: $(DEV) ## the workloads beside their yardsticks, as whole processes
	$(BIN)/python -m benchmarks

record-demo: $(DEV) ## record the demo's data again (needs the control plane)
	$(BIN)/python -m tests.cluster.record_demo

lock: $(DEV) ## pin all dependencies again
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" requirements/build.in -o requirements/build.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" pyproject.toml requirements/dev.in -c requirements/run.txt -o requirements/dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" requirements/fuzz.in -o requirements/fuzz.txt

clean: ## remove what make built
	rm -rf $(VENV) .build src/kubewitness/web/page ui/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

$(RUN): requirements/run.txt requirements/build.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kubewitness needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/run.txt -r requirements/build.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(PAGE): $(RUN) $(UI)
	$(BIN)/python hatch_build.py build
	touch $@

$(DEV): $(RUN) requirements/dev.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	touch $@

$(FUZZ): $(DEV) requirements/fuzz.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	touch $@
