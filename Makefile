# `make help` lists the targets. Every target sets up what it needs.
SHELL := /bin/bash
BIN := .venv/bin
PYTHON_FILES := membership sidecar testbed tests examples benchmarks deploy
# What looks at the source and not at what it does: by `make check`, not by `make test`.
CHECKED := tests/unit/test_layers.py tests/unit/test_public.py tests/unit/test_docs.py

.DEFAULT_GOAL := help
.PHONY: help venv demo run check format test test-operations simulate test-deploy test-real test-e2e test-e2e-full image-root soak controlplane bench \
	bench-full bench-check bench-faults man clean

help:  ## this list
	@grep -E '^[a-z0-9-]+:.*##' Makefile | sed -E 's/:[^#]*## */\t/' | expand -t 16

venv: .venv/.installed  ## the virtual environment that everything else runs in
.venv/.installed: setup.cfg pyproject.toml requirements.lock scripts/bootstrap
	scripts/bootstrap

demo: venv  ## the main job on an embedded API server, in 20 seconds; KUBE=real: on a real one
	$(BIN)/python -m examples.demo $(if $(filter real,$(KUBE)),--real)

run: venv  ## the sidecar with your kubeconfig: make run ARGS='--services wso2/is'
	$(BIN)/membership-sidecar $(ARGS)

format: venv  ## rewrite the Python files in the house format
	$(BIN)/black -q -l 120 $(PYTHON_FILES)

check: venv  ## format, lint, types, layers
	$(BIN)/black -q -l 120 --check $(PYTHON_FILES) || { echo "make format would change files" >&2; exit 1; }
	$(BIN)/flake8 $(PYTHON_FILES)
	$(BIN)/mypy
	$(BIN)/pytest -q $(CHECKED)

test: venv  ## the Python tier: unit, simulation, sidecar, faults; needs nothing but Python
	$(BIN)/pytest -q -n 5 --dist loadfile --no-loadscope-reorder $(addprefix --ignore=,$(CHECKED)) \
		tests/unit tests/simulation tests/sidecar tests/faults

test-operations: venv  ## the Python tier's second part: verify, push, doctor, page, upstream, limits, security
	$(BIN)/pytest -q -n 5 --dist loadfile --no-loadscope-reorder tests/operations

simulate: venv  ## SEEDS=100000 random schedules in virtual time; SEED=17 replays one; MUTATIONS=1: is every mistake seen?
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED) $(if $(KEEP),--keep $(KEEP))) \
		$(if $(MUTATIONS),--mutations) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FIRST),--first $(FIRST)) $(if $(JOBS),--jobs $(JOBS))

test-deploy: venv controlplane  ## the image's files as uid 10001, the manifests, pods played by them, monitoring; 3 minutes, root
	scripts/require unshare:util-linux ip:iproute2 prometheus:prometheus promtool:prometheus \
		java:openjdk-17-jdk-headless mvn:maven
	$(BIN)/pytest -q tests/deploy

image-root: venv  ## what the Dockerfile puts on its base, in build/image-root
	rm -rf build/image-root
	$(BIN)/python -m deploy.image.build_root build/image-root

controlplane:  ## build etcd, kube-apiserver and kube-controller-manager (8 minutes without Go's build cache)
	testbed/build_controlplane

test-real: venv controlplane  ## the real tier: a real kube-apiserver and etcd, real Hazelcast members
	scripts/require java:openjdk-17-jre-headless mvn:maven haproxy:haproxy chromium:chromium chromedriver:chromium-driver
	$(BIN)/pytest -q tests/real

test-e2e: venv controlplane  ## the end-to-end tier: pods as network namespaces, real Carbon and Hazelcast; 5 minutes, root
	scripts/require java:openjdk-17-jdk-headless mvn:maven ip:iproute2
	$(BIN)/pytest -q -m quick tests/e2e

test-e2e-full: venv controlplane  ## every scenario of that tier on every server; 45 minutes, root
	scripts/require java:openjdk-17-jdk-headless mvn:maven ip:iproute2
	$(BIN)/pytest -q tests/e2e

soak: venv controlplane  ## churn and faults on a real control plane for SOAK_MINUTES (10), then: true, and nothing grew
	$(BIN)/python -m tests.soak

bench: venv controlplane  ## every client's watch latency and cost, short: docs/benchmarks.md; 10 minutes; root, or user namespaces
	$(BIN)/python -m benchmarks.latency --plan bench
	$(BIN)/python -m benchmarks.page

bench-full: venv controlplane  ## the same with 1000 changes for each client, on a quiet machine: the figures that are quoted; 3.5 hours
	$(BIN)/python -m benchmarks.latency --plan full
	$(BIN)/python -m benchmarks.cost --plan full
	$(BIN)/python -m benchmarks.scale --plan full
	$(BIN)/python -m benchmarks.blackhole --bound 1000
	$(BIN)/python -m benchmarks.page

bench-check: venv controlplane  ## has it become slower? ratios of a short run against the committed ones; 3 minutes
	$(BIN)/python -m benchmarks.check

bench-faults: venv  ## this and other clients through the same faults: docs/faults.md; 10 minutes
	$(BIN)/python -m benchmarks.faults

man: venv  ## man pages in build/man: man -l build/man/membership.1
	$(BIN)/python -m docs.make_man

clean:  ## remove the virtual environment and caches of this folder
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .hypothesis
