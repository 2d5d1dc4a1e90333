use super::file::FileConfig;
use super::keys::SECTIONS;
use super::*;

mod acme;

fn env(pairs: &[(&str, &str)]) -> Environment {
    let mut env: Environment = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    env.insert("HOME".to_owned(), "/home/somebody".to_owned());
    env
}

fn load_text(text: &str, env: &Environment) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("umbrella.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(Some(&path), env)
        .map_err(|e| e.to_string().replace(&*path.to_string_lossy(), "FILE"))
}

fn refuse(text: &str) -> String {
    load_text(text, &env(&[])).unwrap_err()
}

fn refuse_env(name: &str, value: &str) -> String {
    load_text("", &env(&[(name, value)])).unwrap_err()
}

#[test]
fn printed_defaults_load_and_mean_the_defaults() {
    let printed: FileConfig = toml::from_str(&default_toml()).unwrap();
    assert_eq!(
        toml::to_string(&printed).unwrap(),
        toml::to_string(&FileConfig::default()).unwrap()
    );
    load_text(&default_toml(), &env(&[])).unwrap();
}

#[test]
fn every_key_is_documented_and_every_documented_key_exists() {
    let table = toml::Table::try_from(FileConfig::default()).unwrap();
    let written: std::collections::BTreeSet<String> = table
        .iter()
        .flat_map(|(s, v)| match v.as_table() {
            Some(table) => table.keys().map(|k| format!("{s}.{k}")).collect(),
            None => vec![format!("{s}.")],
        })
        .collect();
    let documented: std::collections::BTreeSet<String> = SECTIONS
        .iter()
        .flat_map(|s| s.keys.iter().map(move |k| format!("{}.{}", s.name, k.name)))
        .collect();
    assert_eq!(written, documented);
}

#[test]
fn reference_in_the_documentation_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, reference()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == reference(),
        "docs/configuration.md is stale: UPDATE_DOCS=1 cargo test -p umbrella reference"
    );
}

#[test]
fn access_point_does_not_know_a_setting_or_knows_one_that_is_none() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/openwrt/files/etc/init.d/umbrella"
    );
    let script = std::fs::read_to_string(path).unwrap();
    let names = script.split("NAMES=\"").nth(1).unwrap();
    let names = names.split('"').next().unwrap();
    let known: std::collections::BTreeSet<String> = names
        .split_whitespace()
        .map(|name| format!("UMBRELLA_{}", name.to_uppercase()))
        .collect();
    let keys = SECTIONS.iter().flat_map(|section| section.keys);
    let all: std::collections::BTreeSet<String> = keys.map(|key| key.env.to_owned()).collect();
    assert_eq!(known, all);
}

#[test]
fn packaged_configuration_pins_the_defaults_of_its_version_or_is_stale() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/debian/umbrella.toml"
    );
    let commented = default_toml()
        .lines()
        .map(
            |line| match line.contains(" = ") && !line.starts_with('#') {
                true => format!("#{line}\n"),
                false => format!("{line}\n"),
            },
        )
        .collect::<String>();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &commented).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == commented,
        "{path} is stale: UPDATE_DOCS=1 cargo test -p umbrella packaged"
    );
    let nothing = load_text(&commented, &env(&[])).unwrap();
    let reloaded = nothing.reload(Some(Path::new("/dev/null")), &env(&[]));
    let reloaded = reloaded.unwrap();
    assert!(reloaded.changed.is_empty() && reloaded.restart.is_empty());
}

#[test]
fn environment_wins_over_file() {
    let env = env(&[
        ("UMBRELLA_HTTP_SERVE_ADDR", "127.0.0.1:9000"),
        ("UMBRELLA_CLOUD", "1"),
    ]);
    let config = load_text("[http]\nlisten = \":1\"\nprefix = \"umbrella/\"\n", &env).unwrap();
    assert_eq!(
        config.http.listen,
        Listen::One("127.0.0.1:9000".parse().unwrap())
    );
    assert_eq!(config.http.prefix, "/umbrella");
    assert!(config.cloud);
}

#[test]
fn unknown_key_is_named_with_the_nearest_one() {
    assert_eq!(
        refuse("[http]\nlistn = \":1\"\n"),
        "FILE: unknown key `http.listn` (did you mean `http.listen`?); \
         `umbrella config --print-defaults` lists all keys"
    );
    assert!(refuse("[madia]\n").contains("unknown key `madia` (did you mean `media`?)"));
    assert!(refuse("listen = 1\n").contains("unknown key `listen`"));
}

#[test]
fn bad_values_name_their_key_and_what_is_expected() {
    for (text, part) in [
        (
            "[http]\nlisten = 80\n",
            "FILE: http.listen: expected a string in quotes, found integer",
        ),
        (
            "[http]\nlisten = \"x\"\n",
            "FILE: http.listen: `x` is not an address",
        ),
        (
            "[http]\nprefix = \"/a b\"\n",
            "http.prefix: `/a b` is not a path prefix",
        ),
        ("[http]\nprefix = \"/../x\"\n", "is not a path prefix"),
        (
            "[http]\npublic_host = \"https://x\"\n",
            "is not a host name",
        ),
        (
            "[http]\ntrusted_proxies = [\"10.0.0.0/33\"]\n",
            "`10.0.0.0/33` is neither",
        ),
        (
            "[media]\nmin_port = -1\n",
            "media.min_port: expected a whole number, 0 or more",
        ),
        ("[media]\nmin_port = 70000\n", "70000 is not a port"),
        (
            "[media]\nmin_port = 500\nmax_port = 400\n",
            "400 is below min_port, which is 500",
        ),
        (
            "[media]\npublic_ips = [\"host\"]\n",
            "`host` is not an IP address",
        ),
        ("[media]\nadvertise_lan = false\n", "give public_ips"),
        ("[media]\nudp = false\ntcp = false\n", "cannot both be off"),
        (
            "[auth]\nkeys = { a = \"short\" }\n",
            "the secret of `a` is shorter than 16",
        ),
        (
            "[metrics]\ntoken = \"short\"\n",
            "metrics.token: a token has at least 16",
        ),
        ("[server]\nlog = \"a=b=c\"\n", "is not a log filter"),
        (
            "[tls]\ncertificate = \"x\"\n",
            "tls.private_key: is missing",
        ),
        (
            "[limits]\nmessage_bytes = 1\n",
            "limits.message_bytes: 1 is too small",
        ),
        ("server = 1\n", "FILE: server: expected a section"),
        ("[server\n", "FILE is not valid TOML"),
    ] {
        let error = refuse(text);
        assert!(error.contains(part), "{text:?} gave {error:?}");
    }
}

#[test]
fn bad_webhooks_are_refused_without_their_secrets() {
    for (text, part) in [
        (
            "urls = [\"http://a\", \"ftp://user:topsecret@b/topsecret\"]\n",
            "FILE: webhook.urls: entry 2 begins with neither http:// nor https://",
        ),
        ("urls = [\"b/topsecret\"]\n", "entry 1 is not an address"),
        (
            "urls = [\"http://user:topsecret@b\"]\n",
            "entry 1 has a user or a password",
        ),
        (
            "urls = [\"http://b\"]\n",
            "webhook.api_key: is missing: say which API key signs",
        ),
        (
            "urls = [\"http://b\"]\napi_key = \"umbrella-page\"\n",
            "webhook.api_key: is the server's own key",
        ),
    ] {
        let error = refuse(&format!("[webhook]\n{text}"));
        assert!(error.contains(part), "{text:?} gave {error:?}");
        assert!(!error.contains("topsecret"), "{error:?}");
    }
}

#[test]
fn webhooks_are_signed_by_the_only_key_unless_another_is_named() {
    let keys = ("UMBRELLA_KEYS", "a: 0123456789abcdef0123");
    let urls = (
        "UMBRELLA_WEBHOOK_URLS",
        "http://[::1]:80/x https://b/?topsecret",
    );
    let webhook = load_text("", &env(&[keys, urls])).unwrap().webhook;
    assert_eq!(webhook.api_key, "a");
    let name = ("UMBRELLA_WEBHOOK_API_KEY", "of-the-page");
    let named = load_text("", &env(&[keys, urls, name])).unwrap().webhook;
    assert_eq!(named.api_key, "of-the-page");
    let none = load_text("", &env(&[])).unwrap().webhook;
    assert!(none.urls.is_empty());

    let [first, second] = &webhook.urls[..] else {
        panic!("{webhook:?}");
    };
    let read = |url: &WebhookUrl| (url.host().to_owned(), url.port(), url.host_header());
    assert_eq!(read(first), ("::1".into(), 80, "[::1]".into()));
    assert_eq!(read(second), ("b".into(), 443, "b".into()));
    assert_eq!(second.path_and_query(), "/?topsecret");
    assert_eq!(
        format!("{:?}", webhook.urls),
        "[http://[::1]:80, https://b:443]"
    );
}

#[test]
fn bad_variables_are_named() {
    for (name, value, part) in [
        (
            "UMBRELLA_CLOUD",
            "perhaps",
            "UMBRELLA_CLOUD: `perhaps` is neither 1 nor 0",
        ),
        (
            "UMBRELLA_MIN_PORT",
            "x",
            "UMBRELLA_MIN_PORT: `x` is not a whole number",
        ),
        (
            "UMBRELLA_MIN_PORT",
            "0",
            "UMBRELLA_MIN_PORT: 0 is not a port",
        ),
        (
            "UMBRELLA_PUBLIC_IP",
            "1.2.3",
            "UMBRELLA_PUBLIC_IP: `1.2.3` is not an IP address",
        ),
        (
            "UMBRELLA_KEYS",
            "nocolon",
            "UMBRELLA_KEYS: entry 1 is not of the form",
        ),
        (
            "UMBRELLA_CONFIG",
            "/nonexistent/x.toml",
            "/nonexistent/x.toml",
        ),
    ] {
        // The file that the helper passes would win over UMBRELLA_CONFIG.
        let error = if name == "UMBRELLA_CONFIG" {
            Config::load(None, &env(&[(name, value)]))
                .unwrap_err()
                .to_string()
        } else {
            refuse_env(name, value)
        };
        assert!(error.contains(part), "{name}={value} gave {error:?}");
    }
}

#[test]
fn secrets_appear_in_no_message_and_in_no_debug_output() {
    let error = refuse_env("UMBRELLA_KEYS", "a: 0123456789abcdef0123, topsecretvalue");
    assert!(
        !error.contains("topsecret") && !error.contains("0123"),
        "{error}"
    );
    let config = load_text("", &env(&[("UMBRELLA_KEYS", "a: 0123456789abcdef0123")])).unwrap();
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    let error = refuse_env("UMBRELLA_METRICS_TOKEN", "secret with spaces in it");
    assert!(
        error.contains("UMBRELLA_METRICS_TOKEN") && !error.contains("secret"),
        "{error}"
    );
    let token = "0123456789abcdef0123";
    let config = load_text("", &env(&[("UMBRELLA_METRICS_TOKEN", token)])).unwrap();
    assert_eq!(config.metrics.token.as_deref(), Some(token));
    assert!(!format!("{config:?}").contains(token));
}

#[test]
fn keys_may_be_separated_by_commas_or_lines() {
    let text =
        "one: aaaaaaaaaaaaaaaaaaaa\n two:bbbbbbbbbbbbbbbbbbbb, three: cccccccccccccccccccc\n";
    let config = load_text("", &env(&[("UMBRELLA_KEYS", text)])).unwrap();
    let keys: Vec<&str> = config.keys.iter().map(|k| k.key.as_str()).collect();
    assert_eq!(keys, ["one", "three", "two"]);
    assert_eq!(config.keys[2].secret, "bbbbbbbbbbbbbbbbbbbb");
}

#[test]
fn public_addresses_that_others_tell_are_misread() {
    let list = "stun:meet.example.org:40000, 203.0.113.7, STUN:[2001:db8::7], stun:192.0.2.1";
    let config = load_text("", &env(&[("UMBRELLA_PUBLIC_IP", list)])).unwrap();
    assert_eq!(config.media.public_ips.len(), 1);
    let stun = &config.media.stun;
    let texts: Vec<String> = stun.iter().map(ToString::to_string).collect();
    let wanted = [
        "stun:meet.example.org:40000",
        "stun:[2001:db8::7]:3478",
        "stun:192.0.2.1:3478",
    ];
    assert_eq!(texts, wanted);
    assert_eq!((stun[1].host.as_str(), stun[1].port), ("2001:db8::7", 3478));
    for wrong in [
        "stun:",
        "stun:a:0",
        "stun:a:b",
        "stuns:a",
        "stun://a",
        "stun:a?x",
        "stun:a,stun:b,stun:c,stun:d,stun:e",
    ] {
        assert!(
            load_text("", &env(&[("UMBRELLA_PUBLIC_IP", wrong)])).is_err(),
            "{wrong}"
        );
    }
    // The only ones that there are to be.
    let only = env(&[
        ("UMBRELLA_PUBLIC_IP", "stun:a"),
        ("UMBRELLA_ADVERTISE_LAN", "0"),
    ]);
    assert!(load_text("", &only).is_ok());
}

#[test]
fn several_public_addresses_are_accepted() {
    let env = env(&[("UMBRELLA_PUBLIC_IP", "203.0.113.7, 2001:db8::7,203.0.113.7")]);
    let config = load_text("", &env).unwrap();
    let expected: Vec<IpAddr> = vec![
        "203.0.113.7".parse().unwrap(),
        "2001:db8::7".parse().unwrap(),
    ];
    assert_eq!(config.media.public_ips, expected);
}

#[test]
fn a_first_port_above_the_default_bound_moves_the_bound() {
    let config = load_text("", &env(&[("UMBRELLA_MIN_PORT", "50000")])).unwrap();
    assert_eq!(
        (config.media.min_port, config.media.max_port),
        (50_000, u16::MAX)
    );
}

#[test]
fn proxies_are_trusted_by_default_in_cloud_mode_only() {
    let local: IpAddr = "127.0.0.1".parse().unwrap();
    let far: IpAddr = "203.0.113.7".parse().unwrap();
    let trusts = |config: &Config, ip| config.http.trusted_proxies.iter().any(|c| c.contains(ip));
    let config = load_text("", &env(&[])).unwrap();
    assert!(!trusts(&config, local));
    let config = load_text("", &env(&[("UMBRELLA_CLOUD", "1")])).unwrap();
    assert!(trusts(&config, local) && !trusts(&config, far));
}

#[test]
fn strange_variables_are_reported_but_are_no_error() {
    let env = env(&[
        ("UMBRELLA_PORT_8081_TCP", "tcp://10.0.0.1:8081"),
        ("UMBRELLA_CLOUD", "0"),
    ]);
    assert_eq!(unknown_variables(&env), ["UMBRELLA_PORT_8081_TCP"]);
    load_text("", &env).unwrap();
}

#[test]
fn bad_trunks_are_refused_without_their_secrets() {
    let secret = crate::trunk::JoinSecret::random(None).text();
    let half = &secret[..30];
    let to = |fields: &str| format!("[[trunk.to]]\n{fields}\n");
    for (text, expected) in [
        ("[trunk]\nrole = \"both\"".to_owned(), "trunk.role"),
        (
            format!("[trunk]\nname = \"{}\"", "x".repeat(65)),
            "trunk.name",
        ),
        (to("url = \"https://a\""), "entry 1: secret"),
        (
            to(&format!("url = \"https://a\"\nsecret = \"{half}\"")),
            "not complete",
        ),
        (
            to(&format!("url = \"http://a\"\nsecret = \"{secret}\"")),
            "TLS",
        ),
        (
            to(&format!("insecure = \"{secret}\"")),
            "true or false as insecure",
        ),
        (
            to(&format!("sekret = \"{secret}\"")),
            "no `sekret`, but url, secret",
        ),
        (
            format!("[[trunk.allow]]\nname = \"a\"\nsecret = \"{secret}\"\nexpires = \"soon\""),
            "2030",
        ),
        (
            to(&format!("url = \"a\"\nsecret = \"{secret}\"")).repeat(2),
            "same secret",
        ),
    ] {
        let why = refuse(&text);
        assert!(why.contains(expected), "{why}");
        assert!(!why.contains(half), "{why}");
    }
    let variable = format!("[{{ url = \"https://a\", secret = {secret} }}]");
    let why = refuse_env("UMBRELLA_TRUNK_TO", &variable);
    assert!(
        why.contains("UMBRELLA_TRUNK_TO") && !why.contains(half),
        "{why}"
    );
}

#[test]
fn trunks_are_read_from_file_and_environment() {
    let secret = crate::trunk::JoinSecret::random(None);
    let text = format!(
        "[trunk]\nname = \"Hut\"\nrole = \"signalling\"\n[[trunk.allow]]\nname = \"Cloud\"\n\
         secret = \"{}\"\nrooms = [\"a*\"]\nmoderate = false\nexpires = \"2030-01-01T00:00:00Z\"\n",
        secret.text()
    );
    let variable = format!(
        "[{{ url = \"http://a/u\", secret = \"{}\", insecure = true }}]",
        secret.text()
    );
    let config = load_text(&text, &env(&[("UMBRELLA_TRUNK_TO", &variable)])).unwrap();
    let trunk = &config.trunk;
    assert!(trunk.name == "Hut" && !trunk.media);
    assert_eq!(trunk.to[0].address.to_string(), "http://a/u");
    assert!(trunk.to[0].secret == secret && trunk.to[0].rooms.is_empty());
    let allow = &trunk.allow[0];
    assert!(allow.secret == secret && !allow.moderate && allow.rooms == ["a*"]);
    assert_eq!(allow.expires_at, Some(1_893_456_000));
    assert!(!format!("{config:?}").contains(&secret.text()[20..40]));
}

#[test]
fn bad_cameras_are_refused_without_their_passwords() {
    let url = "rtsp://a:hunter2@cam/1";
    let camera = |fields: &str| format!("[[camera]]\nname = \"a\"\nroom = \"b\"\n{fields}\n");
    for (text, expected) in [
        ("[camera]\nname = \"a\"".to_owned(), "a list of tables"),
        (camera(""), "entry 1: url"),
        (camera("url = \"http://a:hunter2@cam/1\""), "rtsp://"),
        (
            camera(&format!("url = \"{url}\"\nsub_url = \"hunter2\"")),
            "sub_url",
        ),
        (
            camera(&format!("url = \"{url}\"\ntransport = \"hunter2\"")),
            "expected \"tcp\" or \"udp\"",
        ),
        (
            camera(&format!("url = \"{url}\"\npin = [\"hunter2\"]")),
            "pin",
        ),
        (camera("audio = \"hunter2\""), "true or false as audio"),
        (camera("uri = \"hunter2\""), "no `uri`, but name, room, url"),
        (camera(&format!("url = \"{url}\"")).repeat(2), "same name"),
        (camera(&format!("url = \"{url}\"")).repeat(65), "at most 64"),
    ] {
        let why = refuse(&text);
        assert!(
            why.contains(expected) && why.contains("FILE: camera"),
            "{why}"
        );
        assert!(!why.contains("hunter2"), "{why}");
    }
    let why = refuse_env("UMBRELLA_CAMERAS", "[{ name = \"a\", url = hunter2 }]");
    assert!(
        why.contains("UMBRELLA_CAMERAS") && !why.contains("hunter2"),
        "{why}"
    );
}

#[test]
fn cameras_are_read_from_file_and_environment() {
    let text = "[[camera]]\nname = \"Gate\"\nroom = \"Yard\"\nurl = \"rtsp://a:hunter2@cam/1\"\n\
                sub_url = \"rtsp://cam/2\"\ntransport = \"udp\"\naudio = false\nalways_on = true\n";
    let config = load_text(text, &env(&[])).unwrap();
    let camera = &config.cameras[0];
    assert_eq!(
        (camera.name.as_str(), camera.room.as_str()),
        ("Gate", "Yard")
    );
    assert_eq!(camera.main.credentials().unwrap().password, "hunter2");
    assert_eq!(camera.sub.as_ref().unwrap().to_string(), "rtsp://cam/2");
    assert!(!camera.audio && camera.always_on);
    assert!(!format!("{config:?}").contains("hunter2"));
    let variable = "[{ name = \"Barn\", room = \"Yard\", url = \"rtsp://cam/1\" }]";
    let config = load_text(text, &env(&[("UMBRELLA_CAMERAS", variable)])).unwrap();
    assert_eq!(config.cameras.len(), 1);
    assert!(config.cameras[0].name == "Barn" && config.cameras[0].audio);
}

#[test]
fn relays_are_read_from_file_and_environment() {
    let secret = "a-secret-of-the-relay";
    let text = format!(
        "[turn]\nurls = [\"TURN:Relay.example.org:3478?transport=TCP\", \"turns:[2001:db8::7]:443\",\n\
         \"turn:203.0.113.7\"]\nsecret = \"{secret}\"\nstun_urls = [\"stun:relay.example.org\"]\n"
    );
    let config = load_text(&text, &env(&[])).unwrap();
    let relays = config.turn.relays.as_ref().unwrap();
    let urls: Vec<_> = relays.urls.iter().map(IceUrl::to_string).collect();
    assert_eq!(
        urls,
        [
            "turn:relay.example.org:3478?transport=tcp",
            "turns:[2001:db8::7]:443",
            "turn:203.0.113.7"
        ]
    );
    let Credentials::Shared {
        secret: read,
        ttl_s,
    } = &relays.credentials
    else {
        panic!("{relays:?}")
    };
    assert_eq!((read.as_str(), *ttl_s), (secret, 43_200));
    assert_eq!(config.turn.stun[0].to_string(), "stun:relay.example.org");
    assert!(!format!("{config:?}").contains(secret));
    let variables = env(&[
        ("UMBRELLA_TURN_URLS", "turn:a:1,turn:b"),
        ("UMBRELLA_TURN_SECRET", ""),
        ("UMBRELLA_TURN_USERNAME", "ana"),
        ("UMBRELLA_TURN_PASSWORD", "hunter2"),
        ("UMBRELLA_STUN_URLS", ""),
    ]);
    let config = load_text(&text, &variables).unwrap();
    assert_eq!(config.turn.relays.as_ref().unwrap().urls.len(), 2);
    assert!(config.turn.stun.is_empty());
    assert!(!format!("{config:?}").contains("hunter2"));
    let written: FileConfig = toml::from_str(&text).unwrap();
    assert!(!format!("{written:?}").contains(secret));
    let config = load_text("", &env(&[])).unwrap();
    assert!(config.turn.relays.is_none() && config.turn.stun.is_empty());
}

#[test]
fn bad_relays_are_refused_without_their_secrets() {
    let url = |url: &str| {
        format!("[turn]\nurls = [\"turn:a\", \"{url}\"]\nsecret = \"hunter2-hunter2-hunter2\"\n")
    };
    let turn = |fields: &str| format!("[turn]\nurls = [\"turn:a\"]\n{fields}\n");
    for (text, expected) in [
        (url("https://a"), "turn.urls: entry 2 is not an address"),
        (url("hunter2"), "is not an address like turn:"),
        (url("turn://a"), "has slashes"),
        (url("turn:ana:hunter2@a"), "has a user"),
        (url("turn:"), "has no host"),
        (url("turn:a_b"), "has no host"),
        (url("turn:1.2.3.400"), "has no host"),
        (url("turn:[::1"), "has no host"),
        (url("turn:[::1]3478"), "has no host"),
        (url("turn:::1"), "has no host"),
        (url("turn:a:0"), "has a port"),
        (url("turn:a:65536"), "has a port"),
        (url("turn:a?transport=sctp"), "has a query"),
        (url("turns:a?transport=udp"), "over UDP"),
        (url("stun:a"), "is not an address like turn:"),
        (
            "[turn]\nstun_urls = [\"stun:a?transport=udp\"]".to_owned(),
            "turn.stun_urls: entry 1 has a query",
        ),
        (
            format!("[turn]\nstun_urls = [{}]", "\"stun:a\",".repeat(17)),
            "more than 16",
        ),
        (turn(""), "turn.secret: is missing"),
        (turn("secret = \"hunter2\""), "at least 16"),
        (turn("username = \"ana\""), "turn.password: is missing"),
        (turn("password = \"hunter2\""), "turn.username: is missing"),
        (
            turn("secret = \"hunter2-hunter2-hunter2\"\npassword = \"hunter2\""),
            "one or the other",
        ),
        (
            turn("secret = \"hunter2-hunter2-hunter2\"\nttl_s = 60"),
            "turn.ttl_s: is too small",
        ),
        (
            "[turn]\nsecret = \"hunter2-hunter2-hunter2\"".to_owned(),
            "turn.urls: is empty",
        ),
    ] {
        let why = refuse(&text);
        assert!(why.contains(expected), "{text}: {why}");
        assert!(!why.contains("hunter2"), "{why}");
    }
    let why = refuse_env("UMBRELLA_TURN_URLS", "turn://a");
    assert!(why.contains("UMBRELLA_TURN_URLS: entry 1"), "{why}");
}

#[test]
fn a_name_that_is_no_label_is_announced() {
    let read = |text: &str| load_text(text, &Environment::new());
    let config = read("[mdns]\nname = \"Meet.local\"").unwrap();
    assert!(config.mdns.enabled && config.mdns.name == "meet");
    for wrong in ["a.b", "-a", "a b", "ü"] {
        let error = read(&format!("[mdns]\nname = \"{wrong}\"")).unwrap_err();
        assert!(error.contains("mdns.name"), "{error}");
    }
    assert!(!read("[mdns]\nenabled = false").unwrap().mdns.enabled);
    // A machine in the cloud has no neighbours whom it should know.
    assert!(!read("[server]\ncloud = true").unwrap().mdns.enabled);
}
