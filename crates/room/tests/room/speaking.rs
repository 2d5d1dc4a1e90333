use umbrella_media::Priority;
use umbrella_room::model::Speaker;
use umbrella_room::{Command, Effect, Limits, Notification, Reason};

use crate::harness::*;

/// Everything that was said of speakers to one participant.
fn speakers(effects: &[Effect], name: &str) -> Vec<Speaker> {
    let lists = told(effects, name).into_iter().filter_map(|notification| {
        let Notification::Speakers(speakers) = notification else {
            return None;
        };
        Some(speakers.to_vec())
    });
    lists.flatten().collect()
}

fn two_microphones() -> Harness {
    let mut room = Harness::with(&["a", "b"]);
    room.live("a", microphone("m"));
    room.live("b", microphone("n"));
    room.wait(1000);
    room
}

/// Lets a microphone be heard for some intervals.
fn hear_for(room: &mut Harness, times: usize, track: &str, level: u8, voice: f32) -> Vec<Effect> {
    (0..times)
        .flat_map(|_| room.hear(&[(track, level, voice)]))
        .collect()
}

#[test]
fn speech_is_shown_with_the_first_word() {
    let mut room = two_microphones();
    let effects = room.hear(&[("m", 20, 1.0)]);
    let told = speakers(&effects, "b");
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].participant.clone(), told[0].active),
        (pa("a"), true)
    );
    assert!(told[0].level > 0.0 && told[0].level <= 1.0);
    assert_eq!(speakers(&effects, "a"), told);
}

#[test]
fn fan_noise_and_murmur_are_not_speech() {
    let mut room = two_microphones();
    assert!(hear_for(&mut room, 20, "m", 10, 0.0).is_empty());
    assert!(hear_for(&mut room, 20, "m", 50, 1.0).is_empty());
    assert!(hear_for(&mut room, 20, "m", 127, 1.0).is_empty());
}

#[test]
fn gap_between_words_does_not_make_the_frame_flicker() {
    let mut room = two_microphones();
    hear_for(&mut room, 5, "m", 20, 1.0);
    let mut effects = room.hear(&[]);
    effects.extend(room.hear(&[("m", 20, 1.0)]));
    assert!(speakers(&effects, "b").iter().all(|speaker| speaker.active));
}

#[test]
fn silence_is_told_once() {
    let mut room = two_microphones();
    hear_for(&mut room, 5, "m", 20, 1.0);
    assert_eq!(room.next_reason(), Some(Reason::Speakers));
    let effects = room.wait(10_000);
    let stops = speakers(&effects, "b")
        .into_iter()
        .filter(|speaker| !speaker.active);
    assert_eq!(
        stops.collect::<Vec<_>>(),
        [Speaker {
            participant: pa("a"),
            level: 0.0,
            active: false
        }]
    );
    assert_eq!(room.next_reason(), None, "a silent room sleeps");
}

#[test]
fn muted_speaker_does_not_go_on_speaking() {
    let mut room = two_microphones();
    hear_for(&mut room, 5, "m", 5, 1.0);
    room.wait(250);
    let mut effects = room.mute("a", "m", true);
    effects.extend(room.wait(300));
    assert_eq!(
        speakers(&effects, "b").last().map(|speaker| speaker.active),
        Some(false)
    );
    assert!(
        speakers(&hear_for(&mut room, 5, "m", 5, 1.0), "b").is_empty(),
        "late packets"
    );
}

#[test]
fn speaker_who_leaves_does_not_go_on_speaking() {
    let mut room = two_microphones();
    hear_for(&mut room, 5, "m", 5, 1.0);
    let mut effects = room.leave("a");
    effects.extend(room.wait(300));
    let stops: Vec<_> = speakers(&effects, "b")
        .into_iter()
        .filter(|speaker| !speaker.active)
        .collect();
    assert_eq!(stops.len(), 1);
    assert!(speakers(&room.wait(10_000), "b").is_empty());
}

#[test]
fn steady_voice_does_not_cause_traffic() {
    let mut room = two_microphones();
    hear_for(&mut room, 10, "m", 20, 1.0);
    let effects: Vec<_> = (0..50)
        .flat_map(|i| room.hear(&[("m", 19 + i % 3, 1.0)]))
        .collect();
    assert!(speakers(&effects, "b").is_empty());
}

#[test]
fn lively_debate_is_told_a_few_times_a_second_at_most() {
    let mut room = two_microphones();
    let mut lists = 0;
    for i in 0..50u32 {
        let effects = room.hear(&[
            ("m", (i * 37 % 60) as u8, 1.0),
            ("n", (i * 53 % 60) as u8, 1.0),
        ]);
        lists += told(&effects, "a").len();
    }
    assert!(lists <= 50 * 200 / 300 + 1, "{lists} in ten seconds");
}

#[test]
fn loudest_comes_first() {
    let mut room = two_microphones();
    let effects = room.hear(&[("m", 30, 1.0), ("n", 5, 1.0)]);
    let order: Vec<_> = speakers(&effects, "a")
        .into_iter()
        .map(|speaker| speaker.participant)
        .collect();
    assert_eq!(order[0], pa("b"));
}

#[test]
fn newcomer_sees_who_speaks_already() {
    let mut room = two_microphones();
    hear_for(&mut room, 5, "m", 10, 1.0);
    let effects = room.join(newcomer("c"));
    assert!(matches!(told(&effects, "c")[0], Notification::Joined(_)));
    let told = speakers(&effects, "c");
    assert_eq!((told.len(), told[0].active), (1, true));
}

#[test]
fn muting_the_microphone_leaves_the_shared_screen_audible() {
    let mut room = two_microphones();
    room.live("a", microphone("screen"));
    for _ in 0..5 {
        room.hear(&[("m", 10, 1.0), ("screen", 10, 1.0)]);
    }
    let mut effects = room.mute("a", "m", true);
    effects.extend(hear_for(&mut room, 3, "screen", 10, 1.0));
    assert!(speakers(&effects, "b").iter().all(|speaker| speaker.active));
}

#[test]
fn levels_of_unknown_or_silly_tracks_are_ignored() {
    let mut room = two_microphones();
    room.live("a", camera("c"));
    let effects = room.hear(&[
        ("c", 1, 1.0),
        ("nothing", 1, 1.0),
        ("m", 255, 1.0),
        ("n", 1, f32::NAN),
    ]);
    assert!(speakers(&effects, "a").is_empty());
    assert!(room.handle(Command::AudioLevels(Vec::new())).is_empty());
}

#[test]
fn who_speaks_is_as_blurred_as_who_does_not() {
    let mut room = Harness::with(&["a", "b", "c"]);
    room.live("a", microphone("m"));
    room.live("a", camera("cam"));
    room.live("b", camera("other"));
    room.wait(1000);
    let priority = |effects: &[Effect]| {
        let changed = configured(effects).into_iter();
        changed
            .map(|(who, delivery)| (who, delivery.priority))
            .collect::<Vec<_>>()
    };
    let effects = hear_for(&mut room, 3, "m", 20, 1.0);
    let first = [(pa("b"), Priority::Speaker), (pa("c"), Priority::Speaker)];
    assert_eq!(priority(&effects), first);
    // A pause of some seconds changes nothing.
    assert!(priority(&room.wait(4_000)).is_empty());
    assert!(priority(&hear_for(&mut room, 3, "m", 20, 1.0)).is_empty());
    let effects = room.wait(8_000);
    let usual = [(pa("b"), Priority::Normal), (pa("c"), Priority::Normal)];
    assert_eq!(priority(&effects), usual);
    assert_eq!(room.next_reason(), None, "it wakes for ever");
}

#[test]
fn crowd_with_open_microphones_costs_everybody_all_of_them() {
    let limits = Limits {
        heard: 2,
        ..Limits::default()
    };
    let mut room = Harness::limited(0, limits);
    let names = ["a", "b", "c", "d"];
    for name in names {
        room.join(newcomer(name));
    }
    let quieted = |effects: &[Effect]| {
        let changes = effects.iter().filter_map(|effect| {
            let Effect::QuietProducer { track, quiet } = effect else {
                return None;
            };
            Some((track.to_string(), *quiet))
        });
        changes.collect::<Vec<_>>()
    };
    let effects: Vec<_> = names
        .iter()
        .flat_map(|name| room.live(name, microphone(name)))
        .collect();
    let late = [("TR_c".to_owned(), true), ("TR_d".to_owned(), true)];
    assert_eq!(quieted(&effects), late);
    // Whoever speaks takes the place of somebody who does not.
    let effects = hear_for(&mut room, 2, "d", 20, 1.0);
    let swap = [("TR_d".to_owned(), false), ("TR_b".to_owned(), true)];
    assert_eq!(quieted(&effects), swap);
    // And a place that is free is taken.
    let effects = room.mute("a", "a", true);
    assert_eq!(quieted(&effects).len(), 1);
    assert!(!quieted(&effects)[0].1);
}
