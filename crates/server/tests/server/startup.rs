//! Starting, refusing to start, subcommands, ending.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use crate::harness::{Server, refusal, run, umbrella, umbrella_at_terminal};

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = refusal(umbrella(dir.path()).env("UMBRELLA_HTTP_SERVE_ADDR", &address));
    assert!(
        text.contains(&address) && text.contains("another program uses it"),
        "{text}"
    );
    assert!(text.contains("UMBRELLA_HTTP_SERVE_ADDR"), "{text}");
}

#[test]
fn a_media_port_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let text = refusal(
        umbrella(dir.path())
            .env("UMBRELLA_MIN_PORT", &port)
            .env("UMBRELLA_MAX_PORT", &port),
    );
    assert!(text.contains(&port), "{text}");
}

#[test]
fn an_unknown_key_in_the_file_of_the_working_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("umbrella.toml"), "[http]\nprefx = \"/x\"\n").unwrap();
    let text = refusal(&mut umbrella(dir.path()));
    assert!(
        text.contains("umbrella.toml: unknown key `http.prefx`"),
        "{text}"
    );
    assert!(text.contains("did you mean `http.prefix`?"), "{text}");
}

#[test]
fn a_bad_variable_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let text = refusal(umbrella(dir.path()).env("UMBRELLA_PUBLIC_IP", "here"));
    assert!(
        text.contains("UMBRELLA_PUBLIC_IP: `here` is not an IP address"),
        "{text}"
    );
}

#[test]
fn a_key_that_is_to_sign_webhooks_and_does_not_exist_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let text = refusal(
        umbrella(dir.path())
            .env("UMBRELLA_WEBHOOK_URLS", "http://127.0.0.1:9/topsecret")
            .env("UMBRELLA_WEBHOOK_API_KEY", "nobodys"),
    );
    let named = "webhook.api_key: there is no API key `nobodys`";
    assert!(
        text.contains(named) && !text.contains("topsecret"),
        "{text}"
    );
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let text = refusal(umbrella(dir.path()).env("UMBRELLA_DATA_DIR", "/proc/none/such"));
    assert!(
        text.contains("/proc/none/such") && text.contains("UMBRELLA_DATA_DIR"),
        "{text}"
    );
}

#[test]
fn printed_defaults_are_a_file_that_loads() {
    let dir = tempfile::tempdir().unwrap();
    let printed = run(umbrella(dir.path()).args(["config", "--print-defaults"]));
    let file = dir.path().join("printed.toml");
    std::fs::write(&file, &printed.stdout).unwrap();
    let checked = run(umbrella(dir.path())
        .args(["--config"])
        .arg(&file)
        .arg("config"));
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn subcommands_without_a_server_say_so() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [
        &["admin-link"][..],
        &["token", "--room", "r", "--identity", "i"],
    ] {
        let text = refusal(umbrella(dir.path()).args(arguments));
        assert!(text.contains("no umbrella is running"), "{text}");
        assert!(
            text.contains(&*dir.path().join("data").to_string_lossy()),
            "{text}"
        );
    }
}

#[test]
fn subcommands_print_what_a_script_needs_and_nothing_else() {
    let server = Server::cloud();
    let ask = |arguments: &[&str]| {
        let output = run(umbrella(server.dir.path()).args(arguments));
        assert!(output.status.success(), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let link = ask(&["admin-link"]);
    assert_eq!(link.lines().count(), 1);
    assert!(
        link.starts_with("http://localhost:") && link.contains("/sfu#/setup/"),
        "{link}"
    );
    let token = ask(&[
        "token",
        "--room",
        "kitchen",
        "--identity",
        "ann",
        "--watch-only",
    ]);
    assert_eq!(
        (token.lines().count(), token.trim().split('.').count()),
        (1, 3)
    );
    let status = ask(&["status"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    // Also what only the workers know.
    assert_eq!(
        (&status["sessions"], &status["workerTransports"]),
        (&0.into(), &0.into())
    );
    let wrong = ["token", "--room", "r", "--identity", "i", "--key", "none"];
    let text = refusal(umbrella(server.dir.path()).args(wrong));
    assert!(text.contains("there is no such API key"), "{text}");
}

#[test]
fn the_link_is_refused_to_whoever_asks_right_after_the_start() {
    let dir = tempfile::tempdir().unwrap();
    // As early as it can be: the server comes afterwards.
    let asking = umbrella(dir.path())
        .arg("admin-link")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let server = Server::start(dir, &[("UMBRELLA_CLOUD", "1")]);
    let output = asking.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", server.log());
    let link = String::from_utf8(output.stdout).unwrap();
    assert!(link.contains("#/setup/"), "{link}");
}

#[test]
fn two_servers_do_not_share_a_data_directory() {
    let server = Server::cloud();
    let text = refusal(&mut umbrella(server.dir.path()));
    assert!(text.contains("in use by another umbrella"), "{text}");
}

#[test]
fn the_start_message_says_what_a_person_needs() {
    let server = Server::cloud();
    for part in ["/sfu", "UDP 42", "TCP 42", "Data", "umbrella admin-link"] {
        assert!(server.greeting.contains(part), "{}", server.greeting);
    }
}

#[test]
fn whoever_reads_the_log_of_a_container_can_set_the_admins_password() {
    let server = Server::cloud();
    let code = server.setup_code();
    for text in [&server.greeting, &server.log()] {
        assert!(
            !text.contains("#/setup/") && !text.contains(&code),
            "{text}"
        );
    }
}

#[test]
fn a_person_at_the_terminal_is_not_given_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let mut terminal = umbrella_at_terminal(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = BufReader::new(terminal.stdout.take().unwrap()).lines();
    let link = shown.find(|line| line.as_ref().is_ok_and(|line| line.contains("#/setup/")));
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    assert!(link.is_some());
}

#[test]
fn the_socket_of_subcommands_is_for_this_user_only_and_goes_with_the_server() {
    let server = Server::cloud();
    let socket = "data/umbrella.sock";
    let path = server.dir.path().join(socket);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    // A connection that is open and silent does not hold the server back.
    let _idle = std::net::TcpStream::connect(server.address).unwrap();
    let dir = server.terminate();
    assert!(!dir.path().join(socket).exists());
}
