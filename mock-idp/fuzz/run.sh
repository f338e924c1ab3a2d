#!/bin/sh
# Fuzzes the parsers of untrusted input: fuzz/run.sh [seconds]. Needs no nightly compiler: coverage comes from LLVM's
# sancov pass, which a stable compiler has; overflow checks and debug assertions are on.
set -eu
cd "$(dirname "$0")"
target="${CARGO_TARGET_DIR:-target}"
mkdir -p corpus
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks"
host=$(rustc -vV | sed -n 's/^host: //p')
# With a target of its own, so that build scripts are not instrumented.
cargo build --release --target "$host" --target-dir "$target/fuzz"
exec "$target/fuzz/$host/release/untrusted_input" corpus -max_total_time="${1:-60}" -timeout=5 -rss_limit_mb=1024 -print_final_stats=1
