//! See `umbrella_media::fuzzing::forwarding`.
#![no_main]

use std::time::Instant;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    umbrella_media::fuzzing::forwarding(Instant::now(), data)
});
