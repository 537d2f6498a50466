//! `target` under libFuzzer; what it promises is in src/target.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cornac_fuzz::target(data));
