use super::*;

fn acme(settings: &str) -> Result<AcmeConfig, String> {
    let text = format!("[acme]\naccept_terms = true\n{settings}\n");
    load_text(&text, &env(&[])).map(|config| config.acme.unwrap())
}

#[test]
fn public_certificate_is_wanted_though_something_else_forbids_it() {
    let named = "[acme]\ndomains = [\"a.example.org\"]\n";
    let accepted = format!("{named}accept_terms = true\n");
    for (text, complaint) in [
        (named.to_owned(), "acme.accept_terms: must be true"),
        (
            format!("{accepted}[server]\ncloud = true\n"),
            "acme.domains: a certificate is of no use in cloud mode",
        ),
        (
            format!("{accepted}[tls]\ncertificate = \"x\"\nprivate_key = \"y\"\n"),
            "acme.domains: tls.certificate is given as well",
        ),
    ] {
        let why = refuse(&text);
        assert!(why.contains(complaint), "{why}");
    }
}

#[test]
fn authority_is_asked_for_what_it_never_gives() {
    for name in [
        "",
        "*.example.org",
        "localhost",
        "box.local",
        "192.0.2.1",
        "2001:db8::1",
        "https://meet.example.org",
        "meet.example.org:443",
        "a_b.example.org",
        "müller.example.org",
    ] {
        let why = acme(&format!("domains = [\"ok.example.org\", \"{name}\"]")).unwrap_err();
        let expected = format!("acme.domains: entry 2 (`{name}`) is no name such as");
        assert!(why.contains(&expected), "{why}");
    }
    let many: Vec<String> = (0..26).map(|n| format!("\"a{n}.example.org\"")).collect();
    let why = acme(&format!("domains = [{}]", many.join(", "))).unwrap_err();
    assert!(
        why.contains("acme.domains: there are more than 25"),
        "{why}"
    );
}

#[test]
fn account_is_made_with_an_address_that_no_authority_takes() {
    for email in [
        "admin",
        "a@b@c",
        "@example.org",
        "a b@example.org",
        "a@x, b@x",
        "mailto:a@b",
    ] {
        let why = acme(&format!(
            "domains = [\"a.example.org\"]\nemail = \"{email}\""
        ))
        .unwrap_err();
        assert!(
            why.contains("acme.email: expected one address"),
            "{email}: {why}"
        );
    }
}

#[test]
fn account_is_made_at_another_server_than_was_meant_or_in_the_clear() {
    let with = |directory: &str| {
        acme(&format!(
            "domains = [\"a.example.org\"]\ndirectory = \"{directory}\""
        ))
        .map(|acme| acme.directory)
    };
    for (directory, url) in [
        (
            "letsencrypt",
            "https://acme-v02.api.letsencrypt.org/directory",
        ),
        (
            "letsencrypt-staging",
            "https://acme-staging-v02.api.letsencrypt.org/directory",
        ),
        (
            "https://ca.example.org:9000/acme/dir",
            "https://ca.example.org:9000/acme/dir",
        ),
    ] {
        assert_eq!(with(directory).unwrap(), url);
    }
    for directory in [
        "",
        "LetsEncrypt",
        "http://ca.example.org/dir",
        "https://",
        "https://me@ca/dir",
    ] {
        let why = with(directory).unwrap_err();
        assert!(
            why.contains("acme.directory: expected letsencrypt"),
            "{directory}: {why}"
        );
    }
}

#[test]
fn public_certificate_is_asked_for_without_being_wanted_or_with_names_that_differ_in_case() {
    assert_eq!(load_text("", &env(&[])).unwrap().acme, None);
    let wanted = env(&[
        (
            "UMBRELLA_ACME_DOMAINS",
            "Meet.Example.org., meet.example.org, b.example.org",
        ),
        ("UMBRELLA_ACME_ACCEPT_TERMS", "1"),
        ("UMBRELLA_ACME_EMAIL", "admin@example.org"),
        ("UMBRELLA_ACME_CA_FILE", "/etc/ca.pem"),
    ]);
    let config = load_text("", &wanted).unwrap();
    let acme = config.acme.unwrap();
    assert_eq!(acme.domains, ["meet.example.org", "b.example.org"]);
    assert_eq!(acme.email.as_deref(), Some("admin@example.org"));
    assert_eq!(acme.ca_file, Some("/etc/ca.pem".into()));
    // Links lead to where the authority looks, unless something else is said.
    let public = |config: Config| config.http.public_host.map(|it| (it.host, it.port));
    let config = load_text("", &wanted).unwrap();
    assert_eq!(
        public(config),
        Some(("meet.example.org".to_owned(), Some(443)))
    );
    let other = "[http]\npublic_host = \"b.example.org:8443\"\n";
    let config = load_text(other, &wanted).unwrap();
    assert_eq!(
        public(config),
        Some(("b.example.org".to_owned(), Some(8443)))
    );
}
