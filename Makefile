# Parlour's two commands are `make run` and `make test`. Each installs what is missing
# of its own needs, and says so. Prerequisites: Rust, Node 20+, Python 3 with pip, make.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

FRONTEND_SOURCES := $(shell find frontend -path frontend/node_modules -prune -o -path frontend/dist -prune -o -type f -print)
DATA := $(or $(PARLOUR_DATA),data)

.PHONY: help run build test test-rust test-frontend test-browser stop soak truth bench bench-peer bench-rooms bench-seance fuzz fmt lint types prerequisites

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## Build what is missing, fetch weights, serve on http://127.0.0.1:8080
	exec target/release/parlour serve

build: prerequisites frontend/dist/index.html ## Build the page and the program
	cargo build --release --locked

stop: ## Stop the server that `make run` started
	@tools/stop "$(DATA)"

test: ## Everything: Rust, front end, a real browser against the real model
	tools/test

test-rust: prerequisites frontend/dist/index.html ## Formatting, lints, Rust tests
	tools/test rust

test-frontend: prerequisites ## Types, formatting and unit tests of the page
	tools/test frontend

test-browser: prerequisites frontend/dist/index.html ## Whole games in Chromium with the real model
	tools/test browser

soak: frontend/dist/index.html ## A thousand faults (FAULTS=…) under mixed games: nothing lost, twice or stuck
	PARLOUR_REDIS_SERVER=$$(tools/redis) PARLOUR_SOAK_FAULTS=$(or $(FAULTS),1000) \
		cargo test --locked --test soak on_ -- --nocapture

truth: frontend/dist/index.html ## Random runs (RUNS=…) of two clients, a server that is killed, and a model
	PARLOUR_REDIS_SERVER=$$(tools/redis) PARLOUR_TRUTH_RUNS=$(or $(RUNS),500) PARLOUR_TRUTH_SEED=$(or $(SEED),0) \
		cargo test --locked --test soak truth -- --nocapture

bench: build ## Measure: last key to first judge token; what server and sockets add
	target/release/parlour bench turn
	target/release/parlour bench stream

bench-peer: build ## Measure the text engine against llama.cpp's server, in turn
	tools/bench-peer

bench-rooms: build ## Measure ten thousand sockets, and fan-out against other servers, in turn
	tools/bench-rooms

bench-seance: build ## Measure a spoken question until it is answered, and twenty minutes of them
	tools/bench-seance

fuzz: frontend/dist/index.html ## A million damaged inputs for each reader of files and messages
	PARLOUR_FUZZ_INPUTS=$(or $(INPUTS),1000000) cargo test --locked --lib fuzz::

fmt: frontend/node_modules/.installed ## Format everything
	cargo fmt
	cd frontend && npm run --silent format

lint: frontend/dist/index.html ## Lint everything
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cd frontend && npm run --silent check

types: ## Write the wire types for the page
	cargo test --locked --lib export_bindings

prerequisites:
	@tools/prerequisites

frontend/node_modules/.installed: frontend/package-lock.json
	@echo "Installing the page's build tools into frontend/node_modules"
	cd frontend && npm ci --no-audit --no-fund
	@touch $@

frontend/dist/index.html: frontend/node_modules/.installed $(FRONTEND_SOURCES)
	cd frontend && npm run --silent build
	@touch $@
