//! What holds for everything that a client may say.

use std::collections::HashMap;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message as _;
use umbrella_room::Command;
use umbrella_room::model::ParticipantId;
use umbrella_wire::client::WrappedJoinRequest;
use umbrella_wire::client::wrapped_join_request::Compression;

use super::decode::{Request, request};
use super::hello::{self, Hello};
use crate::control::SessionInput;

/// Tracks that a message may name.
const TRACKS: usize = 1024;
const LAYERS: usize = 8;
const NAME: usize = 16;

/// Reads a signalling message.
///
/// # Panics
/// If it makes a command of somebody else, or a larger one than it may.
pub fn signalling(data: &[u8]) {
    let me = ParticipantId::new("PA_me");
    let inputs = match request(data, &me) {
        Ok(Request::Input(input)) => vec![input],
        Ok(Request::Inputs(inputs)) => inputs,
        _ => return,
    };
    for input in inputs {
        if let SessionInput::Command(command) = input {
            check_command(&command, &me);
        }
    }
}

fn check_command(command: &Command, me: &ParticipantId) {
    if let Command::Publish { participant, track } = command {
        assert_eq!(participant, me);
        assert!(track.layers.len() <= LAYERS);
        let mut names = track.layers.iter().map(|layer| layer.rid.chars().count());
        assert!(names.all(|name| name <= NAME));
    } else if let Command::Subscribe {
        participant,
        tracks,
        ..
    }
    | Command::ConfirmTracks {
        participant,
        tracks,
    } = command
    {
        assert_eq!(participant, me);
        assert!(tracks.len() <= TRACKS);
    } else if let Command::SetTrackSettings {
        participant,
        tracks,
        ..
    } = command
    {
        assert_eq!(participant, me);
        assert!(tracks.len() <= TRACKS);
    } else if let Command::Mute { participant, .. }
    | Command::AllowSubscribers { participant, .. }
    | Command::UpdateSelf { participant, .. }
    | Command::UpdateTrack { participant, .. } = command
    {
        assert_eq!(participant, me);
    } else {
        panic!("{command:?} is not for clients");
    }
}

/// Reads what a client says of itself when it connects. The first byte says how the rest is
/// packed: as parameters of an URL, or as a join request in one of its wrappings.
///
/// # Panics
/// If more comes out than a client may bring along, or what would spoil a log.
pub fn greeting(data: &[u8]) {
    let Some((&packing, rest)) = data.split_first() else {
        return;
    };
    let text = || String::from_utf8_lossy(rest).into_owned();
    let parameter = match packing % 4 {
        0 => {
            let text = text();
            let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
            let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
            check(&hello::v0(&pairs.collect()));
            return;
        }
        1 => text(),
        2 => wrap(rest.to_vec(), Compression::None),
        _ => wrap(gzip(rest), Compression::Gzip),
    };
    let query = HashMap::from([("join_request".to_owned(), parameter)]);
    if let Ok(hello) = hello::v1(&query) {
        check(&hello);
    }
}

fn check(hello: &Hello) {
    assert!(hello.add_tracks.len() <= hello::TRACKS);
    let client = hello.client();
    assert!(client.chars().count() <= 3 * 32 + 2);
    assert!(!client.chars().any(char::is_control));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn wrap(join_request: Vec<u8>, compression: Compression) -> String {
    let wrapped = WrappedJoinRequest {
        compression: compression.into(),
        join_request,
    };
    URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec())
}
