//! The credential of a Handshake.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flightsql_server::untrusted::handshake(bytes));
