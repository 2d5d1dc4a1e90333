//! `umbrella health`.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::harness::{Server, run, umbrella};

/// A server on a port that is known beforehand, with these settings.
fn server(env: &[(&str, &str)]) -> (Server, String) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let listen = ("UMBRELLA_HTTP_SERVE_ADDR", address.as_str());
    let env = [env, &[listen]].concat();
    let server = Server::start(tempfile::tempdir().unwrap(), &env);
    (server, address)
}

fn health(listen: &str, env: &[(&str, &str)], args: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let mut command = umbrella(dir.path());
    command
        .env("UMBRELLA_HTTP_SERVE_ADDR", listen)
        .envs(env.iter().copied());
    // Nothing else of this machine is needed.
    command.env_remove("PATH").arg("health").args(args);
    run(&mut command)
}

fn line(bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text.trim_end().to_owned()
}

#[test]
fn a_probe_takes_a_living_server_for_dead() {
    for env in [
        &[("UMBRELLA_CLOUD", "1"), ("UMBRELLA_HTTP_PREFIX", "/u")][..],
        &[("UMBRELLA_CLOUD", "0")],
    ] {
        let (_server, address) = server(env);
        let output = health(&address, env, &[]);
        assert!(output.status.success(), "{output:?}");
        let said = line(&output.stdout);
        assert!(
            said.starts_with("alive: http") && said.ends_with("/healthz"),
            "{said}"
        );
        let output = health(&address, env, &["--ready"]);
        assert!(output.status.success(), "{output:?}");
        assert!(line(&output.stdout).ends_with("/readyz"));
    }
}

#[test]
fn a_mistake_in_the_file_kills_a_server_that_lives() {
    let (server, address) = server(&[]);
    let file = server.dir.path().join("umbrella.toml");
    std::fs::write(&file, "[server\n").unwrap();
    let file = file.to_str().unwrap();
    let output = health(&address, &[], &["--config", file]);
    assert!(output.status.success(), "{output:?}");
    let _dir = server.terminate();
    let output = health(&address, &[], &["--config", file]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is not valid TOML"), "{said}");
}

#[test]
fn a_probe_takes_a_dead_server_for_living() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let output = health(&address, &[], &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = line(&output.stderr);
    assert!(
        said.starts_with("umbrella: not alive: cannot reach"),
        "{said}"
    );
    let output = health("127.0.0.1:0", &[], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(line(&output.stderr).contains("http.listen"));
}

#[test]
fn a_probe_waits_for_ever_for_a_server_that_hangs() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let start = Instant::now();
    let output = health(&address, &[], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(line(&output.stderr).contains("no answer within 3 s"));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_probe_swallows_whatever_comes() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = other.accept() {
            let _ = stream.read(&mut [0; 1024]);
            let head = b"HTTP/1.1 503 No\r\nconnection: close\r\n\r\n\x1b[31m";
            let _ = stream.write_all(head);
            // For ever, if it is read for ever.
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        }
    });
    let output = health(&address, &[("UMBRELLA_CLOUD", "1")], &["--ready"]);
    assert_eq!(output.status.code(), Some(1));
    let said = line(&output.stderr);
    assert!(said.contains("not ready") && said.contains("503"), "{said}");
    assert!(!said.contains('\u{1b}') && said.len() < 300, "{said}");
}
