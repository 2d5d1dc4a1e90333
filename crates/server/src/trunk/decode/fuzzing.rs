//! What holds for everything that a neighbour may say.

use prost::Message as _;
use umbrella_room::mesh::{Message, Person};
use umbrella_wire::trunk::Frame;

use super::{Incoming, LAYERS, PATH, RELAYED, TRACKS, decode};
use crate::trunk::encode::{
    encode, encode_demand, encode_media_candidate, encode_media_parameters,
};

/// Reads a frame of a link between servers.
///
/// # Panics
/// If what it means is larger than anything may be, or is not the same after it was passed on to a
/// further server.
pub fn trunk_frame(data: &[u8]) {
    let Ok(frame) = Frame::decode(data) else {
        return;
    };
    let Ok(Some(incoming)) = decode(frame) else {
        return;
    };
    check(&incoming);
    let again = passed_on(&incoming).expect("only what neighbours take");
    assert_eq!(decode(again), Ok(Some(incoming)));
}

/// As it is sent to a further server.
pub(super) fn passed_on(incoming: &Incoming) -> Option<Frame> {
    let frame = match incoming {
        Incoming::Mesh(message) => encode(message)?,
        Incoming::Demand {
            room,
            origin,
            track,
            streams,
        } => encode_demand(room, origin, track, streams),
        Incoming::MediaParameters {
            generation,
            ufrag,
            password,
            fingerprint,
            candidates,
        } => encode_media_parameters(*generation, ufrag, password, fingerprint, candidates),
        Incoming::MediaCandidate {
            generation,
            candidate,
        } => encode_media_candidate(*generation, candidate),
    };
    // Over the wire.
    Frame::decode(frame.encode_to_vec().as_slice()).ok()
}

fn check(incoming: &Incoming) {
    match incoming {
        Incoming::Mesh(message) => check_message(message),
        Incoming::Demand { streams, .. } => {
            let mut ssrcs: Vec<_> = streams.iter().map(|it| it.ssrc).collect();
            ssrcs.extend(streams.iter().filter_map(|it| it.repair_ssrc));
            let all = ssrcs.len();
            ssrcs.sort_unstable();
            ssrcs.dedup();
            assert!(ssrcs.len() == all && !ssrcs.contains(&0));
            assert!(streams.is_sorted_by(|a, b| a.spatial < b.spatial));
        }
        Incoming::MediaParameters { candidates, .. } => {
            assert!(candidates.iter().all(|line| !line.contains(['\r', '\n'])));
        }
        Incoming::MediaCandidate { candidate, .. } => {
            assert!(!candidate.contains(['\r', '\n']));
        }
    }
}

fn check_message(message: &Message) {
    if let Some(origin) = message.origin() {
        assert!(origin.is_sound());
    }
    if let Message::Route(route) = message {
        assert!((1..=PATH).contains(&route.path.len()));
    } else if let Message::Person { person, .. } = message {
        check_person(person);
    } else if let Message::Levels { levels, .. } = message {
        let sound = |voice: f32| (0.0..=1.0).contains(&voice);
        assert!(levels.iter().all(|it| it.level <= 127 && sound(it.voice)));
    } else if let Message::Qualities { qualities, .. } = message {
        let mut scores = qualities.iter().map(|it| it.score);
        assert!(scores.all(|score| (1.0..=4.5).contains(&score)));
    }
}

fn check_person(person: &Person) {
    assert!(person.tracks.len() <= TRACKS && person.view.capabilities.len() <= RELAYED);
    for track in &person.tracks {
        let (kind, layers) = (track.view.kind, &track.view.layers);
        let codecs = [track.view.codec, track.backup];
        assert!(codecs.iter().flatten().all(|codec| codec.kind() == kind));
        assert!(layers.len() <= LAYERS);
        assert!(layers.is_sorted_by(|a, b| a.quality < b.quality));
    }
}
