//! Forms, Basic headers, JWTs, JSON patches, faults, configurations, paths: any bytes, no panic.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mock_idp::parse_anything(bytes));
