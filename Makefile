# What is done with this repository. `make` alone lists it.
#
# One profile (release) for the binary, the tests and the benchmarks, so that nothing is built twice.

export CARGO_TARGET_DIR ?= target
POSTHOUSE := $(CARGO_TARGET_DIR)/release/posthouse
DATA_DIR ?= ./posthouse-data

# A newcomer delivers to his own laptop, which is refused by default; and the key of the first start
# is kept in $(DATA_DIR)/dev.key, to be printed again at the next.
DEVELOPMENT := POSTHOUSE__EGRESS__ALLOW_NETWORKS=127.0.0.0/8,::1/128 POSTHOUSE_DEV_KEY=1

.DEFAULT_GOAL := help
.PHONY: help run dev test tested lint bench soak generated

help:
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: ## build the server and start it with development settings
	cargo build --release
	$(DEVELOPMENT) exec $(POSTHOUSE) serve --data-dir $(DATA_DIR)

dev: ## start the server with what has changed since, logging more (ARGS="--listen …")
	$(DEVELOPMENT) POSTHOUSE__LOG__LEVEL=info,posthouse=debug \
		cargo run --release -- serve --data-dir $(DATA_DIR) $(ARGS)

# The suites that say what Posthouse does, whichever the store: run on PostgreSQL as well.
ON_BOTH := contract crash receive spine policies retention sdk

test: ## all tests, some on both stores (ARGS="--test crash" for some, on the embedded one)
	.ci/prepare
	tests/with-postgres $(MAKE) --no-print-directory tested

tested:
	cargo test --release --workspace $(ARGS)
ifndef ARGS
	POSTHOUSE_TEST_ENGINE=postgres cargo test --release $(ON_BOTH:%=--test %)
	POSTHOUSE_TEST_ENGINE=postgres cargo test --release --lib api::tests
endif

lint: ## formatting, clippy, licences
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then \
		cargo deny check licenses bans sources; \
	else \
		echo 'lint: licences, bans and sources NOT checked: cargo install --locked cargo-deny'; \
	fi

bench: ## load, sink and report on this machine, as a Markdown table in bench-report.md
	cargo build --release
	$(POSTHOUSE) bench suite --out bench-report.md

# The fault tests, each at its full length. To add one: its name here, its length by POSTHOUSE_SOAK.
SOAKED := crash simulation durability isolation herd cluster

soak: ## the fault tests at full length (hours)
	.ci/prepare
	POSTHOUSE_SOAK=1 cargo test --release $(SOAKED:%=--test %) -- --nocapture

generated: ## write the generated files that are committed (references, schemas)
	UPDATE_GENERATED=1 cargo test --release --workspace --quiet fresh
