# The commands of the house. On a fresh Debian machine rustup, git, make and a C compiler are enough for `demo` and `test`.

CARGO ?= cargo
# Tools that are installed where they are missing; deny.toml is written for this version.
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2

.DEFAULT_GOAL := help
.PHONY: help demo test parts peers check bench bench-kernel bench-scheduler bench-seams asan triples kills simulate turmoil mutants chaos \
	chaos-long fuzz cargo-fuzz fmt clippy doc tidy deny cargo-deny advisories

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## build, then thresh real and generated files with three worker processes
	$(CARGO) build --release --locked
	"$${CARGO_TARGET_DIR:-target}/release/batteuse" demo

parts: ## install the real programs that tests run: servers and readers
	tests/parts/install.sh "$${CARGO_TARGET_DIR:-target}/parts" servers readers

# Doc tests come first, so that the last line is the closing line of the main runner.
test: parts ## run all tests, with nextest if it is installed
	$(CARGO) test --workspace --locked --doc
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		set -x; $(CARGO) nextest run --workspace --locked; \
	else \
		set -x; $(CARGO) test --workspace --locked --lib --bins --tests; \
	fi

check: fmt clippy doc tidy deny ## all that a change must pass besides the tests

peers: ## install what the benchmark runs beside batteuse
	tests/parts/install.sh "$${CARGO_TARGET_DIR:-target}/parts" peers

# BATTEUSE_BENCH_ONLY for some sections only: e2e, encode, cluster, small, resume.
bench: peers ## CSV to Parquet beside DuckDB, Polars and DataFusion, in pairs; BATTEUSE_BENCH_BYTES for another size than 1GB
	$(CARGO) bench --locked --bench pipeline

asan: ## the vector kernels and what rests on them, under AddressSanitizer
	RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" $(CARGO) test -p batteuse-kernel --locked --lib \
		--target "$$(rustc -vV | sed -n 's/^host: //p')" --target-dir "$${CARGO_TARGET_DIR:-target}/asan"

bench-kernel: ## the kernel alone, one thread, beside bare loops and other readers, in pairs; BATTEUSE_BENCH_BYTES likewise
	$(CARGO) bench --locked --bench kernel

# BATTEUSE_BENCH_PARTITIONS=1000000 for the long one.
bench-scheduler: ## the scheduler alone, 100,000 partitions and 1,000 workers: decisions a second, bytes a partition
	$(CARGO) bench --locked --bench scheduler

bench-seams: ## what wrong guesses of a partition's start cost, in pairs
	$(CARGO) bench --locked --bench seams

triples: ## 10^7 made-up (dialect, file, cut) triples against the oracle, in release mode; BATTEUSE_SEED for others
	BATTEUSE_TRIPLES="$${BATTEUSE_TRIPLES:-10000000}" $(CARGO) test --release --locked --test batteuse -- \
		--nocapture seams::triples

kills: ## 100 rounds of kill -9 of runs into SeaweedFS, and into PostgreSQL; BATTEUSE_KILLS for another number
	BATTEUSE_KILLS="$${BATTEUSE_KILLS:-100}" $(CARGO) test --locked --test batteuse -- \
		--nocapture --test-threads 1 stores::kills::killed_runs_into_s3 stores::tables::kills::embedded_runs

simulate: ## 20,000 simulated lives of a cluster under faults; BATTEUSE_SEEDS for another number, BATTEUSE_SEED for one of them
	$(CARGO) test --locked --test batteuse -- --nocapture simulation::seeds

turmoil: ## 200 lives of a cluster with the real stack over a simulated network; BATTEUSE_SEEDS and BATTEUSE_SEED likewise
	$(CARGO) test --locked --test batteuse -- --nocapture turmoil::seeds

mutants: ## plant bugs one by one, and tell which seed of the simulation finds each, and how
	$(CARGO) test --locked --test batteuse -- --nocapture simulation::every_planted_bug_is_found

chaos: ## what kills, cuts and planted bugs come to, each figure beside what is wanted; a miss fails
	$(CARGO) test --locked --test batteuse -- --ignored --nocapture --exact chaos::table::each_change
	$(CARGO) bench --locked --bench scheduler

# BATTEUSE_WANTED bounds each measure, to try it.
chaos-long: ## the same with many more rounds, in batches that add up in a results file: started again it goes on
	$(CARGO) test --locked --test batteuse -- --ignored --nocapture --exact chaos::table::once
	BATTEUSE_BENCH_PARTITIONS=1000000 $(CARGO) bench --locked --bench scheduler

# What is found anew stays out of the tree; `cargo fuzz cmin` makes a corpus small that is to be committed. Longer inputs are no
# larger files: those are made of pieces. Comparisons are not traced: that halves the speed, and the pieces know all that matters.
fuzz: cargo-fuzz ## the fuzz targets scan, seam and decode, 30 minutes each; BATTEUSE_FUZZ_SECONDS for another time each
	@set -e; for target in scan seam decode; do \
		found="$${CARGO_TARGET_DIR:-target}/fuzz/corpus/$$target"; mkdir -p "$$found"; set -x; \
		RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --no-trace-compares --target-dir "$${CARGO_TARGET_DIR:-target}/fuzz" \
			$$target "$$found" fuzz/corpus/$$target -- -max_total_time="$${BATTEUSE_FUZZ_SECONDS:-1800}" \
			-max_len=1500 -timeout=30 -print_final_stats=1; \
	done

cargo-fuzz:
	@$(CARGO) fuzz --version >/dev/null 2>&1 || $(CARGO) install --locked --version $(CARGO_FUZZ_VERSION) cargo-fuzz

fmt: ## formatting
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check

clippy: ## lints; a warning fails
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy --manifest-path fuzz/Cargo.toml --target-dir "$${CARGO_TARGET_DIR:-target}" --locked -- -D warnings

doc: ## documentation; a broken link fails
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

tidy: ## the rules of the house that no compiler knows
	$(CARGO) test --locked --test batteuse tidy::

deny: cargo-deny ## licences, sources and versions of the dependencies
	$(CARGO) deny --locked check bans licenses sources

advisories: cargo-deny ## known vulnerabilities; fetches the RustSec database
	$(CARGO) deny --locked check advisories

cargo-deny:
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked --version $(CARGO_DENY_VERSION) cargo-deny
