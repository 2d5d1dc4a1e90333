//! Cameras that can be heard.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use umbrella_media::Codec;

use super::rig::{Audio, adts};
use super::*;

fn of(audio: Audio) -> Script {
    Script {
        audio,
        ..Script::default()
    }
}

async fn sounds(script: Script, count: usize) -> (AudioFormat, Vec<Sound>) {
    let rig = Rig::start(script).await;
    let mut session = Session::open(options(&rig.url("")));
    let (_, audio, notes) = connected(&mut session).await;
    assert_eq!(notes, []);
    let mut sounds = Vec::new();
    while sounds.len() < count {
        match next(&mut session).await {
            Event::Audio(sound) => sounds.push(sound),
            Event::Video(_) => {}
            other => panic!("{other:?}"),
        }
    }
    (audio.unwrap(), sounds)
}

#[tokio::test]
async fn most_cameras_are_silent() {
    let (format, sounds) = sounds(of(Audio::Aac), 20).await;
    assert_eq!((format.codec, format.channels), (Codec::Opus, 1));
    assert!(sounds[0].begins);
    for pair in sounds.windows(2) {
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        // The rig is in a hurry, so there may be gaps; never is there less than a packet.
        assert!(step == 960 || pair[1].begins, "{step}");
    }
}

#[tokio::test]
async fn sound_is_made_for_nobody_or_missing_when_somebody_listens() {
    for audio in [Audio::Aac, Audio::Pcmu] {
        let rig = Rig::start(of(audio)).await;
        let options = options(&rig.url(""));
        let heard = Arc::clone(&options.heard);
        heard.store(false, Ordering::Relaxed);
        let mut session = Session::open(options);
        assert!(connected(&mut session).await.1.is_some());
        for _ in 0..20 {
            let event = next(&mut session).await;
            assert!(matches!(event, Event::Video(_)), "{event:?}");
        }
        heard.store(true, Ordering::Relaxed);
        let sound = loop {
            if let Event::Audio(sound) = next(&mut session).await {
                break sound;
            }
        };
        assert!(sound.begins, "{audio:?}");
    }
}

#[tokio::test]
async fn sound_that_browsers_play_is_changed() {
    for (audio, codec, step) in [
        (Audio::Pcmu, Codec::Pcmu, 320),
        (Audio::Opus, Codec::Opus, 1920),
    ] {
        let (format, sounds) = sounds(of(audio), 10).await;
        assert_eq!(format.codec, codec);
        for pair in sounds.windows(2) {
            assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), step);
            assert_eq!(pair[1].payload, pair[0].payload);
        }
    }
}

#[tokio::test]
async fn camera_with_sound_that_nobody_plays_has_no_picture() {
    let rig = Rig::start(of(Audio::G726)).await;
    let mut session = Session::open(options(&rig.url("")));
    let (_, audio, notes) = connected(&mut session).await;
    assert_eq!(audio, None);
    assert!(matches!(&notes[..], [Note::Silent(what)] if what.starts_with("G726-32")));
    picture(&mut session).await;
    let mut deaf = options(&rig.url(""));
    deaf.audio = false;
    let mut session = Session::open(deaf);
    assert_eq!(connected(&mut session).await.2, []);
}

/// Strength of a tone in decoded sound.
fn strength(samples: &[f32], hz: f32) -> f32 {
    let (mut re, mut im) = (0.0, 0.0);
    for (at, sample) in samples.iter().enumerate() {
        let angle = std::f32::consts::TAU * hz * at as f32 / 48_000.0;
        re += sample * angle.cos();
        im += sample * angle.sin();
    }
    (re * re + im * im).sqrt() * 2.0 / samples.len() as f32
}

#[test]
fn transcoded_sound_is_distorted_or_out_of_sync() {
    let file = include_bytes!("../audio/tone-16000-mono.aac");
    let mut transcoder = Transcoder::new(&[0x14, 0x08]).unwrap();
    let begin = 5_000_000;
    let mut sounds = Vec::new();
    for (index, unit) in adts(file).into_iter().enumerate() {
        sounds.extend(transcoder.push(unit, begin + index as i64 * 64_000));
    }
    // 16 units of 64 ms or one more are about 51 packets; filters hold back some.
    assert!((49..=55).contains(&sounds.len()), "{}", sounds.len());
    let first = sounds[0].captured.as_micros() as i64;
    // 64 ms for the camera's encoder, 1 for the resampler, 6.5 for our encoder.
    assert_eq!(first, begin - 64_000 - 1000 - 6500);
    for (index, sound) in sounds.iter().enumerate() {
        let late = sound.captured.as_micros() as i64 - first - index as i64 * 20_000;
        assert!(late.abs() < 1000, "{index}: {late}");
        assert_eq!(sound.timestamp, sounds[0].timestamp + 960 * index as u32);
    }
    let mut decoder = opus_rs::OpusDecoder::new(48_000, 1).unwrap();
    let mut heard = Vec::new();
    for sound in &sounds {
        let mut samples = vec![0.0; 960];
        let count = decoder.decode(&sound.payload, 960, &mut samples).unwrap();
        heard.extend(&samples[..count]);
    }
    // The tone begins with the first sample that the camera captured.
    let onset = heard
        .iter()
        .position(|sample: &f32| sample.abs() > 0.2)
        .unwrap();
    let late = first + onset as i64 * 1000 / 48 - begin;
    assert!((-5_000..5_000).contains(&late), "{late}");
    let middle = &heard[14_400..33_600];
    let tone = strength(middle, 440.0);
    let power: f32 = middle.iter().map(|sample| sample * sample).sum::<f32>() / middle.len() as f32;
    assert!((0.4..0.6).contains(&tone), "{tone}");
    let rest = (power - tone * tone / 2.0).max(0.0).sqrt();
    assert!(rest < 0.12, "{rest}");
}

#[test]
fn gap_in_the_sound_moves_all_that_comes_after_it() {
    let file = include_bytes!("../audio/tone-16000-mono.aac");
    let mut transcoder = Transcoder::new(&[0x14, 0x08]).unwrap();
    let units = adts(file);
    let before = transcoder.push(units[0], 1_000_000);
    let after = transcoder.push(units[1], 3_000_000);
    assert!(before[0].begins && after[0].begins);
    let step = after[0].timestamp - before[0].timestamp;
    assert_eq!(step, 96_000);
    assert_eq!(
        after[0].captured - before[0].captured,
        Duration::from_secs(2)
    );
    // Back in time there is nothing to be heard twice.
    let back = transcoder.push(units[2], 0);
    assert!(back[0].timestamp.wrapping_sub(after[0].timestamp) < 10_000);
}

#[test]
fn rubbish_instead_of_sound_breaks_the_decoder() {
    let file = include_bytes!("../audio/tone-16000-mono.aac");
    let mut transcoder = Transcoder::new(&[0x14, 0x08]).unwrap();
    let units = adts(file);
    for round in 0..200u32 {
        let mut unit = units[round as usize % units.len()].to_vec();
        for (at, byte) in unit.iter_mut().enumerate() {
            if (at as u32).wrapping_mul(2_654_435_761) >> 27 == round % 32 {
                *byte ^= round as u8;
            }
        }
        unit.truncate(unit.len() - (round as usize % 40));
        let _ = transcoder.push(&unit, i64::from(round) * 64_000);
    }
    for config in [
        &[][..],
        &[0],
        &[0xff, 0xff],
        &[0x2b, 0x8a, 0x08, 0],
        &[0x14, 0x38],
    ] {
        assert!(Transcoder::new(config).is_err(), "{config:?}");
    }
}
