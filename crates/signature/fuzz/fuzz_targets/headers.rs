#![no_main]

#[path = "../targets.rs"]
#[expect(dead_code, reason = "of the targets this is one")]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::headers(data));
