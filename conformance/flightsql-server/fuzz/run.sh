#!/usr/bin/env bash
# Fuzzes each parser of untrusted bytes for some seconds (60 unless said): fuzz/run.sh [SECONDS]. Not part of CI.
# What is found lies in fuzz/artifacts/. Needs no nightly compiler: coverage comes from LLVM's sancov pass, which a stable one
# has. Only the parsers are instrumented: with the whole SQL engine the build takes most of an hour.
set -euo pipefail
cd "$(dirname "$0")"
target="${CARGO_TARGET_DIR:-$PWD/target}/fuzz"
host=$(rustc -vV | sed -n 's/^host: //p')
# With a target of its own, so that build scripts are not instrumented.
RUSTC_WRAPPER="$PWD/instrument.sh" cargo build --locked --target "$host" --target-dir "$target"
built="$target/$host/debug"
"$built/seeds" corpus
mkdir -p artifacts
found=0
for parser in command ticket token handshake rows; do
  echo "== $parser"
  if "$built/$parser" "corpus/$parser" -artifact_prefix="artifacts/$parser-" -max_total_time="${1:-60}" -max_len=4096 \
    -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 > "artifacts/$parser.log" 2>&1; then
    grep -E '^(Done|stat::|#[0-9]+\s+DONE)' "artifacts/$parser.log"
  else
    tail -n 40 "artifacts/$parser.log" >&2
    echo "$parser: something was found; see $PWD/artifacts/" >&2
    found=1
  fi
done
exit "$found"
