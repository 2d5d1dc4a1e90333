//! Reading Rust sources as syntax, so that comments and strings do not count.

use crate::workspace::{files, read, relative};
use anyhow::{Context, Result};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use syn::{Attribute, Item};

/// A parsed file.
pub(super) struct Source {
    /// Relative to the root.
    pub(super) path: String,
    pub(super) syntax: syn::File,
    /// Lines of text.
    pub(super) lines: usize,
}

/// Everything that is Rust and written by hand.
pub(super) fn all() -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for dir in ["crates", "xtask", "fuzz"] {
        for path in files(dir, &["rs"])? {
            sources.push(parse(&path)?);
        }
    }
    Ok(sources)
}

/// The shipped code of one crate: `src/` without anything under `#[cfg(test)]`.
pub(super) fn shipped(crate_dir: &str) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut only_tests = HashSet::new();
    for path in files(&format!("{crate_dir}/src"), &["rs"])? {
        let mut source = parse(&path)?;
        drop_tests(&mut source.syntax.items, &path, &mut only_tests);
        sources.push((path, source));
    }
    let in_tests = |path: &Path| path.ancestors().any(|up| only_tests.contains(up));
    Ok(sources
        .into_iter()
        .filter(|(path, _)| !in_tests(path))
        .map(|(_, source)| source)
        .collect())
}

fn parse(path: &Path) -> Result<Source> {
    let text = read(path)?;
    let path = relative(path);
    let syntax = syn::parse_file(&text).with_context(|| format!("parsing {path}"))?;
    Ok(Source {
        path,
        syntax,
        lines: text.lines().count(),
    })
}

/// Removes items that exist in tests only, and notes files that are declared so.
fn drop_tests(items: &mut Vec<Item>, file: &Path, only_tests: &mut HashSet<PathBuf>) {
    items.retain(|item| {
        if !is_test_only(attributes(item)) {
            return true;
        }
        if let Item::Mod(module) = item
            && module.content.is_none()
        {
            let dir = module_dir(file);
            only_tests.insert(dir.join(format!("{}.rs", module.ident)));
            only_tests.insert(dir.join(module.ident.to_string()));
        }
        false
    });
    for item in items {
        if let Item::Mod(module) = item
            && let Some((_, inner)) = &mut module.content
        {
            drop_tests(inner, file, only_tests);
        }
    }
}

/// Where the submodules of `file` live.
fn module_dir(file: &Path) -> PathBuf {
    let dir = file.parent().unwrap_or(Path::new("")).to_owned();
    match file.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "main" | "mod") | None => dir,
        Some(stem) => dir.join(stem),
    }
}

/// What tests and fuzz targets share; `cargo xtask fuzz` sets the second.
const FUZZING: &str = "any (test , fuzzing)";

/// `#[cfg(test)]`, `#[cfg(all(test, …))]`, `#[cfg(any(test, fuzzing))]` or `#[test]`.
fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        if attribute.path().is_ident("test") {
            return true;
        }
        let Ok(list) = attribute.meta.require_list() else {
            return false;
        };
        let condition = list.tokens.to_string();
        attribute.path().is_ident("cfg")
            && (condition == "test" || condition.starts_with("all (test") || condition == FUZZING)
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "not our enum: the other items hold no code"
)]
fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_modules_are_not_mistaken_for_shipped_code() {
        let mut file: syn::File = syn::parse_quote! {
            #[cfg(test)] mod tests;
            #[cfg(all(test, unix))] mod more { fn f() {} }
            mod kept { #[cfg(test)] mod tests {} fn g() {} }
            #[cfg(unix)] fn h() {}
        };
        let mut only_tests = HashSet::new();
        drop_tests(&mut file.items, Path::new("src/a.rs"), &mut only_tests);
        assert_eq!(file.items.len(), 2);
        assert!(only_tests.contains(Path::new("src/a/tests.rs")));
        let Item::Mod(kept) = &file.items[0] else {
            panic!("the module was dropped")
        };
        assert_eq!(kept.content.as_ref().map(|(_, items)| items.len()), Some(1));
    }
}
