//! A row of dependency descriptors: each is a length byte and so many bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use umbrella_media::codec::dependency::Reader;

fuzz_target!(|data: &[u8]| {
    let mut reader = Reader::new();
    let mut rest = data;
    while let Some((&len, tail)) = rest.split_first() {
        let (descriptor, tail) = tail.split_at(usize::from(len).min(tail.len()));
        reader.read(descriptor);
        rest = tail;
    }
});
