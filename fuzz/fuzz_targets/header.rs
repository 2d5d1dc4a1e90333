//! See `umbrella_engine::fuzzing::header`.
#![no_main]

use std::time::Instant;

libfuzzer_sys::fuzz_target!(|data: &[u8]| umbrella_engine::fuzzing::header(Instant::now(), data));
