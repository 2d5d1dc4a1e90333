//! A camera by script, good or not, with real sockets.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not expected fails the test"
)]

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::*;
use crate::trunk::Trust;

mod keeping;
mod malice;
mod pictures;
mod rig;
mod sound;

use rig::{Quirk, Rig, Script};

const PATIENCE: Duration = Duration::from_secs(10);

fn trust() -> Trust {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["nobody".to_owned()]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(params.self_signed(&key).unwrap().der().clone())
        .unwrap();
    Trust::new(roots).unwrap()
}

/// So short that no test waits for long, and long enough for a busy machine.
fn options(address: &str) -> Options {
    let mut options = Options::new(Address::parse(address).unwrap(), trust());
    options.limits = Limits {
        connect: Duration::from_secs(3),
        answer: Duration::from_secs(3),
        start: Duration::from_secs(5),
        frozen: Duration::from_secs(3),
        key_frame: Duration::from_secs(3),
    };
    options
}

async fn next(session: &mut Session) -> Event {
    let next = timeout(PATIENCE, session.next()).await.unwrap();
    next.unwrap()
}

/// What is said first, and it must be a connection.
async fn connected(session: &mut Session) -> (VideoFormat, Option<AudioFormat>, Vec<Note>) {
    match next(session).await {
        Event::Connected {
            video,
            audio,
            notes,
        } => (video, audio, notes),
        other => panic!("{other:?}"),
    }
}

async fn picture(session: &mut Session) -> Picture {
    loop {
        match next(session).await {
            Event::Video(picture) => return picture,
            Event::Audio(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Why a session ends, however long it lives.
async fn end(mut session: Session) -> Reason {
    loop {
        if let Event::Ended(reason) = next(&mut session).await {
            return reason;
        }
    }
}

/// Why there is no picture of a camera with this script.
async fn refused(script: Script) -> Reason {
    let rig = Rig::start(script).await;
    let mut session = Session::open(options(&rig.url("")));
    match next(&mut session).await {
        Event::Ended(reason) => reason,
        other => panic!("{other:?}"),
    }
}
