//! What a binary is made of, and under which licences: crates by cargo, packages of the page by
//! npm's lock file, the C library by zig.

use super::build::tools;
use super::target::Target;
use crate::cmd::cargo;
use crate::workspace::{files_of, read, root};
use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How files are called that say under what terms something is given, in capitals.
const NAMES: [&str; 6] = [
    "LICENSE",
    "LICENCE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
    "UNLICENSE",
];

/// Something that somebody else has made, and is in the binary.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    /// Package URL, which says where it comes from.
    purl: String,
    name: String,
    version: String,
    /// An SPDX expression.
    licence: Option<String>,
    /// Where its files are.
    dir: PathBuf,
}

/// All of them, sorted.
pub(crate) struct Bill {
    target: &'static str,
    parts: BTreeSet<Part>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
}

/// What the server is made of on that target.
pub(crate) fn of(target: &Target) -> Result<Bill> {
    let mut parts = crates(target)?;
    parts.extend(page()?);
    parts.insert(musl()?);
    Ok(Bill {
        target: target.name,
        parts,
    })
}

/// Crates whose code is linked: what only runs at compile time is left out.
fn crates(target: &Target) -> Result<BTreeSet<Part>> {
    let tree = cargo("crates of the server")
        .args(["tree", "--locked", "--package", "umbrella"])
        .args(["--target", target.triple, "--edges", "normal,no-proc-macro"])
        .args(["--prefix", "none", "--format", "{p}"])
        .quiet()?;
    let linked: BTreeSet<_> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?.trim_start_matches('v')))
        })
        .collect();
    let json = cargo("their licences")
        .args(["metadata", "--locked", "--format-version", "1"])
        .quiet()?;
    let metadata: Metadata = serde_json::from_str(&json).context("parsing cargo metadata")?;
    let mut parts = BTreeSet::new();
    for package in metadata.packages {
        let (name, version) = (package.name, package.version);
        if package.source.is_none() || !linked.contains(&(name.as_str(), version.as_str())) {
            continue;
        }
        parts.insert(Part {
            purl: format!("pkg:cargo/{name}@{version}"),
            name,
            version,
            licence: package.license,
            dir: package
                .manifest_path
                .parent()
                .unwrap_or(Path::new("/"))
                .to_owned(),
        });
    }
    Ok(parts)
}

/// npm packages that the page is made of; which of them the bundler has left out is not known.
fn page() -> Result<Vec<Part>> {
    let lock: Value = serde_json::from_str(&read(&root().join("ui/package-lock.json"))?)?;
    let packages = lock["packages"].as_object().context("a lock file of npm")?;
    Ok(packages
        .iter()
        .filter_map(|(path, package)| npm(path, package))
        .collect())
}

fn npm(path: &str, package: &Value) -> Option<Part> {
    let (_, name) = path.rsplit_once("node_modules/")?;
    let of_tools = ["dev", "devOptional", "optional"];
    if of_tools.iter().any(|key| package[*key] == true) || name.starts_with("@types/") {
        return None;
    }
    let version = package["version"].as_str()?.to_owned();
    Some(Part {
        purl: format!("pkg:npm/{}@{version}", name.replace('@', "%40")),
        name: name.to_owned(),
        version,
        licence: package["license"].as_str().map(str::to_owned),
        dir: root().join("ui").join(path),
    })
}

/// The C library, which zig brings.
fn musl() -> Result<Part> {
    let lib = tools()?.join("lib");
    let all = files_of(&lib)?;
    let copyright = all
        .iter()
        .find(|path| path.ends_with("ziglang/lib/libc/musl/COPYRIGHT"))
        .context("zig has no musl")?;
    Ok(Part {
        purl: "pkg:generic/musl?comment=as+in+zig+0.15.2".to_owned(),
        name: "musl".to_owned(),
        version: "of zig 0.15.2".to_owned(),
        licence: Some("MIT".to_owned()),
        dir: copyright.parent().unwrap_or(Path::new("/")).to_owned(),
    })
}

impl Bill {
    /// CycloneDX 1.5, without what would differ between two builds.
    pub(crate) fn cyclonedx(&self) -> Result<String> {
        let components: Vec<_> = self.parts.iter().map(component).collect();
        let version = env!("CARGO_PKG_VERSION");
        let bill = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": { "component": {
                "type": "application",
                "bom-ref": format!("umbrella-{version}-{}", self.target),
                "name": "umbrella",
                "version": version,
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
            }},
            "components": components,
        });
        Ok(format!("{}\n", serde_json::to_string_pretty(&bill)?))
    }

    /// All texts, each once, under the names of those whose it is.
    pub(crate) fn licences(&self) -> Result<String> {
        let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut text = String::from(
            "Umbrella contains the work of others. Each is named with its licence.\n\n",
        );
        for part in &self.parts {
            let licence = part.licence.as_deref().unwrap_or("see its text below");
            let title = format!("{} {}", part.name, part.version);
            let found = files_of(&part.dir)?
                .into_iter()
                .filter(|path| names_terms(path));
            let mut any = false;
            for path in found {
                let bytes = std::fs::read(&path)?;
                let words = String::from_utf8_lossy(&bytes).replace('\r', "");
                texts
                    .entry(words.trim().to_owned())
                    .or_default()
                    .push(title.clone());
                any = true;
            }
            let note = if any {
                ""
            } else {
                " (it brings no text of it)"
            };
            text.push_str(&format!("{title}: {licence}{note}\n"));
        }
        text.push_str("The Rust standard library: MIT OR Apache-2.0\n");
        for (words, mut of) in texts {
            of.dedup();
            text.push_str(&format!(
                "\n{}\n{}\n\n{words}\n",
                "-".repeat(72),
                of.join(", ")
            ));
        }
        Ok(text)
    }
}

fn component(part: &Part) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": part.purl,
        "name": part.name,
        "version": part.version,
        "purl": part.purl,
    });
    if let Some(licence) = &part.licence {
        // What crates used to write before there were SPDX expressions.
        let licence = licence.replace('/', " OR ");
        component["licenses"] = json!([{ "expression": licence }]);
    }
    component
}

/// Whether a file is about licences, by its name; sources that are called so are not.
fn names_terms(path: &Path) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_uppercase();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    !["RS", "C", "H", "JS", "TS", "GO", "PY", "PL", "SH"].contains(&ending)
        && NAMES.iter().any(|known| name.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_of_the_page_is_named_as_a_part_of_it() {
        let react = json!({ "version": "19.0.0", "license": "MIT" });
        let part = npm("node_modules/react", &react).unwrap();
        assert_eq!(part.purl, "pkg:npm/react@19.0.0");
        let vite = json!({ "version": "8.0.0", "dev": true });
        assert_eq!(npm("node_modules/vite", &vite), None);
        assert_eq!(npm("", &react), None);
    }

    #[test]
    fn a_licence_is_missed_or_a_source_taken_for_one() {
        for name in ["LICENSE-MIT", "license.md", "COPYING", "NOTICE.txt"] {
            assert!(names_terms(Path::new(name)), "{name}");
        }
        for name in ["license.rs", "README.md", "Cargo.toml"] {
            assert!(!names_terms(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn a_text_is_repeated_for_each_who_has_it() {
        let dir = std::env::temp_dir().join(format!("umbrella-bill-{}", std::process::id()));
        let part = |name: &str| {
            let dir = dir.join(name);
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join("LICENSE"), "Do as you like.\n").unwrap();
            Part {
                purl: format!("pkg:cargo/{name}@1"),
                name: name.to_owned(),
                version: "1".to_owned(),
                licence: Some("MIT/Apache-2.0".to_owned()),
                dir,
            }
        };
        let bill = Bill {
            target: "t",
            parts: BTreeSet::from([part("one"), part("two")]),
        };
        let text = bill.licences().unwrap();
        let json: Value = serde_json::from_str(&bill.cyclonedx().unwrap()).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(text.matches("Do as you like.").count(), 1, "{text}");
        assert!(text.contains("one 1, two 1"), "{text}");
        assert_eq!(json["components"][1]["purl"], "pkg:cargo/two@1");
        assert_eq!(
            json["components"][0]["licenses"][0]["expression"],
            "MIT OR Apache-2.0"
        );
    }
}
