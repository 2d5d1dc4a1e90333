//! See `umbrella_engine::fuzzing::feedback`.
#![no_main]

use std::time::Instant;

libfuzzer_sys::fuzz_target!(|data: &[u8]| umbrella_engine::fuzzing::feedback(Instant::now(), data));
