//! `media`, `room` and `engine` are given the time and their input, and take neither; the server begins all tasks in one
//! way.

use super::source::{Source, shipped};
use anyhow::Result;
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Item, UseTree};

/// What some crates must not name.
struct Ban {
    crates: &'static [&'static str],
    /// Consecutive identifiers joined by `::`.
    paths: &'static [&'static str],
    /// What is allowed in one file after all, with the reason beside it in that file.
    allowed: &'static [(&'static str, &'static str)],
    /// Why, after the path.
    why: &'static str,
}

const PURE: Ban = Ban {
    crates: &["crates/media", "crates/room", "crates/engine"],
    paths: &[
        "Instant::now",
        "SystemTime::now",
        "std::thread",
        "thread::spawn",
        "thread::sleep",
        "std::fs",
        "std::env",
        "std::process",
        "std::sync::Mutex",
        "std::sync::RwLock",
        "UdpSocket",
        "TcpStream",
        "TcpListener",
        "tokio",
        "async_std",
    ],
    allowed: &[("crates/engine/src/secure/tap.rs", "std::sync::Mutex")],
    why: "in a pure crate",
};

const TASKS: Ban = Ban {
    crates: &["crates/server"],
    paths: &["tokio::spawn", "task::spawn", "task::spawn_blocking"],
    allowed: &[
        ("crates/server/src/tasks.rs", "tokio::spawn"),
        ("crates/server/src/tasks.rs", "task::spawn_blocking"),
    ],
    why: "where `crate::tasks` makes the binary smaller",
};

pub(super) fn check() -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for ban in [&PURE, &TASKS] {
        for crate_dir in ban.crates {
            for source in shipped(crate_dir)? {
                findings.extend(findings_in(&source, ban));
            }
        }
    }
    Ok(findings)
}

fn findings_in(source: &Source, ban: &Ban) -> Vec<String> {
    let mut paths = Vec::new();
    for item in &source.syntax.items {
        imports(item, &mut paths);
    }
    in_tokens(source.syntax.to_token_stream(), &mut paths);
    let mut found: Vec<(usize, &str)> = paths
        .iter()
        .filter_map(|(line, path)| Some((*line, banned(path, ban)?)))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
        .into_iter()
        .filter(|(_, banned)| !ban.allowed.contains(&(source.path.as_str(), *banned)))
        .map(|(line, banned)| format!("{}:{line}: `{banned}` {}", source.path, ban.why))
        .collect()
}

fn banned(path: &str, ban: &Ban) -> Option<&'static str> {
    let segments: Vec<&str> = path.split("::").collect();
    ban.paths.iter().copied().find(|banned| {
        let banned: Vec<&str> = banned.split("::").collect();
        segments
            .windows(banned.len())
            .any(|window| window == banned)
    })
}

/// `use` trees, with their groups expanded: `std::{fs, thread}` names two paths.
fn imports(item: &Item, paths: &mut Vec<(usize, String)>) {
    if let Item::Use(item) = item {
        let line = item.use_token.span.start().line;
        expand(&item.tree, String::new(), line, paths);
    } else if let Item::Mod(module) = item {
        for item in module.content.iter().flat_map(|(_, items)| items) {
            imports(item, paths);
        }
    }
}

fn expand(tree: &UseTree, prefix: String, line: usize, paths: &mut Vec<(usize, String)>) {
    let join = |name: &syn::Ident| match prefix.as_str() {
        "" => name.to_string(),
        prefix => format!("{prefix}::{name}"),
    };
    match tree {
        UseTree::Path(path) => expand(&path.tree, join(&path.ident), line, paths),
        UseTree::Name(name) => paths.push((line, join(&name.ident))),
        UseTree::Rename(name) => paths.push((line, join(&name.ident))),
        UseTree::Glob(_) => paths.push((line, prefix)),
        UseTree::Group(group) => {
            for tree in &group.items {
                expand(tree, prefix.clone(), line, paths);
            }
        }
    }
}

/// Every run of identifiers joined by `::`, inside macros too.
fn in_tokens(tokens: TokenStream, paths: &mut Vec<(usize, String)>) {
    let mut path = String::new();
    let mut line = 0;
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if colons == 2 && !path.is_empty() {
                    path.push_str("::");
                } else {
                    flush(&mut path, line, paths);
                    line = ident.span().start().line;
                }
                path.push_str(&ident.to_string());
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            TokenTree::Group(group) => {
                flush(&mut path, line, paths);
                in_tokens(group.stream(), paths);
                colons = 0;
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {
                flush(&mut path, line, paths);
                colons = 0;
            }
        }
    }
    flush(&mut path, line, paths);
}

fn flush(path: &mut String, line: usize, paths: &mut Vec<(usize, String)>) {
    if !path.is_empty() {
        paths.push((line, std::mem::take(path)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str) -> Vec<String> {
        found(text, "x.rs", &PURE)
    }

    fn found(text: &str, path: &str, ban: &Ban) -> Vec<String> {
        let source = Source {
            path: path.into(),
            syntax: syn::parse_file(text).expect("valid Rust"),
            lines: 0,
        };
        findings_in(&source, ban)
    }

    #[test]
    fn a_clock_is_found_wherever_it_hides() {
        assert_eq!(
            find("fn f() { let t = std::time::Instant::now(); }").len(),
            1
        );
        assert_eq!(find("fn f() { assert!(Instant::now() > t); }").len(), 1);
        assert_eq!(
            find("mod a { fn f() { let t = SystemTime::now(); } }").len(),
            1
        );
    }

    #[test]
    fn a_grouped_import_does_not_slip_through() {
        assert_eq!(
            find("use std::{fmt, fs};"),
            ["x.rs:1: `std::fs` in a pure crate"]
        );
        assert_eq!(find("use std::net::{IpAddr, UdpSocket as S};").len(), 1);
    }

    #[test]
    fn a_task_is_begun_past_the_one_way_to_do_so() {
        let text = "fn f() { tokio::spawn(g()); tasks::spawn(g()); }";
        assert_eq!(
            found(text, "x.rs", &TASKS),
            ["x.rs:1: `tokio::spawn` where `crate::tasks` makes the binary smaller"]
        );
        assert!(found(text, TASKS.allowed[0].0, &TASKS).is_empty());
        let text = "use tokio::task::{JoinSet, spawn_blocking};";
        assert_eq!(found(text, "x.rs", &TASKS).len(), 1);
    }

    #[test]
    fn comments_strings_and_harmless_names_are_left_alone() {
        let text = r#"
            //! Never call Instant::now here; tokio is banned.
            /// See std::fs.
            fn f(now: std::time::Instant) -> &'static str { now_or(now); "tokio" }
            use std::net::{IpAddr, SocketAddr};
        "#;
        assert_eq!(find(text), Vec::<String>::new());
    }
}
