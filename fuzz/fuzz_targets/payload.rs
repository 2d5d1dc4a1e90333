//! Every payload parser: the first byte chooses the codec, the rest is one payload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use umbrella_media::codec::{av1, h264, h265, opus, red, vp8, vp9};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, payload)) = data.split_first() else {
        return;
    };
    let marker = choice & 0x80 != 0;
    match choice & 0x7f {
        0 => drop(vp8::parse(payload, marker)),
        1 => drop(vp9::parse(payload)),
        2 => drop(h264::parse(payload, marker)),
        3 => drop(h265::parse(payload, marker)),
        4 => drop(av1::parse(payload, marker)),
        5 => drop(opus::parse(payload)),
        6 => {
            if let Some(primary) = red::primary(payload) {
                assert!(payload.get(primary.range).is_some());
            }
        }
        _ => {}
    }
});
