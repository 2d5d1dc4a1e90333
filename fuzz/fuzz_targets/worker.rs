//! See `umbrella_engine::fuzzing::worker`.
#![no_main]

use std::cell::RefCell;
use std::panic;
use std::time::Instant;

thread_local! {
    static LAST: RefCell<String> = RefCell::default();
}

libfuzzer_sys::fuzz_target!(
    // Only panics that nobody catches are a crash: str0m's assertions on descriptions are caught,
    // and end one peer connection.
    init: panic::set_hook(Box::new(|panic| LAST.set(panic.to_string()))),
    |data: &[u8]| {
        let run = || umbrella_engine::fuzzing::worker(Instant::now(), data);
        if let Err(reason) = panic::catch_unwind(run) {
            eprintln!("{}", LAST.take());
            panic::resume_unwind(reason);
        }
    }
);
