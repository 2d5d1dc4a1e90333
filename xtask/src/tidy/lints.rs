//! The workspace's lints hold everywhere: no crate leaves them out or switches one off.

use super::source::{Source, all};
use crate::workspace::{files, read, relative};
use anyhow::{Context, Result};
use std::path::Path;
use syn::visit::Visit;

/// Lints that no attribute may allow, and the only place that may: generated code has no comments.
const FIRM: [&str; 2] = ["missing_docs", "unsafe_code"];
const EXEMPT: &str = "crates/wire/";

pub(super) fn check() -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for manifest in files("crates", &["toml"])?
        .iter()
        .chain(&files("xtask", &["toml"])?)
        .chain(&files("fuzz", &["toml"])?)
    {
        if manifest
            .file_name()
            .is_some_and(|name| name == "Cargo.toml")
        {
            findings.extend(not_inherited(manifest)?);
        }
    }
    for source in all()? {
        if !source.path.starts_with(EXEMPT) {
            findings.extend(switched_off(&source));
        }
    }
    Ok(findings)
}

fn not_inherited(manifest: &Path) -> Result<Option<String>> {
    let path = relative(manifest);
    let table: toml::Table =
        toml::from_str(&read(manifest)?).with_context(|| format!("parsing {path}"))?;
    let inherits = table
        .get("lints")
        .and_then(|lints| lints.get("workspace"))
        .and_then(toml::Value::as_bool)
        .unwrap_or(false);
    Ok((!inherits).then(|| format!("{path}: add `[lints]` with `workspace = true`")))
}

fn switched_off(source: &Source) -> Vec<String> {
    struct Finder<'a> {
        path: &'a str,
        findings: Vec<String>,
    }
    impl Visit<'_> for Finder<'_> {
        fn visit_attribute(&mut self, attribute: &syn::Attribute) {
            if !attribute.path().is_ident("allow") && !attribute.path().is_ident("expect") {
                return;
            }
            let Ok(list) = attribute.meta.require_list() else {
                return;
            };
            let text = list.tokens.to_string();
            let line = attribute.pound_token.span.start().line;
            for lint in FIRM.iter().filter(|lint| text.contains(*lint)) {
                self.findings.push(format!(
                    "{}:{line}: `{lint}` is not for switching off",
                    self.path
                ));
            }
        }
    }
    let mut finder = Finder {
        path: &source.path,
        findings: Vec::new(),
    };
    finder.visit_file(&source.syntax);
    finder.findings
}
