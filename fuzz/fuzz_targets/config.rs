//! `config` under libFuzzer; what it promises is in src/config.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cornac_fuzz::config(data));
