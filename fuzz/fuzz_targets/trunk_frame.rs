//! See `umbrella_server::fuzzing::trunk_frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| umbrella_server::fuzzing::trunk_frame(data));
