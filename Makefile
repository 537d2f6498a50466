# What one does with this repository. `make` alone tells.
.DEFAULT_GOAL := help
.PHONY: help demo demo-check test fuzz test-docker test-ha soak docs-faults bench pgo up

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: ## a ThinkPHP-style application over three php-fpm pools, on http://127.0.0.1:8080/, until Ctrl-C
	@scripts/demo.sh

demo-check: ## the same without a terminal: sends the tour's requests itself and fails if anything is wrong
	@scripts/demo.sh --check

test: ## formatting, lints, unit tests, black-box tests on real php-fpm, nginx and etcd, doc tests
	@scripts/install-deps.sh build php nginx tls etcd
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	@if cargo nextest --version >/dev/null 2>&1; then set -x; cargo nextest run && cargo test --doc; else set -x; cargo test; fi

fuzz: ## so many inputs for each fuzz target of fuzz/, made by chance of its corpus: FUZZ_CASES=300000
	FUZZ_CASES=$${FUZZ_CASES:-300000} cargo test --test fuzz

test-docker: ## the compose rig of docker/ at work: scale, kill, start orders, variants; needs Docker, or root to start one
	@scripts/with-docker.sh cargo test --test containers -- --ignored --nocapture --test-threads=1

test-ha: ## two cornacs with keepalived in network namespaces: one dies, the address moves; needs root
	@scripts/install-deps.sh build php ha
	cargo test --test high_availability -- --ignored --nocapture --test-threads=1

up: ## cornac over three php-fpm containers on http://127.0.0.1:8080/, by docker compose, until Ctrl-C
	@if docker compose version >/dev/null 2>&1; then set -x; exec docker compose -f docker/compose.yml up --build; \
	else set -x; exec docker-compose -f docker/compose.yml up --build; fi

soak: ## php-fpms that fail at random under clients that ask for everything: SOAK_SECONDS=60, SOAK_SEED= an earlier one
	@scripts/install-deps.sh build php
	SOAK_SECONDS=$${SOAK_SECONDS:-60} cargo test --test soak -- --nocapture

docs-faults: ## writes docs/faults.md anew from the table of tests/faults
	CORNAC_WRITE_DOCS=1 cargo test --test faults the_document

pgo: ## target/pgo/cornac, built by what it does under load: a tenth less CPU; takes three builds' time
	@scripts/pgo.sh

bench: ## side by side with nginx and haproxy, same php-fpm pools; prints ratios: ONLY=hello,tls, ARGS="--quick --all"
	@scripts/install-deps.sh build php nginx bench $(if $(findstring --all,$(ARGS)),peers)
	@benches/run.sh
