# Every target sets up what it needs: on a fresh machine Python 3.11 and make are enough.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# Compiled modules are kept, whatever the environment says: the tests start hundreds of processes, and pytest rewrites
# three hundred modules in each of its own, which would all compile them anew.
unexport PYTHONDONTWRITEBYTECODE

ROOT := $(CURDIR)
BIN := .venv/bin
# pip says nothing but errors: what it would say more is noise in a log that people read.
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check

# A virtual environment knows its own path, so one that was copied or whose Python is gone is made anew.
ifneq ($(shell [ "$$(cat .venv/.requirements 2>/dev/null)" = "$(ROOT)" ] && $(BIN)/python -c 'import pip' 2>/dev/null && echo good),good)
$(shell rm -f .venv/.requirements .venv/.project)
endif

.PHONY: help demo test test-quick prove check chaos bench bench-quick services services-stop secrets codecs docs format lock clean

help:  ## what can be made
	@sed -n 's/\$$\$$/$$/; s/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 16

demo: .venv/.project  ## start the services and a worker, send it a month of business, show what came of it
	@$(BIN)/python -m demo

# Four processes, each with services of its own, for two cores: a good part of a test is waiting. With services that were
# named, which they would share, one: some tests make a server fail, and that must not be another test's.
TEST_PROCESSES := $(if $(PAYMASTER_MONGODB_URL)$(PAYMASTER_RABBITMQ_URL),0,4)

test: .venv/.project  ## every test
	@$(BIN)/python -m services named
	@$(BIN)/pytest --numprocesses $(TEST_PROCESSES) --dist worksteal

test-quick: .venv/.project  ## the tests that need no services: less than a minute
	@$(BIN)/pytest --numprocesses 2 --dist worksteal -m "not services"

prove: .venv/.project  ## what takes longer: much more of each, both drivers, chaos for 10 minutes, or as told: MINUTES=3
	@$(BIN)/python -m tests.prove $(if $(MINUTES),--minutes $(MINUTES))

check: .venv/.project  ## formatting, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

chaos: .venv/.project  ## break everything for 10 minutes, or as told: make chaos MINUTES=3 SEED=42
	@$(BIN)/python -m tests.chaos --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

bench: .venv/.project  ## the benchmarks beside their goals, or as told: make bench ONLY=orders,hot ROUNDS=5
	@$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-quick: .venv/.project  ## the benchmarks, small, to see that they run: less than 3 minutes
	@$(BIN)/python -m bench --quick $(if $(ONLY),--only $(ONLY))

services: .venv/.project  ## leave RabbitMQ and MongoDB running: eval "$$(make -s services)"
	@$(BIN)/python -m services start

services-stop: .venv/.project  ## stop what `make services` started
	@$(BIN)/python -m services stop

secrets:  ## write passwords for `docker compose up` into .env, those that it lacks
	@umask 077; touch .env; chmod go= .env; if [ -n "$$(tail -c 1 .env)" ]; then echo >> .env; fi; \
	for name in PAYMASTER_RABBITMQ_PASSWORD PAYMASTER_MONGODB_PASSWORD; do \
	  if ! grep -q "^$$name=." .env; then \
	    echo "$$name=$$(head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n')" >> .env; \
	  fi; \
	done

codecs: .venv/.project  ## write the code that makes rows of documents and back
	@$(BIN)/python -m adapters.codecs

docs: .venv/.project  ## write docs/data-model.md of the declarations
	@$(BIN)/python -m adapters.data_model

format: .venv/.project  ## put the code in its format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# The project itself, in place, so that its folders can be imported from anywhere.
.venv/.project: .venv/.requirements pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation --editable . >&2
	@touch $@

# Standard output stays empty: `make -s services` promises it to the shell.
.venv/.requirements: requirements-dev.txt
	@{ \
	  if [ ! -e $@ ]; then \
	    python=; \
	    for candidate in python3.11 /usr/bin/python3.11 python3 /usr/bin/python3; do \
	      if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        python=$$candidate; break; \
	      fi; \
	    done; \
	    if [ -z "$$python" ]; then \
	      echo "Python 3.11 or later is needed: neither python3.11 nor python3 is one." >&2; exit 1; \
	    fi; \
	    if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	      echo "installing the Debian package python3-venv, which is missing ..."; \
	      apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3-venv >/dev/null; \
	    fi; \
	    if ! "$$python" -c 'import ensurepip, venv'; then \
	      echo "$$python cannot make virtual environments: install the package python3-venv." >&2; exit 1; \
	    fi; \
	    echo "making .venv: pip installs $$(grep -c == requirements-dev.txt) packages into it, half a minute or so ..."; \
	    rm -rf .venv; \
	    "$$python" -m venv .venv; \
	  fi; \
	  $(PIP) install --require-hashes -r requirements-dev.txt; \
	  echo "$(ROOT)" > $@; \
	} >&2

# The newest versions that pyproject.toml allows, with the hashes of every file of each.
COMPILE := uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-annotate --no-header \
  --universal --python-version 3.11

lock: .venv/.requirements  ## write the requirements files anew from pyproject.toml
	@rm -rf .venv/lock; $(BIN)/python -m venv .venv/lock; .venv/lock/bin/pip install -qq uv; \
	  export PATH="$(ROOT)/.venv/lock/bin:$$PATH"; \
	  $(COMPILE) pyproject.toml --output-file requirements.txt; \
	  $(COMPILE) pyproject.toml --group dev --constraints requirements.txt --output-file requirements-dev.txt; \
	  rm -rf .venv/lock

clean:  ## stop the services and remove all that was made
	@if [ -x $(BIN)/python ] && [ -d .services ]; then $(BIN)/python -m services stop; fi
	@rm -rf .venv .services .*_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +
