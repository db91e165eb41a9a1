# What one does with Fedbell. `make run` needs Python 3.11 to 3.13 and make, nothing else.
#
# The Python that makes .venv is the first fitting one of these names;
# another one: make run PYTHON=/path/to/python3.12
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	"$$name" -c "$(FITS)" 2>/dev/null && echo "$$name" && exit; done; echo python3)

VENV := .venv/bin/python
COMPILE_GROUP := .venv/bin/uv pip compile --quiet --universal --generate-hashes \
	--python-version 3.11 --no-emit-index-url --no-header
COMPILE := $(COMPILE_GROUP) pyproject.toml
CONSTRAINED := --constraint requirements/development.lock

.PHONY: help run up test test-faults test-fuzz lint lock dataset pretrain bench bench-quick compared screenshots clean-state environment development
.DEFAULT_GOAL := help

help:  ## this list
	@"$(PYTHON)" -c "import re; [print(f'make {n:12} {t}') for n, t in \
	re.findall(r'^([a-z-]+):.*?## (.+)', open('Makefile').read(), re.M)]"

run: dataset  ## start the servers here, or those of ONLY="NAME …"; Ctrl-C stops them
	@exec .venv/bin/fedbell run $(ONLY:%=--only=%)

up:  ## start them in containers
	docker compose up --build

# Files of tests at a time: each may start servers, and load TensorFlow.
TESTS ?= 2

# Not beside each other: when containers get a network, Chromium breaks off what it loads.
WITHOUT_CONTAINERS := $(filter-out tests/compose/ tests/__pycache__/,$(wildcard tests/*/))

test: development  ## run the tests
	@$(VENV) -m pytest $(WITHOUT_CONTAINERS) --numprocesses $(TESTS) --dist loadfile
	@$(VENV) -m pytest tests/compose

test-faults: development  ## kill servers and a client at every point there is; takes long
	@FEDBELL_FAULTS=all FEDBELL_LONG=1 $(VENV) -m pytest tests/faults \
		tests/main_server/test_many_clients.py --numprocesses $(TESTS) --dist loadfile

test-fuzz: development  ## send both servers what nobody should, ten thousand times; takes long
	@FEDBELL_FUZZ=1 $(VENV) -m pytest tests/hostile --timeout 7200

lint: development  ## style, types and who may import whom
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check .
	@$(VENV) -m mypy
	@.venv/bin/lint-imports --no-logo

lock: development  ## choose the newest packages again and pin them
	$(COMPILE) --upgrade --all-extras --output-file requirements/development.lock
	$(COMPILE) --upgrade $(CONSTRAINED) --extra device --output-file requirements/device.lock
	$(COMPILE) --upgrade $(CONSTRAINED) --extra postgresql --output-file requirements/server.lock
	$(COMPILE_GROUP) --upgrade --group flower --output-file requirements/flower.lock
	$(COMPILE_GROUP) --upgrade --group runtimes --output-file requirements/runtimes.lock

dataset: environment  ## write the built-in pictures to dataset/
	@.venv/bin/fedbell dataset digits

pretrain: environment  ## train the built-in backbone again
	$(VENV) -m shared.learning.pretraining

bench: environment  ## measure again what README and docs claim; half an hour
	-@$(MAKE) --no-print-directory compared
	@$(VENV) -m benchmarks.run

bench-quick: environment  ## the same with less of everything: does it work?
	-@$(MAKE) --no-print-directory compared
	@$(VENV) -m benchmarks.run --quick

compared: environment  ## install what benchmarks compare with, Flower for one, beside .venv
	@"$(PYTHON)" shared/command_line/environment.py flower
	@"$(PYTHON)" shared/command_line/environment.py runtimes

screenshots: development  ## take the pictures of the pages again; needs Chromium
	$(VENV) -m tests.browser.screenshots

clean-state: environment  ## forget all rounds, models and devices
	@.venv/bin/fedbell clean-state

environment:
	@command -v "$(PYTHON)" >/dev/null || { \
		echo "Fedbell needs Python 3.11, 3.12 or 3.13; there is no $(PYTHON) here."; exit 1; }
	@"$(PYTHON)" shared/command_line/environment.py device

development: environment
	@"$(PYTHON)" shared/command_line/environment.py development
