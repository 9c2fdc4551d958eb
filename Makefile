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
.PHONY: help run dev test tested lint bench soak generated dashboard

help:
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: dashboard ## build the server with its web app and start it with development settings
	cargo build --release
	$(DEVELOPMENT) exec $(POSTHOUSE) serve --data-dir $(DATA_DIR)

dev: ## start the server, logging more (ARGS="--listen …"), and the web app with hot reload beside it
	.ci/prepare dashboard
	cargo build --release
	@npm --prefix dashboard run dev & trap "kill $$!" EXIT; \
	$(DEVELOPMENT) POSTHOUSE__LOG__LEVEL=info,posthouse=debug $(POSTHOUSE) serve --data-dir $(DATA_DIR) $(ARGS)

# Built again only where its sources are newer than what was built.
dashboard: dashboard/dist/index.html ## build the web app, for the next cargo build to embed

dashboard/dist/index.html: $(shell find dashboard/src dashboard/public dashboard/scripts -type f) $(wildcard dashboard/*.html dashboard/*.json dashboard/*.ts)
	.ci/prepare dashboard
	npm --prefix dashboard run build

# The suites that say what Posthouse does, whichever the store: run on PostgreSQL as well.
ON_BOTH := contract crash receive spine policies retention sdk

test: ## all tests, some on both stores, and the web app's in a browser (ARGS="--test crash" for some, on the embedded one)
	.ci/prepare
	$(MAKE) --no-print-directory dashboard
	tests/with-postgres $(MAKE) --no-print-directory tested

tested:
	cargo test --release --workspace $(ARGS)
ifndef ARGS
	POSTHOUSE_TEST_ENGINE=postgres cargo test --release $(ON_BOTH:%=--test %)
	POSTHOUSE_TEST_ENGINE=postgres cargo test --release --lib api::tests
	cargo build --release
	POSTHOUSE_BIN=$(abspath $(POSTHOUSE)) npm --prefix dashboard test
endif

lint: ## formatting, clippy, types of the web app, licences
	cargo fmt --all --check
	.ci/prepare dashboard
	npm --prefix dashboard run types:check
	npm --prefix dashboard run check
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
	.ci/prepare dashboard
	npm --prefix dashboard run types
