//! The parts of the binary that are no media: each is done as the server does it.

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ConnectionCommon, RootCertStore, ServerConnection};

use super::{Passed, text};
use crate::http::check_page;
use crate::tls::{self, Names};

/// Steps of a handshake after which it is given up; some three are needed.
const STEPS: usize = 32;

const HOST: &str = "localhost";

/// Notes that it is put away.
struct Witness<'a>(&'a Cell<bool>);

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// What fails goes back to whoever contains it, and what it leaves is put away. That needs tables in the
/// binary, which nothing else uses: without them the first fault of anything ends the whole server, and
/// this ends the test.
pub(super) fn faults() -> Result<Passed, String> {
    let put_away = Cell::new(false);
    let failing = || {
        let _witness = Witness(&put_away);
        fail()
    };
    match catch_unwind(AssertUnwindSafe(failing)) {
        Err(_) if put_away.get() => Ok(Passed::with("contained".to_owned())),
        Err(_) => Err("what a fault leaves is not put away".to_owned()),
        Ok(()) => Err("a fault goes unnoticed".to_owned()),
    }
}

/// As a panic does, but nobody is told.
#[inline(never)]
fn fail() {
    resume_unwind(Box::new("the selftest"))
}

/// The page is whole.
pub(super) fn page() -> Result<Passed, String> {
    Ok(Passed::with(format!("{} files", check_page()?)))
}

/// A certificate authority is made, and a TLS client that trusts it believes the server.
pub(super) fn tls() -> Result<Passed, String> {
    let names = Names {
        hosts: [HOST.to_owned()].into(),
        ..Names::default()
    };
    let (authority, server) = tls::in_memory(&names).map_err(text)?;
    let mut roots = RootCertStore::empty();
    roots.add(authority).map_err(text)?;
    let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(text)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(HOST).map_err(text)?;
    let client = ClientConnection::new(Arc::new(client), name).map_err(text)?;
    let server = ServerConnection::new(server).map_err(text)?;
    talk(client, server)
}

/// Shakes hands, and says something in both directions.
fn talk(mut client: ClientConnection, mut server: ServerConnection) -> Result<Passed, String> {
    let (question, answer) = (b"Are you there?", b"I am.");
    client.writer().write_all(question).map_err(text)?;
    server.writer().write_all(answer).map_err(text)?;
    let (mut asked, mut heard) = (Vec::new(), Vec::new());
    for _ in 0..STEPS {
        pass(&mut client, &mut server, &mut asked)
            .map_err(|error| format!("the server says: {error}"))?;
        pass(&mut server, &mut client, &mut heard)
            .map_err(|error| format!("the client says: {error}"))?;
        if asked == question && heard == answer {
            let suite = client.negotiated_cipher_suite().map(|it| it.suite());
            let suite = suite.and_then(|it| it.as_str().map(str::to_owned));
            return Ok(Passed::with(suite.unwrap_or_default()));
        }
    }
    Err("client and server do not understand each other".to_owned())
}

/// Brings what one end has to send to the other, which adds what it understands to `heard`.
fn pass<From, To>(
    from: &mut ConnectionCommon<From>,
    to: &mut ConnectionCommon<To>,
    heard: &mut Vec<u8>,
) -> Result<(), String> {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).map_err(text)?;
    }
    let mut rest = &wire[..];
    while !rest.is_empty() {
        to.read_tls(&mut rest).map_err(text)?;
        to.process_new_packets().map_err(text)?;
    }
    // What is not there yet is no error that matters.
    let _ = to.reader().read_to_end(heard);
    Ok(())
}

/// A directory that is gone with this, as far as it can be.
struct Temporary(PathBuf);

impl Temporary {
    /// `None` if there is no place for it.
    fn new(place: &Path) -> Option<Temporary> {
        let name = format!("umbrella-selftest-{:016x}", rand::random::<u64>());
        let path = place.join(name);
        // Fails if somebody has put something there.
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.is_ok().then_some(Temporary(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A database of the current schema is made, written to and read from: in a file below `place`, or in
/// memory if nothing can be written there.
pub(super) fn database(place: &Path) -> Result<Passed, String> {
    let dir = Temporary::new(place);
    let sound = crate::store::check(dir.as_ref().map(|dir| dir.0.as_path()));
    match (sound.map_err(text)?, dir) {
        (false, _) => Err("the database does not hold what was written to it".to_owned()),
        (true, Some(_)) => Ok(Passed::with(format!("in {}", place.display()))),
        (true, None) => Ok(Passed {
            detail: "in memory".to_owned(),
            remarks: vec![format!(
                "Nothing can be written to {}, so that the database was tried in memory only.",
                place.display()
            )],
        }),
    }
}
