//! The page and its API.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Call, PATIENCE, Server};

const PASSWORD: &str = "correct horse battery";

/// A signed-in browser.
pub(crate) struct Browser<'a> {
    server: &'a Server,
    cookie: String,
    csrf: String,
}

impl<'a> Browser<'a> {
    /// Follows a one-time link.
    pub(crate) fn set_up(server: &'a Server) -> Self {
        Self::set_up_by(server, &server.setup_code())
    }

    fn set_up_by(server: &'a Server, setup_code: &str) -> Self {
        let body = json!({ "code": setup_code, "password": PASSWORD });
        let reply = server.call("POST", "/api/setup").json(&body).send();
        let session = reply.json(200);
        let cookie = reply.header("set-cookie");
        for part in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        Self {
            server,
            cookie: cookie.split(';').next().unwrap().to_owned(),
            csrf: session["csrf"].as_str().unwrap().to_owned(),
        }
    }

    pub(crate) fn call(&self, method: &str, path: &str) -> Call<'a> {
        self.server
            .call(method, path)
            .header("cookie", &self.cookie)
            .header("x-umbrella-csrf", &self.csrf)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.call("GET", path).send().json(200)
    }
}

fn code(reply: &Value) -> &str {
    reply["code"].as_str().unwrap()
}

#[test]
fn an_admin_sets_up_signs_out_and_in_again() {
    let server = Server::cloud();
    let before = server.call("GET", "/api/session").send().json(200);
    assert_eq!(
        (&before["signedIn"], &before["passwordSet"]),
        (&json!(false), &json!(false))
    );
    let setup_code = server.setup_code();
    let browser = Browser::set_up_by(&server, &setup_code);
    assert_eq!(browser.get("/api/session")["signedIn"], true);
    assert_eq!(browser.call("POST", "/api/logout").send().status, 204);
    assert_eq!(browser.get("/api/session")["signedIn"], false);
    let refused = browser.call("GET", "/api/admin/rooms").send().json(401);
    assert_eq!(code(&refused), "unauthorized");
    let wrong = json!({ "password": "wrong password" });
    server
        .call("POST", "/api/login")
        .json(&wrong)
        .send()
        .json(401);
    let right = json!({ "password": PASSWORD });
    let session = server
        .call("POST", "/api/login")
        .json(&right)
        .send()
        .json(200);
    assert_eq!(session["signedIn"], true);
    let again = json!({ "code": setup_code, "password": PASSWORD });
    let refused = server
        .call("POST", "/api/setup")
        .json(&again)
        .send()
        .json(410);
    assert_eq!(code(&refused), "expired");
    let log = server.log();
    assert!(
        !log.contains(PASSWORD) && !log.contains(&browser.cookie),
        "{log}"
    );
}

#[test]
fn other_sites_cannot_act_for_the_admin() {
    let server = Server::cloud();
    let browser = Browser::set_up(&server);
    let body = json!({ "name": "kitchen" });
    let without = server
        .call("POST", "/api/admin/rooms")
        .header("cookie", &browser.cookie)
        .json(&body)
        .send();
    assert_eq!(code(&without.json(403)), "forbidden");
    let foreign = browser
        .call("POST", "/api/admin/rooms")
        .header("origin", "https://evil.example")
        .json(&body)
        .send();
    assert_eq!(code(&foreign.json(403)), "forbidden");
    let own = browser
        .call("POST", "/api/admin/rooms")
        .header("origin", format!("http://{}", server.address))
        .json(&body)
        .send();
    own.json(200);
}

#[test]
fn rooms_are_made_listed_joined_and_deleted() {
    let server = Server::cloud();
    let browser = Browser::set_up(&server);
    let made = browser
        .call("POST", "/api/admin/rooms")
        .json(&json!({ "name": " Küche " }))
        .send()
        .json(200);
    assert_eq!(
        (&made["name"], &made["permanent"]),
        (&json!("Küche"), &json!(true))
    );
    let rooms = browser.get("/api/admin/rooms");
    assert_eq!(rooms.as_array().unwrap().len(), 1);
    let path = "/api/admin/rooms/K%C3%BCche";
    assert_eq!(browser.get(path)["participants"], json!([]));
    let body = json!({ "name": "Admin", "clientId": "tab-12345678" });
    let grant = browser
        .call("POST", &format!("{path}/join"))
        .json(&body)
        .send()
        .json(200);
    assert_eq!(grant["canPublish"], true);
    assert_eq!(browser.call("DELETE", path).send().status, 204);
    assert_eq!(
        code(&browser.call("DELETE", path).send().json(404)),
        "not_found"
    );
    for name in ["", "a/b"] {
        let body = json!({ "name": name });
        let refused = browser
            .call("POST", "/api/admin/rooms")
            .json(&body)
            .send()
            .json(400);
        assert_eq!(code(&refused), "invalid");
    }
}

#[test]
fn a_guest_joins_by_an_invite_until_it_is_used_up_or_revoked() {
    let server = Server::cloud();
    let browser = Browser::set_up(&server);
    let body = json!({ "room": "kitchen", "role": "watch", "expiresInS": 600, "uses": 1 });
    let created = browser
        .call("POST", "/api/admin/invites")
        .json(&body)
        .send()
        .json(200);
    let path = created["path"].as_str().unwrap();
    let token = path.strip_prefix("/sfu#/join/").unwrap();
    assert!(created["urls"][0].as_str().unwrap().ends_with(path));
    let info = server
        .call("GET", &format!("/api/invite/{token}"))
        .send()
        .json(200);
    assert_eq!(
        (&info["room"], &info["canPublish"]),
        (&json!("kitchen"), &json!(false))
    );
    let join = |client: &str| {
        let body = json!({ "name": "Ann", "clientId": client });
        server
            .call("POST", &format!("/api/invite/{token}/join"))
            .json(&body)
            .send()
    };
    let grant = join("tab-aaaaaaaa").json(200);
    assert_eq!(
        grant["identity"],
        join("tab-aaaaaaaa").json(200)["identity"]
    );
    assert_eq!(code(&join("tab-bbbbbbbb").json(410)), "used_up");
    assert_eq!(code(&join("short").json(400)), "invalid");
    let listed = browser.get("/api/admin/invites");
    assert_eq!(
        (&listed[0]["uses"], &listed[0]["usesLeft"]),
        (&json!(1), &json!(0))
    );
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(
        browser
            .call("DELETE", &format!("/api/admin/invites/{id}"))
            .send()
            .status,
        204
    );
    assert_eq!(code(&join("tab-aaaaaaaa").json(404)), "not_found");
    assert!(!server.log().contains(token));
}

#[test]
fn invite_for_some_cameras_lets_in_to_all() {
    let server = Server::start(tempfile::tempdir().unwrap(), &[("UMBRELLA_CLOUD", "1")]);
    let browser = Browser::set_up(&server);
    let made = |cameras: serde_json::Value| {
        let body = json!({ "room": "kitchen", "role": "watch", "expiresInS": null, "uses": null,
            "cameras": cameras });
        let call = browser.call("POST", "/api/admin/invites");
        call.json(&body).send()
    };
    for (cameras, kept) in [
        (json!(null), json!(null)),
        (json!([]), json!([])),
        (json!(["CA_b", "CA_a", "CA_b"]), json!(["CA_a", "CA_b"])),
    ] {
        let created = made(cameras).json(200);
        assert_eq!(created["invite"]["cameras"], kept);
        let listed = browser.get("/api/admin/invites");
        assert_eq!(listed[0]["cameras"], kept);
        let path = created["path"].as_str().unwrap();
        let secret = path.strip_prefix("/sfu#/join/").unwrap();
        let info = server.call("GET", &format!("/api/invite/{secret}"));
        assert_eq!(info.send().json(200)["participants"], 0);
    }
    for wrong in [
        json!(vec!["CA_x"; 65]),
        json!([""]),
        json!(["x".repeat(65)]),
    ] {
        assert_eq!(code(&made(wrong).json(400)), "invalid");
    }
    made(json!("CA_a")).json(400);
}

#[test]
fn keys_show_their_secret_once() {
    let server = Server::start(
        tempfile::tempdir().unwrap(),
        &[
            ("UMBRELLA_CLOUD", "1"),
            ("UMBRELLA_KEYS", "dev: 0123456789abcdef"),
        ],
    );
    let browser = Browser::set_up(&server);
    let body = json!({ "note": "for the bot" });
    let created = browser
        .call("POST", "/api/admin/keys")
        .json(&body)
        .send()
        .json(200);
    let secret = created["secret"].as_str().unwrap();
    let key = created["key"]["key"].as_str().unwrap();
    let listed = browser.get("/api/admin/keys");
    assert!(!listed.to_string().contains(secret));
    assert_eq!(listed[0]["key"], "dev");
    assert_eq!(
        browser
            .call("DELETE", &format!("/api/admin/keys/{key}"))
            .send()
            .status,
        204
    );
    let refused = browser
        .call("DELETE", "/api/admin/keys/dev")
        .send()
        .json(409);
    assert_eq!(code(&refused), "conflict");
}

#[test]
fn guessing_the_password_is_slowed_down() {
    let server = Server::cloud();
    let body = json!({ "password": "a guess" });
    let guess = || server.call("POST", "/api/login").json(&body).send();
    let limited = std::iter::repeat_with(guess)
        .take(30)
        .find(|reply| reply.status == 429);
    let limited = limited.expect("some guess is refused unseen");
    assert_eq!(code(&limited.json(429)), "rate_limited");
    assert!(limited.header("retry-after").parse::<u32>().unwrap() > 0);
}

#[test]
fn each_log_in_leaves_nineteen_mebibytes() {
    let server = Server::cloud();
    let _browser = Browser::set_up(&server);
    let body = json!({ "password": PASSWORD });
    let before = server.resident_mib();
    let mut log_ins = 0;
    while server.call("POST", "/api/login").json(&body).send().status == 200 && log_ins < 12 {
        log_ins += 1;
    }
    assert!(log_ins > 4, "{log_ins}");
    let more = server.resident_mib().saturating_sub(before);
    // The allocator may keep what some of them took, but not each.
    assert!(more < log_ins / 2 * 19, "{more} MiB after {log_ins}");
}

#[test]
fn health_and_state_are_told_to_whom_they_concern() {
    let server = Server::cloud();
    assert_eq!(server.call("GET", "/healthz").send().status, 200);
    assert_eq!(server.call("GET", "/readyz").send().status, 200);
    let json = |call: Call<'_>| call.header("accept", "application/json").send();
    json(server.call("GET", "/status")).json(401);
    let browser = Browser::set_up(&server);
    let status = json(browser.call("GET", "/status")).json(200);
    assert_eq!(status["workers"].as_array().unwrap().len(), 1);
    assert_eq!(status["held"]["participants"], 0);
    assert!(
        status["mediaAddresses"][0]
            .as_str()
            .unwrap()
            .starts_with("udp ")
    );
    let page = server.call("GET", "/status").send();
    assert_eq!(page.header("location"), "/sfu#/admin/status");
}

#[test]
fn clients_of_other_origins_can_probe_the_root() {
    let server = Server::cloud();
    for method in ["GET", "HEAD"] {
        let reply = server.call(method, "/").send();
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("access-control-allow-origin"), "*");
    }
}

#[test]
fn the_page_is_closed_to_everything_from_elsewhere() {
    let server = Server::cloud();
    let reply = server.call("GET", "/sfu").send();
    assert!(reply.text().contains("<base href=\"/\""));
    let policy = reply.header("content-security-policy");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
    assert_eq!(reply.header("cache-control"), "no-cache");
    let etag = reply.header("etag").to_owned();
    let again = server
        .call("GET", "/sfu")
        .header("if-none-match", etag)
        .send();
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(
        server.call("GET", "/assets/../umbrella.db").send().status,
        404
    );
}

#[test]
fn a_prefix_applies_to_every_path() {
    let server = Server::start(
        tempfile::tempdir().unwrap(),
        &[
            ("UMBRELLA_CLOUD", "1"),
            ("UMBRELLA_HTTP_PREFIX", "/umbrella"),
        ],
    );
    for path in [
        "/umbrella",
        "/umbrella/",
        "/umbrella/sfu",
        "/umbrella/healthz",
    ] {
        assert_eq!(server.call("GET", path).send().status, 200, "{path}");
    }
    for path in ["/", "/sfu", "/healthz", "/api/session", "/umbrellasfu"] {
        assert_eq!(server.call("GET", path).send().status, 404, "{path}");
    }
    let page = server.call("GET", "/umbrella/sfu").send().text();
    assert!(page.contains("<base href=\"/umbrella/\""), "{page}");
    let body = json!({ "code": server.setup_code(), "password": PASSWORD });
    let reply = server
        .call("POST", "/umbrella/api/setup")
        .json(&body)
        .send();
    assert!(reply.header("set-cookie").contains("Path=/umbrella;"));
}

#[test]
fn rubbish_gets_an_answer_that_says_so() {
    let server = Server::cloud();
    let big = json!({ "password": "x".repeat(100_000) });
    let reply = server.call("POST", "/api/login").json(&big).send();
    assert!(
        reply.status == 400 || reply.status == 413,
        "{}",
        reply.status
    );
    let unknown = json!({ "password": "12345678", "admin": true });
    let refused = server
        .call("POST", "/api/login")
        .json(&unknown)
        .send()
        .json(400);
    assert_eq!(code(&refused), "invalid");
    let form = server
        .call("POST", "/api/login")
        .header("content-type", "text/plain")
        .send();
    assert_eq!(code(&form.json(400)), "invalid");
    assert_eq!(
        code(&server.call("GET", "/api/none").send().json(404)),
        "not_found"
    );
    assert_eq!(server.call("GET", "/healthz").send().status, 200);
}

#[test]
fn rooms_and_keys_survive_a_restart() {
    let server = Server::cloud();
    let browser = Browser::set_up(&server);
    let body = json!({ "name": "kitchen" });
    browser
        .call("POST", "/api/admin/rooms")
        .json(&body)
        .send()
        .json(200);
    let cookie = browser.cookie.clone();
    let dir = server.terminate();
    let server = Server::start(dir, &[("UMBRELLA_CLOUD", "1")]);
    assert!(!server.greeting.contains("#/setup/"));
    let rooms = server
        .call("GET", "/api/admin/rooms")
        .header("cookie", cookie)
        .send()
        .json(200);
    assert_eq!(rooms[0]["name"], "kitchen");
}

#[test]
fn strangers_see_or_change_trunks() {
    let server = Server::cloud();
    for (method, path) in [
        ("GET", "/api/admin/topology"),
        ("GET", "/api/admin/trunks"),
        ("POST", "/api/admin/trunks"),
        ("POST", "/api/admin/trunks/allowed"),
        ("DELETE", "/api/admin/trunks/x"),
        ("DELETE", "/api/admin/trunks/allowed/x"),
        ("POST", "/api/admin/trunks/x/confirm"),
        ("POST", "/api/admin/trunks/x/retry"),
    ] {
        let reply = server.call(method, path).json(&json!({})).send();
        assert_eq!(reply.status, 401, "{method} {path}");
    }
    let reply = server.call("GET", "/servers").send();
    assert_eq!(reply.header("location"), "/sfu#/admin/servers");
    assert_eq!(server.call("GET", "/wsb").send().status, 400);
}

#[test]
fn operator_does_not_see_which_servers_are_linked_and_how() {
    let servers = [Server::cloud(), Server::cloud()];
    let admins = servers.each_ref().map(Browser::set_up);
    let topology = |of: usize| {
        let reply = admins[of].call("GET", "/api/admin/topology").send();
        reply.json(200)
    };
    let alone = topology(0);
    assert!(alone["me"].as_str().unwrap().starts_with("ND_"));
    assert_eq!((&alone["nodes"], &alone["links"]), (&json!([]), &json!([])));

    let allow = json!({ "name": "Hut", "rooms": [], "expiresInS": 60, "moderate": true });
    let made = admins[1].call("POST", "/api/admin/trunks/allowed");
    let made = made.json(&allow).send().json(200);
    let url = format!("http://{}", servers[1].address);
    let add = json!({ "url": url, "secret": made["secret"], "rooms": [], "moderate": true, "insecure": false });
    let added = admins[0]
        .call("POST", "/api/admin/trunks")
        .json(&add)
        .send();
    assert_eq!(added.status, 200);
    for of in [0, 1] {
        let end = Instant::now() + PATIENCE;
        let seen = loop {
            let seen = topology(of);
            let link = &seen["links"][0];
            let told = link["media"] == "up" && link["received"]["bitrate"].is_u64();
            if told && seen["nodes"].as_array().unwrap().len() == 2 {
                break seen;
            }
            assert!(Instant::now() < end, "{seen}\n{}", servers[of].log());
            std::thread::sleep(Duration::from_millis(200));
        };
        let (link, other) = (&seen["links"][0], topology(1 - of)["me"].clone());
        assert_eq!((&link["node"], &link["dialled"]), (&other, &json!(of == 0)));
        assert_eq!(link["protocol"], "udp");
        assert!(link["sent"]["bytes"].as_u64().unwrap() > 0, "{link}");
        assert_eq!(link["sent"]["count"], 0);
    }
}

#[test]
fn trunks_are_made_and_removed_on_the_page() {
    let server = Server::cloud();
    let admin = Browser::set_up(&server);
    let allow = json!({ "name": "Hut", "rooms": [], "expiresInS": 60, "moderate": true });
    let made = admin
        .call("POST", "/api/admin/trunks/allowed")
        .json(&allow)
        .send()
        .json(200);
    assert!(
        made["secret"]
            .as_str()
            .unwrap()
            .starts_with("umbrella-join-v1.")
    );
    assert!(!made["urls"][0].as_str().unwrap().contains("/sfu"));
    // A join secret of this very server leads nowhere.
    let add = json!({
        "url": "https://192.0.2.1", "secret": made["secret"], "rooms": [], "moderate": true, "insecure": false
    });
    let reply = admin.call("POST", "/api/admin/trunks").json(&add).send();
    assert!(
        reply.json(400)["message"]
            .as_str()
            .unwrap()
            .contains("made by this server")
    );
    let secret = umbrella_server::trunk::JoinSecret::random(None).text();
    let add = json!({ "url": "192.0.2.1", "secret": secret, "rooms": ["a*"], "moderate": true, "insecure": false });
    let entry = admin
        .call("POST", "/api/admin/trunks")
        .json(&add)
        .send()
        .json(200);
    let overview = admin.get("/api/admin/trunks");
    assert_eq!(overview["entries"][0]["url"], "https://192.0.2.1");
    assert_eq!(overview["allowed"][0]["joined"], false);
    assert!(!overview.to_string().contains(&secret[40..60]));
    for path in [
        format!("/api/admin/trunks/{}", entry["key"].as_str().unwrap()),
        format!(
            "/api/admin/trunks/allowed/{}",
            made["server"]["key"].as_str().unwrap()
        ),
    ] {
        assert_eq!(admin.call("DELETE", &path).send().status, 204);
        assert_eq!(admin.call("DELETE", &path).send().status, 404);
    }
}

#[test]
fn whoever_checks_the_connection_sends_nonsense() {
    let server = Server::cloud();
    let stranger = server.call("GET", "/api/admin/check").send();
    assert_eq!(code(&stranger.json(401)), "unauthorized");
    let browser = Browser::set_up(&server);
    let plan = browser.get("/api/admin/check");
    let port = plan["ports"][0].as_u64().unwrap();
    for (port, sdp) in [(1, "v=0"), (port, "nonsense"), (port, "")] {
        let offer = json!({ "port": port, "sdp": sdp });
        let reply = browser.call("POST", "/api/admin/check").json(&offer).send();
        assert_eq!(code(&reply.json(400)), "invalid");
    }
}
