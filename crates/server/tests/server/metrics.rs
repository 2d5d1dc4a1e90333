//! Figures for Prometheus.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::harness::{Reply, Server};

const TOKEN: &str = "0123456789abcdef-figures";

/// A family as a strict scraper reads it.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    /// Name with labels, and value.
    samples: BTreeMap<String, f64>,
}

/// Reads the text format, version 0.0.4, and insists on what Prometheus and its linter ask for:
/// help and type before the samples of a family, all of them together, no series twice, names with
/// units, `_total` for counters and only for them.
fn read(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    assert!(text.ends_with('\n'), "the last line is cut");
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.ends_with('.') && help.len() > 3, "{line}");
            let kind = lines.next().and_then(|it| it.strip_prefix("# TYPE "));
            let (typed, kind) = kind.unwrap().split_once(' ').unwrap();
            assert_eq!(typed, name, "help and type of one family belong together");
            assert_name(name, kind);
            let family = Family {
                kind: kind.to_owned(),
                ..Family::default()
            };
            let twice = families.insert(name.to_owned(), family);
            assert!(twice.is_none(), "{name} comes twice");
            name.clone_into(&mut current);
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let family = families.get_mut(&current).unwrap();
        assert_series(series, &current, &family.kind);
        let value: f64 = value.parse().unwrap();
        assert!(value >= 0.0 && value.is_finite(), "{line}");
        let twice = family.samples.insert(series.to_owned(), value);
        assert!(twice.is_none(), "{series} comes twice");
    }
    families
}

fn assert_name(name: &str, kind: &str) {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    assert!(
        name.starts_with("umbrella_") && name.bytes().all(plain),
        "{name}"
    );
    assert!(
        ["counter", "gauge", "histogram"].contains(&kind),
        "{name} is a {kind}"
    );
    assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
    for bad in [
        "_ms",
        "_milliseconds",
        "_kb",
        "_percent",
        "_count",
        "_sum",
        "_bucket",
    ] {
        assert!(
            !name.contains(bad),
            "{name} has no base unit, or a reserved ending"
        );
    }
}

fn assert_series(series: &str, family: &str, kind: &str) {
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
        None => (series, ""),
    };
    match kind {
        "histogram" => {
            let part = name.strip_prefix(family).unwrap();
            assert!(["_bucket", "_sum", "_count"].contains(&part), "{series}");
        }
        _ => assert_eq!(name, family, "a sample of another family"),
    }
    for label in labels.split(',').filter(|label| !label.is_empty()) {
        let (label, value) = label.split_once("=\"").unwrap();
        let value = value.strip_suffix('"').unwrap();
        assert!(
            label.bytes().all(|byte| byte.is_ascii_lowercase()),
            "{series}"
        );
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte);
        assert!(value.bytes().all(harmless), "{series}");
        assert_eq!(label == "le", kind == "histogram", "{series}");
    }
}

fn watched() -> Server {
    Server::start(
        tempfile::tempdir().unwrap(),
        &[("UMBRELLA_CLOUD", "1"), ("UMBRELLA_METRICS_TOKEN", TOKEN)],
    )
}

fn scrape(server: &Server) -> BTreeMap<String, Family> {
    let reply = ask(server, &format!("Bearer {TOKEN}"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        reply.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    read(&reply.text())
}

fn ask(server: &Server, authorization: &str) -> Reply {
    let call = server.call("GET", "/metrics");
    match authorization {
        "" => call.send(),
        some => call.header("authorization", some).send(),
    }
}

#[test]
fn strangers_read_figures() {
    let server = watched();
    for wrong in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong-wrong-wrong-wrong",
        "Basic dXNlcjpwYXNz",
        TOKEN,
        &format!("Bearer {TOKEN}x"),
        &format!("Bearer {}", &TOKEN[1..]),
    ] {
        let refused = ask(&server, wrong);
        assert_eq!(
            refused.header("www-authenticate"),
            "Bearer realm=\"metrics\""
        );
        let body = refused.json(401);
        let message = body["message"].as_str().unwrap();
        assert!(message.contains("metrics.token") && !message.contains(TOKEN));
    }
    assert_eq!(ask(&server, &format!("bearer {TOKEN}")).status, 200);
    assert!(!server.log().contains(TOKEN));
}

#[test]
fn without_a_token_everybody_or_nobody_reads_figures() {
    // Behind a proxy everybody comes from this machine.
    let server = Server::cloud();
    for wrong in ["", "Bearer ", "Bearer x"] {
        let message = ask(&server, wrong).json(401);
        assert!(
            message["message"]
                .as_str()
                .unwrap()
                .contains("UMBRELLA_METRICS_TOKEN")
        );
    }
    let body = json!({ "code": server.setup_code(), "password": "correct horse battery" });
    let session = server.call("POST", "/api/setup").json(&body).send();
    let cookie = session
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let reply = server
        .call("GET", "/metrics")
        .header("cookie", cookie)
        .send();
    assert_eq!(reply.status, 200);
    read(&reply.text());
}

#[test]
fn scraper_cannot_read_the_text() {
    let server = watched();
    let families = scrape(&server);
    // What is said of each link and of certificates, where there is none.
    let of_none = |name: &str| {
        name.starts_with("umbrella_trunk_") || name == "umbrella_certificate_end_time_seconds"
    };
    let mut other = families.iter().filter(|(name, _)| !of_none(name));
    assert!(other.all(|(_, family)| !family.samples.is_empty()));
    let value = |family: &str, series: &str| families[family].samples[series];
    let plain = |family: &str| value(family, family);
    assert_eq!(plain("umbrella_rooms"), 0.0);
    assert!(plain("umbrella_process_resident_memory_bytes") > 1e6);
    let build = format!(
        "umbrella_build_info{{version=\"{}\"}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(value("umbrella_build_info", &build), 1.0);
    let answered = "umbrella_worker_answered{worker=\"0\"}";
    assert_eq!(value("umbrella_worker_answered", answered), 1.0);
    let join = &families["umbrella_join_duration_seconds"].samples;
    let whole = &join["umbrella_join_duration_seconds_bucket{le=\"+Inf\"}"];
    assert_eq!(whole, &join["umbrella_join_duration_seconds_count"]);
}

#[test]
fn refusals_are_not_counted_or_name_whom() {
    let server = watched();
    server.call("GET", "/nothing/here").send();
    server.call("GET", "/rtc?access_token=forged").send();
    server.call("GET", "/rtc").send();
    let families = scrape(&server);
    let count =
        |family: &str, labels: &str| families[family].samples[&format!("{family}{{{labels}}}")];
    let joins = |reason: &str| {
        count(
            "umbrella_join_refusals_total",
            &format!("reason=\"{reason}\""),
        )
    };
    assert_eq!((joins("bad_token"), joins("no_token")), (1.0, 1.0));
    let http = |status: &str| {
        count(
            "umbrella_http_refusals_total",
            &format!("status=\"{status}\""),
        )
    };
    assert_eq!((http("404"), http("401")), (1.0, 2.0));
}

#[test]
fn dashboard_shows_what_does_not_exist() {
    let server = watched();
    let families = scrape(&server);
    let mut known: BTreeSet<String> = families.keys().cloned().collect();
    for (name, family) in &families {
        if family.kind == "histogram" {
            known.extend(["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")));
        }
    }
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/grafana/umbrella.json"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut used = BTreeSet::new();
    let mut rows = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        if panel["type"] == "row" {
            rows += 1;
            continue;
        }
        let title = panel["title"].as_str().unwrap();
        let described = panel["description"]
            .as_str()
            .is_some_and(|text| text.len() > 20);
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str();
        assert!(
            described && unit.is_some(),
            "{title} has no description or no unit"
        );
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        for target in panel["targets"].as_array().unwrap() {
            let names = names_in(target["expr"].as_str().unwrap());
            assert!(!names.is_empty(), "{title} asks for nothing of ours");
            used.extend(names);
        }
    }
    assert!(rows >= 4, "{rows} rows");
    let unknown: Vec<_> = used.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    // What nobody sees might as well not be counted.
    let shown = |name: &String| used.iter().any(|used| used.starts_with(name.as_str()));
    let unused: Vec<_> = families.keys().filter(|name| !shown(name)).collect();
    assert!(unused.is_empty(), "{unused:?} are on no panel");
}

/// The metrics of ours in a query.
fn names_in(query: &str) -> Vec<String> {
    query
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("umbrella_"))
        .map(str::to_owned)
        .collect()
}
