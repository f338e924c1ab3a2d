//! A JWT that nobody has verified yet.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flightsql_server::untrusted::token(bytes));
