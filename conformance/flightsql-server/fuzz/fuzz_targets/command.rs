//! A command inside `Any`, from a descriptor or an action.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flightsql_server::untrusted::command(bytes));
