//! Two servers that join, by subcommands and by configuration, over TLS.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use umbrella_server::trunk::{JoinSecret, Pin};

use crate::harness::{PATIENCE, Server, refusal, run, umbrella};

/// What a subcommand prints.
fn print(server: &Server, args: &[&str]) -> String {
    let mut command = umbrella(server.dir.path());
    let output = run(command.arg("trunk").args(args));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn refused(server: &Server, args: &[&str]) -> String {
    refusal(umbrella(server.dir.path()).arg("trunk").args(args))
}

fn list(server: &Server) -> Value {
    serde_json::from_str(&print(server, &["list", "--json"])).unwrap()
}

/// Waits until the only entry stands so.
fn until(server: &Server, state: &str) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let entry = list(server)["entries"][0].clone();
        if entry["state"] == state {
            return entry;
        }
        assert!(Instant::now() < end, "{entry}\n{}", server.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn start(env: &[(&str, &str)]) -> Server {
    Server::start(tempfile::tempdir().unwrap(), env)
}

/// Enters a secret as one would who does not want it in the list of processes.
fn add(server: &Server, url: &str, secret: &str) {
    let mut child = umbrella(server.dir.path())
        .args(["trunk", "add", url, "--secret", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{secret}").unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn two_sites_are_joined_by_more_than_a_secret() {
    let b = start(&[
        ("UMBRELLA_HTTP_PREFIX", "/b"),
        ("UMBRELLA_TRUNK_NAME", "Site B"),
    ]);
    let a = start(&[("UMBRELLA_TRUNK_NAME", "Site A")]);
    let secret = print(&b, &["allow", "--name", "Hut", "--rooms", "site-*"]);
    assert!(secret.parse::<JoinSecret>().unwrap().pin().is_some());
    // By an address that is written as a browser shows it.
    let url = format!("https://{}/b", b.address);
    add(&a, &format!("{url}/sfu"), &secret);
    let entry = until(&a, "connected");
    assert_eq!(entry["url"], *url);
    assert_eq!(entry["neighbour"]["name"], "Site B");
    let there = list(&b);
    assert_eq!(there["allowed"][0]["connected"][0]["name"], "Site A");
    assert_eq!(there["allowed"][0]["rooms"][0], "site-*");
    assert!(print(&a, &["list"]).contains("connected with Site B"));
    assert!(a.log().contains("a trunk is up") && b.log().contains("a trunk is up"));

    // The other one is started again.
    let address = b.address.to_string();
    let dir = b.terminate();
    let entry = until(&a, "reconnecting");
    assert!(entry["why"].as_str().is_some(), "{entry}");
    let b = Server::start(
        dir,
        &[
            ("UMBRELLA_HTTP_PREFIX", "/b"),
            ("UMBRELLA_HTTP_SERVE_ADDR", &address),
        ],
    );
    until(&a, "connected");

    let start = Instant::now();
    print(&b, &["revoke", "Hut"]);
    let entry = until(&a, "refused");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(entry["why"].as_str().unwrap().contains("revoked"));
    let why = list(&b)["refusals"][0]["why"].clone();
    assert!(why.as_str().unwrap().contains("revoked"), "{why}");
    print(&a, &["remove", &url]);
    assert!(list(&a)["entries"].as_array().unwrap().is_empty());
    let all = [a.log(), b.log(), list(&a).to_string(), list(&b).to_string()];
    let hidden = &secret[40..70];
    assert!(
        all.iter().all(|text| !text.contains(hidden)),
        "the secret is shown"
    );
}

#[test]
fn other_authority_than_the_pinned_one_is_trusted() {
    let secret = JoinSecret::random(Some(Pin::of(b"another one"))).text();
    let allow = format!("[{{ name = \"A\", secret = \"{secret}\" }}]");
    let b = start(&[("UMBRELLA_TRUNK_ALLOW", &allow)]);
    let url = format!("https://localhost:{}", b.address.port());
    let to = format!("[{{ url = \"{url}\", secret = \"{secret}\" }}]");
    let a = start(&[("UMBRELLA_TRUNK_TO", &to)]);
    let entry = until(&a, "refused");
    assert!(
        entry["why"].as_str().unwrap().contains("another authority"),
        "{entry}"
    );
    assert!(refused(&a, &["remove", &url]).contains("configuration"));
    assert!(refused(&b, &["revoke", "A"]).contains("configuration"));
    assert!(refused(&a, &["confirm", &url]).contains("look again"));
}

#[test]
fn unknown_authority_is_trusted_without_being_asked_or_asked_for_again() {
    let a = start(&[]);
    let secret = print(&a, &["secret"]);
    let allow = format!("[{{ name = \"A\", secret = \"{secret}\" }}]");
    let b = start(&[("UMBRELLA_TRUNK_ALLOW", &allow)]);
    let url = format!("https://localhost:{}", b.address.port());
    add(&a, &url, &secret);
    let entry = until(&a, "confirm");
    let fingerprint = list(&b)["fingerprint"].clone();
    assert_eq!(entry["fingerprint"], fingerprint);
    let other = Pin::of(b"another one").to_string();
    refused(&a, &["confirm", &url, "--fingerprint", &other]);
    print(
        &a,
        &[
            "confirm",
            &url,
            "--fingerprint",
            fingerprint.as_str().unwrap(),
        ],
    );
    until(&a, "connected");
    let a = Server::start(a.terminate(), &[]);
    until(&a, "connected");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn copied_data_directory_breaks_the_trunk_of_its_original() {
    let b = start(&[]);
    let a = start(&[]);
    let secret = print(&b, &["allow", "--name", "A", "--expires", "never"]);
    add(&a, &format!("https://{}", b.address), &secret);
    until(&a, "connected");
    let old = list(&a)["node"].clone();
    let dir = tempfile::tempdir().unwrap();
    let original = a.terminate();
    copy(&original.path().join("data"), &dir.path().join("data"));
    let a = Server::start(original, &[]);
    until(&a, "connected");
    let clone = Server::start(dir, &[]);
    let entry = until(&clone, "refused");
    let why = entry["why"].as_str().unwrap();
    assert!(
        why.contains("copied") && why.contains("umbrella trunk new-id"),
        "{why}"
    );
    assert_eq!(list(&a)["entries"][0]["state"], "connected");
    assert!(refused(&clone, &["new-id"]).contains("stop it first"));
    let dir = clone.terminate();
    let new = run(umbrella(dir.path()).args(["trunk", "new-id"]));
    let new = String::from_utf8(new.stdout).unwrap().trim().to_owned();
    let clone = Server::start(dir, &[]);
    until(&clone, "connected");
    assert_eq!(list(&clone)["node"], *new);
    assert_ne!(*new, old);
}

#[test]
fn what_cannot_work_is_entered() {
    let a = start(&[]);
    let secret = JoinSecret::random(None).text();
    let text = refused(&a, &["add", "http://192.0.2.1", "--secret", &secret]);
    assert!(text.contains("TLS"), "{text}");
    let text = refused(&a, &["add", "https://a", "--secret", &secret[..30]]);
    assert!(
        text.contains("not complete") && !text.contains(&secret[20..30]),
        "{text}"
    );
    print(&a, &["add", "https://192.0.2.1", "--secret", &secret]);
    let text = refused(&a, &["add", "192.0.2.1", "--secret", &secret]);
    assert!(text.contains("already"), "{text}");
    let text = refused(&a, &["add", "192.0.2.2", "--secret", &secret]);
    assert!(text.contains("another server"), "{text}");
    assert!(refused(&a, &["allow", "--name", "x", "--expires", "soon"]).contains("never"));
}
