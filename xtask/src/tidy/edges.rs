//! Dependency direction, as ARCHITECTURE.md draws it.

use crate::cmd::cargo;
use anyhow::{Context, Result};
use serde::Deserialize;

/// A crate of ours and what it may depend on.
struct Law {
    package: &'static str,
    /// Ours, in any kind of dependency.
    ours: &'static [&'static str],
    /// Ours, in tests only.
    in_tests: &'static [&'static str],
}

const LAWS: [Law; 10] = [
    Law {
        package: "umbrella-media",
        ours: &[],
        in_tests: &[],
    },
    Law {
        package: "umbrella-wire",
        ours: &[],
        in_tests: &[],
    },
    Law {
        package: "umbrella-room",
        ours: &["umbrella-media"],
        in_tests: &[],
    },
    Law {
        package: "umbrella-engine",
        ours: &["umbrella-media"],
        in_tests: &[],
    },
    Law {
        package: "umbrella",
        ours: &[
            "umbrella-room",
            "umbrella-engine",
            "umbrella-media",
            "umbrella-wire",
        ],
        in_tests: &[],
    },
    Law {
        package: "umbrella-sim",
        ours: &["umbrella-room", "umbrella-engine", "umbrella-media"],
        in_tests: &[],
    },
    Law {
        package: "umbrella-loadgen",
        ours: &["umbrella-wire", "umbrella-media"],
        // Its tests run a real server, and look at its payloads with the server's parsers.
        in_tests: &["umbrella", "umbrella-engine", "umbrella-room"],
    },
    Law {
        package: "umbrella-fuzz",
        ours: &["umbrella", "umbrella-engine", "umbrella-media"],
        in_tests: &[],
    },
    Law {
        package: "idna_adapter",
        ours: &[],
        in_tests: &[],
    },
    Law {
        package: "xtask",
        ours: &[],
        in_tests: &[],
    },
];

/// Crates from elsewhere that only some of ours may use, so that the knowledge stays there.
///
/// The load generator is the other end of the line: it needs a WebRTC stack as clients have one,
/// and it must not be the engine, whose mistakes it would share.
const RESERVED: [(&str, &[&str]); 2] = [
    ("str0m", &["umbrella-engine", "umbrella-loadgen"]),
    ("prost-build", &["umbrella-wire"]),
];

/// Crates whose purity forbids these dependencies outside tests.
const PURE: [&str; 3] = ["umbrella-media", "umbrella-room", "umbrella-engine"];
const IMPURE: [&str; 9] = [
    "tokio",
    "mio",
    "socket2",
    "quinn-udp",
    "nix",
    "libc",
    "rusqlite",
    "if-addrs",
    "tracing-subscriber",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `null`, `dev` or `build`.
    kind: Option<String>,
    /// Only for dependencies inside the repository.
    path: Option<String>,
}

pub(super) fn check() -> Result<Vec<String>> {
    let json = cargo("cargo metadata")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .quiet()?;
    let metadata: Metadata = serde_json::from_str(&json).context("parsing cargo metadata")?;
    Ok(findings(&metadata))
}

fn findings(metadata: &Metadata) -> Vec<String> {
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let Some(law) = LAWS.iter().find(|law| law.package == package.name) else {
            findings.push(format!(
                "crate {} has no law: write it into ARCHITECTURE.md and xtask/src/tidy/edges.rs",
                package.name
            ));
            continue;
        };
        findings.extend(
            package
                .dependencies
                .iter()
                .filter_map(|edge| wrong(law, edge)),
        );
    }
    findings
}

fn wrong(law: &Law, edge: &Dependency) -> Option<String> {
    let in_tests = edge.kind.as_deref() == Some("dev");
    let to = edge.name.as_str();
    if edge.path.is_some() {
        let allowed = law.ours.contains(&to) || (in_tests && law.in_tests.contains(&to));
        return (!allowed).then(|| format!("{} must not depend on {to}", law.package));
    }
    if let Some((_, owners)) = RESERVED.iter().find(|(name, _)| *name == to)
        && !owners.contains(&law.package)
    {
        let owners = owners.join(" and ");
        return Some(format!(
            "{} must not depend on {to}: only {owners} may",
            law.package
        ));
    }
    (!in_tests && PURE.contains(&law.package) && IMPURE.contains(&to))
        .then(|| format!("{} is pure and must not depend on {to}", law.package))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(package: &str, name: &str, kind: Option<&str>, ours: bool) -> Vec<String> {
        let edge = Dependency {
            name: name.into(),
            kind: kind.map(Into::into),
            path: ours.then(|| "/x".into()),
        };
        let packages = vec![Package {
            name: package.into(),
            dependencies: vec![edge],
        }];
        findings(&Metadata { packages })
    }

    #[test]
    fn room_cannot_learn_about_the_engine() {
        assert_eq!(on("umbrella-room", "umbrella-engine", None, true).len(), 1);
        assert_eq!(
            on("umbrella-room", "umbrella-engine", Some("dev"), true).len(),
            1
        );
        assert!(on("umbrella-room", "umbrella-media", None, true).is_empty());
    }

    #[test]
    fn webrtc_stays_inside_the_engine() {
        assert_eq!(on("umbrella", "str0m", None, false).len(), 1);
        assert!(on("umbrella-engine", "str0m", None, false).is_empty());
    }

    #[test]
    fn synthetic_clients_do_not_share_the_engines_mistakes() {
        assert!(on("umbrella-loadgen", "str0m", None, false).is_empty());
        assert_eq!(
            on("umbrella-loadgen", "umbrella-engine", None, true).len(),
            1
        );
    }

    #[test]
    fn a_runtime_does_not_creep_into_pure_crates() {
        assert_eq!(on("umbrella-engine", "tokio", None, false).len(), 1);
        assert!(on("umbrella", "tokio", None, false).is_empty());
    }

    #[test]
    fn a_new_crate_must_state_its_law() {
        assert_eq!(on("umbrella-new", "bytes", None, false).len(), 1);
    }
}
