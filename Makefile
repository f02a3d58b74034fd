# Everything runs in a virtual environment that these targets make themselves. "make help" lists them.
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
LANES ?=
BENCH_ARGS ?=
SCRIPTS := scripts/make-venv .ci/run examples/demo/demo.sh

# Modules that need calls of Linux, and those that need POSIX: for other platforms they are read for the types that they
# offer, and not checked. tests/architecture/test_platforms.py holds the lists to what modules import.
LINUX_ONLY := \
	--exclude '/_bldr_launcher/(__main__|cgroup|channel|child|command|init|reaper|report|landlock|landlock_init|landlock_server|landlock_steps|overlay|root)\.py$$' \
	--exclude '/_bldr_launcher/(attributes|descendants|exchange|forked|mountinfo|ownership|policy|request|scratch|server|steps|stock|syscalls|trace_observer|trace_paths|tracer|tracers|trees)\.py$$' \
	--exclude '/bldr/sandbox/linux/(backend|cgroup|duplicate|failures|guarantees|ladder|launcher|limits|prepared|probe|processes|running|trials)\.py$$' \
	--exclude '/bldr/sandbox/linux/(cgroup_remedies|cgroup_trial|requests|scope|spawning)\.py$$' \
	--exclude '/_bldr_launcher/(gateway/(__main__|datagrams|ledger|loop|nameserver|resolver|serving|streams)|netlink|network)\.py$$' \
	--exclude '/bldr/sandbox/linux/gateway\.py$$' \
	--exclude '/bldr/sandbox/linux/landlock/(backend|guarantees)\.py$$' \
	--exclude '/bldr/(cli/(cached|learn|trial|unconfined)|execution/(caching|changes|commit|loop|monitor|staging|timeout|trial)|learn/(lesson|proving|watching)|store/(blobs|cache|inputroot|outputs|toolchains))\.py$$' \
	--exclude '/bldr/(cli/(build|clean|watching)|engine/(build|cleaning|confining|drafts|files|lock|performing|publishing|reasons|settled|settling|slots|stages|state))\.py$$'
POSIX_ONLY := \
	--exclude '/_bldr_launcher/(pseudofile|seccomp|trace_calls)\.py$$' \
	--exclude '/bldr/sandbox/linux/facts\.py$$' \
	--exclude '/bldr/execution/(interface|relay|session|streams)\.py$$' \
	--exclude '/bldr/cli/(pictures|progress_of_builds|run|settings|shell|test)\.py$$' \
	--exclude '/bldr/(audit/(log|reader)|report/(region|terminal))\.py$$'

.PHONY: help demo test kernels lint format bench performance clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 14

demo: $(VENV)/.run ## build a real project in a sandbox and show what was enforced
	@PATH="$(abspath $(BIN)):$$PATH" sh examples/demo/demo.sh

test: $(VENV)/.dev ## run the test suite (PYTEST_ARGS are passed on)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

kernels: $(VENV)/.dev ## run tests on other kernels, with real cgroups (LANES names some, see docs/kernels.md)
	$(BIN)/python -m tests.kernels.lanes $(LANES)

lint: $(VENV)/.dev ## ruff, mypy for three platforms, import contracts, shellcheck
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --platform linux
	$(BIN)/mypy --platform darwin --follow-imports silent $(LINUX_ONLY)
	$(BIN)/mypy --platform win32 --follow-imports silent $(LINUX_ONLY) $(POSIX_ONLY)
	$(BIN)/mypy tests tools
	$(BIN)/lint-imports --no-logo
	@if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); \
	else echo "shellcheck is not installed, the shell scripts were not checked"; fi

format: $(VENV)/.dev ## rewrite the sources the way ruff wants them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.run ## measure; one JSON object a program on standard output
	@for program in benchmarks/*.py; do echo "# $$program" >&2; $(BIN)/python $$program $(BENCH_ARGS) || exit 1; done

performance: $(VENV)/.run ## measure as this user and, as root, as uid 1234, and rewrite docs/performance.md
	@cd benchmarks && $(abspath $(BIN))/python -m measuring.publish

clean: ## remove what these targets made
	rm -rf $(VENV) demo-out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# A stamp a kind of environment. The development one serves for running too.
$(VENV)/.run: pyproject.toml scripts/make-venv
	@scripts/make-venv $(VENV)
	@touch $@

$(VENV)/.dev: pyproject.toml scripts/make-venv
	@scripts/make-venv $(VENV) dev
	@touch $@ $(VENV)/.run
