//! See `umbrella_engine::fuzzing::description`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| umbrella_engine::fuzzing::description(data));
