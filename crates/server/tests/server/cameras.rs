//! Cameras on the page's API and by subcommands.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::api::Browser;
use crate::harness::{Server, refusal, run, umbrella};

const PASSWORD: &str = "hunter2";

fn settings(name: &str, address: &str) -> Value {
    json!({
        "name": name,
        "room": "Yard",
        "main": { "address": address, "user": null, "password": null },
        "sub": null,
        "transport": "tcp",
        "audio": true,
        "alwaysOn": false,
        "pins": [],
    })
}

/// An address at which nobody listens.
fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("rtsp://a:{PASSWORD}@{}/1", listener.local_addr().unwrap())
}

/// What a subcommand prints.
fn print(server: &Server, args: &[&str]) -> String {
    let output = run(umbrella(server.dir.path()).arg("camera").args(args));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A subcommand that is given something as one would who does not want it in the list of processes.
fn typed(server: &Server, args: &[&str], text: &str) -> Output {
    let mut child = umbrella(server.dir.path())
        .arg("camera")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{text}").unwrap();
    drop(input);
    child.wait_with_output().unwrap()
}

#[test]
fn strangers_see_or_change_cameras() {
    let server = Server::cloud();
    for (method, path) in [
        ("GET", "/api/admin/cameras"),
        ("POST", "/api/admin/cameras"),
        ("POST", "/api/admin/cameras/test"),
        ("POST", "/api/admin/cameras/import"),
        ("POST", "/api/admin/cameras/x"),
        ("DELETE", "/api/admin/cameras/x"),
        ("POST", "/api/admin/cameras/x/confirm"),
        ("POST", "/api/admin/cameras/x/retry"),
    ] {
        let reply = server.call(method, path).json(&json!({})).send();
        assert_eq!(reply.status, 401, "{method} {path}");
    }
}

#[test]
fn cameras_of_the_page_are_gone_after_a_restart_or_show_their_password() {
    let server = Server::cloud();
    let browser = Browser::set_up(&server);
    let list = "/api/admin/cameras";
    let post = |path: &str, body: &Value| browser.call("POST", path).json(body).send();
    let address = closed();
    let added = post(list, &settings("Gate", &address)).json(200);
    assert_eq!(
        (&added["name"], &added["state"]),
        (&json!("Gate"), &json!("idle"))
    );
    assert_eq!(added["main"]["hasPassword"], true);
    assert!(!added.to_string().contains(PASSWORD), "{added}");
    let path = format!("{list}/{}", added["id"].as_str().unwrap());
    // Another name, with the password that is kept; then another host, without it.
    let shown = added["main"]["address"].as_str().unwrap();
    let changed = post(&path, &settings("Door", shown)).json(200);
    assert_eq!(changed["main"]["hasPassword"], true);
    let refused = post(&path, &settings("Door", "rtsp://192.0.2.1/1")).json(400);
    assert!(refused["message"].as_str().unwrap().contains("again"));
    let twice = post(list, &settings("Door", &address)).json(409);
    assert_eq!(twice["code"], "conflict");
    let test = json!({
        "id": added["id"],
        "stream": { "address": shown, "user": null, "password": null },
        "transport": "tcp",
        "audio": true,
        "pins": [],
    });
    let tested = post("/api/admin/cameras/test", &test).json(200);
    assert_eq!(tested["found"], Value::Null);
    assert!(tested["why"].as_str().unwrap().contains("nothing listens"));
    assert!(!server.log().contains(PASSWORD), "{}", server.log());
    let dir = server.terminate();
    let server = Server::start(dir, &[("UMBRELLA_CLOUD", "1")]);
    let all = print(&server, &["list", "--json"]);
    let all: Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all[0]["name"], "Door");
    assert_eq!(print(&server, &["remove", "Door"]), "Door is removed");
    assert_eq!(print(&server, &["list"]), "There are no cameras.");
}

#[test]
fn nobody_is_answered_while_a_camera_is_tested() {
    let server = Server::cloud();
    let camera = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("rtsp://{}/1", camera.local_addr().unwrap());
    let mut test = umbrella(server.dir.path())
        .args(["camera", "test", &address])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It says nothing, so the test waits for as long as it may.
    let connection = camera.accept().unwrap();
    assert_eq!(print(&server, &["list"]), "There are no cameras.");
    assert_eq!(test.try_wait().unwrap(), None);
    drop(connection);
    assert!(!test.wait().unwrap().success());
}

#[test]
fn more_cameras_are_configured_than_there_may_be() {
    let entry = |number| {
        format!("{{ name = \"{number}\", room = \"Yard\", url = \"rtsp://192.0.2.1/1\" }}")
    };
    let all: Vec<String> = (0..65).map(entry).collect();
    let dir = tempfile::tempdir().unwrap();
    let list = format!("[{}]", all.join(", "));
    let why = refusal(umbrella(dir.path()).env("UMBRELLA_CAMERAS", list));
    assert!(why.contains("at most 64 cameras"), "{why}");
}

#[test]
fn cameras_of_the_command_line_show_their_password() {
    let configured =
        "[{ name = \"Barn\", room = \"Yard\", url = \"rtsp://a:hunter2@192.0.2.1/1\" }]";
    let server = Server::start(
        tempfile::tempdir().unwrap(),
        &[("UMBRELLA_CLOUD", "1"), ("UMBRELLA_CAMERAS", configured)],
    );
    let address = closed();
    let add = [
        "add",
        "-",
        "--name",
        "Gate",
        "--room",
        "Yard",
        "--udp",
        "--no-audio",
    ];
    let added = typed(&server, &add, &address);
    assert!(added.status.success());
    let list = print(&server, &["list"]);
    assert!(
        list.contains("Gate in Yard") && list.contains("Barn in Yard"),
        "{list}"
    );
    let refused = |args: &[&str]| refusal(umbrella(server.dir.path()).arg("camera").args(args));
    let why = refused(&["remove", "Barn"]);
    assert!(why.contains("configuration"), "{why}");
    let no_picture = refused(&["test", "Gate"]);
    assert!(no_picture.contains("nothing listens"), "{no_picture}");
    let no_camera = refused(&["test", "Nobody"]);
    assert!(no_camera.contains("no such camera"), "{no_camera}");
    let file = server.dir.path().join("go2rtc.yaml");
    std::fs::write(
        &file,
        format!("streams:\n  porch: {address}\n  usb: exec:x\n"),
    )
    .unwrap();
    let imported = print(
        &server,
        &["import", file.to_str().unwrap(), "--room", "Yard"],
    );
    assert!(
        imported.contains("set: porch") && imported.contains("left out: usb"),
        "{imported}"
    );
    let json = print(&server, &["list", "--json"]);
    let said = String::from_utf8(added.stdout).unwrap();
    for text in [list, why, no_picture, imported, json, said, server.log()] {
        assert!(!text.contains(PASSWORD), "{text}");
    }
}
