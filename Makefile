# Everything a person or a machine runs here. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full lint bench native sanitize clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready native ## .venv, wheels, compilers (Debian packages) and the native library

# A .venv that is half-made, or was copied with its clone, is made again whatever its stamps say.
STALE := $(shell .ci/bootstrap check || echo stale)
.PHONY: stale

# What running Tokay needs; the test extra (TensorFlow, reference kernels) has a stamp of its own, so
# that the demo does not wait for it.
$(VENV)/.ready: pyproject.toml .ci/bootstrap $(STALE)
	.ci/bootstrap base
$(VENV)/.ready-test: pyproject.toml .ci/bootstrap $(VENV)/.ready
	.ci/bootstrap test

# Ninja would keep a library that was damaged since it was linked.
NATIVE := build/native/libtokay_native.so
native: $(VENV)/.ready
	@exec 9<.ci/bootstrap; if command -v flock >/dev/null; then flock 9; fi; \
	 sum() { $(VENV)/bin/cmake -E sha256sum $(NATIVE) 2>/dev/null; }; \
	 { mkdir -p build/native && : >build/native.log; } 2>/dev/null || \
	  { echo "error: cannot write to $$PWD/build (the commands themselves run without: .venv/bin/python -m host.demo)" >&2; exit 2; }; \
	 { [ "$$(sum)" = "$$(cat $(NATIVE).sum 2>/dev/null)" ] || rm -f $(NATIVE); } && \
	 $(VENV)/bin/cmake -S . -B build/native -G Ninja "-DCMAKE_MAKE_PROGRAM=$$PWD/$(VENV)/bin/ninja" \
	  -DCMAKE_BUILD_TYPE=Release >build/native.log 2>&1 && \
	 $(VENV)/bin/cmake --build build/native >>build/native.log 2>&1 && \
	 sum >$(NATIVE).sum || { cat build/native.log; exit 1; }

demo: setup ## compile the shipped model, build the image, boot it in the simulator, hear keywords
	@$(PY) -m host.demo

test: setup $(VENV)/.ready-test ## the test suite (about ten minutes on two cores)
	$(PY) -m pytest -n $(JOBS) --dist loadgroup -m "not slow"

test-full: setup $(VENV)/.ready-test ## the test suite with its slow sweeps
	$(PY) -m pytest -n $(JOBS) --dist loadgroup

lint: $(VENV)/.ready-test ## style and static checks
	$(VENV)/bin/ruff check .

bench: setup $(VENV)/.ready-test ## figures that vary with the machine, as ratios within one run
	$(PY) -m tests.bench

sanitize: $(VENV)/.ready ## the native library with AddressSanitizer and UBSan, in build/sanitize
	$(VENV)/bin/cmake -S . -B build/sanitize -G Ninja "-DCMAKE_MAKE_PROGRAM=$$PWD/$(VENV)/bin/ninja" \
	  -DCMAKE_BUILD_TYPE=Debug -DTOKAY_SANITIZE=ON
	$(VENV)/bin/cmake --build build/sanitize

clean: ## remove what was built (not .venv)
	rm -rf build
