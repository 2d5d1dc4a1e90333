//! See `umbrella_media::fuzzing::nal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| umbrella_media::fuzzing::nal(data));
