//! See `umbrella_server::fuzzing::announcement`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| umbrella_server::fuzzing::announcement(data));
