//! `reply_head` under libFuzzer; what it promises is in src/reply_head.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cornac_fuzz::reply_head(data));
