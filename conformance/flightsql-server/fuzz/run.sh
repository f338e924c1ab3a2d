#!/usr/bin/env bash
# Fuzzes each parser of untrusted bytes for some seconds (60 unless said): fuzz/run.sh [SECONDS]. Not part of CI.
# What is found lies in fuzz/artifacts/.
set -euo pipefail
cd "$(dirname "$0")"
command -v cargo-fuzz > /dev/null || cargo install --locked --quiet cargo-fuzz
for target in command ticket token handshake; do
  # Sanitizers need a nightly Rust; without `unsafe` there is little for them to find.
  cargo fuzz run --fuzz-dir . --sanitizer none "$target" -- -max_total_time="${1:-60}" -max_len=4096 -print_final_stats=1
done
