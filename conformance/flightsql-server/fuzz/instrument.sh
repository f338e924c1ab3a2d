#!/usr/bin/env bash
# Cargo's RUSTC_WRAPPER of run.sh: the compiler, with coverage for the crates that read untrusted bytes.
set -euo pipefail
shopt -s extglob
case " $* " in
  *" --crate-name "@(flightsql_server|arrow_flight|arrow_ipc|arrow_data|arrow_buffer|flatbuffers|prost|jsonwebtoken|base64|serde_json)" "*)
    exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
      -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
      -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 ;;
esac
exec "$@"
