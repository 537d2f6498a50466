//! `record` under libFuzzer; what it promises is in src/record.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cornac_fuzz::record(data));
