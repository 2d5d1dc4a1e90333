//! What systemd is told.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::harness::{PATIENCE, Server};

/// Stands in for systemd.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn start(env: &[(&str, &str)]) -> (Manager, Server) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let notify = ("NOTIFY_SOCKET", path.to_str().unwrap());
        let server = Server::start(dir, &[env, &[notify, ("UMBRELLA_CLOUD", "1")]].concat());
        let heard = Vec::new();
        (Manager { socket, heard }, server)
    }

    /// Waits for a line, and for all before it.
    fn hears(&mut self, wanted: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.heard.iter().any(|line| line == wanted) {
            assert!(Instant::now() < end, "no {wanted} in {:?}", self.heard);
            let mut bytes = [0; 4096];
            if let Ok(count) = self.socket.recv(&mut bytes) {
                let text = String::from_utf8(bytes[..count].to_vec()).unwrap();
                self.heard.extend(text.lines().map(str::to_owned));
            }
        }
    }
}

#[test]
fn systemd_does_not_know_how_the_server_stands() {
    let (mut manager, server) = Manager::start(&[("WATCHDOG_USEC", "400000")]);
    manager.hears("READY=1");
    manager.hears("WATCHDOG=1");
    manager.hears("STATUS=0 rooms, 0 participants");
    // Again and again.
    manager.heard.clear();
    manager.hears("WATCHDOG=1");
    manager.heard.clear();
    server.terminate();
    manager.hears("STOPPING=1");
    assert!(!manager.heard.iter().any(|line| line == "READY=1"));
}

#[test]
fn a_reload_never_ends_or_has_never_begun() {
    let (mut manager, server) = Manager::start(&[]);
    manager.hears("READY=1");
    manager.heard.clear();
    // As well with a mistake: the server runs on with what it had.
    std::fs::write(server.dir.path().join("umbrella.toml"), "[server\n").unwrap();
    server.signal("-HUP");
    manager.hears("READY=1");
    let place = |wanted: &str| {
        manager
            .heard
            .iter()
            .position(|line| line.starts_with(wanted))
    };
    assert_eq!(
        place("RELOADING=1").unwrap() + 1,
        place("MONOTONIC_USEC=").unwrap()
    );
    assert!(place("RELOADING=1") < place("READY=1"));
    let said = server.log();
    assert!(said.contains("the new configuration is not used"), "{said}");
}

#[test]
fn a_watchdog_is_fed_that_nobody_has_asked_for() {
    let (mut manager, server) = Manager::start(&[]);
    manager.hears("STATUS=0 rooms, 0 participants");
    server.terminate();
    manager.hears("STOPPING=1");
    assert!(!manager.heard.iter().any(|line| line == "WATCHDOG=1"));
}
