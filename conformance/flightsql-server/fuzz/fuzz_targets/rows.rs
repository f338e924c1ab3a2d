//! The rows of a DoPut.
#![no_main]

libfuzzer_sys::fuzz_target!(
    // The fuzzer's hook ends the process at any panic; one that the parser catches is no finding, one that leaves it still is.
    init: std::panic::set_hook(Box::new(|_| ())),
    |bytes: &[u8]| flightsql_server::untrusted::rows(bytes)
);
