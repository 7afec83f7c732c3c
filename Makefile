# Convenience for people who like make; README.md has the same as plain pip and pytest commands.
#
#   make demo       install into .venv and run the examples
#   make test       install into .venv and run the Python tests
#   make test-c     build the C runtime with its unit tests and run them, also under sanitizers
#   make test-asan  the Python tests of the codec and the Proxy on an extension with ASan and UBSan
#   make test-valgrind  the C runtime's unit tests under valgrind (ten minutes; not a part of check)
#   make evaluation  the paper's evaluation on this machine, against mpi4py, RPyC and C with MPI
#   make test-fuzz  the codec under libFuzzer, for a fixed number of executions (needs clang)
#   make lint       formatting, linting, types, layers
#   make check      all of these

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
BUILD_FLAGS ?=
C_SOURCES = $(shell git ls-files 'src/*.c' 'src/*.h')
PACKAGE_SOURCES = $(C_SOURCES) $(shell git ls-files pygas '*meson.build' tools) \
	meson.options pyproject.toml

.PHONY: demo evaluation test test-c test-asan test-fuzz test-valgrind lint check clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	$(BIN)/pygas run -n 4 examples/cannon.py -n 1024
	$(BIN)/pygas run -n 4 examples/wordindex.py
	$(BIN)/pygas run -n 4 examples/workqueue.py

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest

evaluation: $(VENV)/.installed-evaluation
	$(BIN)/pygas bench paper

# A Debian without python3-venv can make an environment all the same, if it has pip.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { \
		$(PYTHON) -m venv --clear --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(BIN)/python install pip; }

# Each of these is the one before it and more.
$(VENV)/.installed: $(BIN)/python $(PACKAGE_SOURCES)
	$(BIN)/python -m pip install $(BUILD_FLAGS) .
	touch $@

$(VENV)/.installed-test: $(BIN)/python $(PACKAGE_SOURCES)
	$(BIN)/python -m pip install $(BUILD_FLAGS) '.[test]'
	touch $(VENV)/.installed $@

$(VENV)/.installed-dev: $(BIN)/python $(PACKAGE_SOURCES)
	$(BIN)/python -m pip install $(BUILD_FLAGS) '.[test,dev]' meson ninja
	touch $(VENV)/.installed $(VENV)/.installed-test $@

$(VENV)/.installed-evaluation: $(BIN)/python $(PACKAGE_SOURCES)
	$(BIN)/python -m pip install $(BUILD_FLAGS) '.[evaluation]'
	touch $(VENV)/.installed $@

test-c: $(VENV)/.installed-dev
	PATH="$(abspath $(BIN)):$$PATH" tools/test_c.sh

test-asan: $(VENV)/.installed-dev
	PATH="$(abspath $(BIN)):$$PATH" tools/test_asan.sh

test-valgrind: $(VENV)/.installed-dev
	PATH="$(abspath $(BIN)):$$PATH" tools/test_valgrind.sh

test-fuzz:
	tools/test_fuzz.sh

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(C_SOURCES) benchmarks/*.c
	$(BIN)/mypy
	cd $(VENV) && bin/python -m mypy.stubtest pygas._core
	$(BIN)/python tools/check_layers.py

check: lint test test-c test-asan test-fuzz

clean:
	rm -rf $(VENV) build build-*
