//! Functions fit a screen, files a sitting. Exceptions are listed in `xtask/ratchet.toml` with
//! their size, and may only shrink: one that is larger than needed fails as well.

use super::source::{Source, all};
use crate::workspace::{files, read, relative, root};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use syn::spanned::Spanned;
use syn::visit::Visit;

const FUNCTION_LINES: usize = 70;
const FILE_LINES: usize = 800;
const LIST: &str = "xtask/ratchet.toml";

/// Sizes by name: a path, or `path::function`.
type Sizes = BTreeMap<String, usize>;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Ratchet {
    #[serde(default)]
    functions: Sizes,
    #[serde(default)]
    files: Sizes,
}

pub(super) fn check() -> Result<Vec<String>> {
    let ratchet: Ratchet =
        toml::from_str(&read(&root().join(LIST))?).with_context(|| format!("parsing {LIST}"))?;
    let mut file_sizes = Sizes::new();
    let mut function_sizes = Sizes::new();
    for source in all()? {
        functions(&source, &mut function_sizes);
        file_sizes.insert(source.path, source.lines);
    }
    for dir in ["ui", "e2e"] {
        for path in files(dir, &["ts", "tsx", "css", "js", "mjs", "py"])? {
            file_sizes.insert(relative(&path), read(&path)?.lines().count());
        }
    }
    let mut findings = compare(
        "function",
        FUNCTION_LINES,
        &function_sizes,
        &ratchet.functions,
    );
    findings.extend(compare("file", FILE_LINES, &file_sizes, &ratchet.files));
    Ok(findings)
}

fn compare(what: &str, bound: usize, sizes: &Sizes, exceptions: &Sizes) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, &size) in sizes {
        match exceptions.get(name) {
            None if size > bound => {
                findings.push(format!(
                    "{what} {name} has {size} lines; {bound} are allowed"
                ));
            }
            Some(&allowed) if size > allowed => findings.push(format!(
                "{what} {name} grew to {size} lines; its exception in {LIST} is {allowed}"
            )),
            Some(_) if size <= bound => findings.push(format!(
                "{what} {name} has {size} lines: take its exception out of {LIST}"
            )),
            Some(&allowed) if size < allowed => findings.push(format!(
                "{what} {name} shrank to {size} lines: write {size} instead of {allowed} in {LIST}"
            )),
            None | Some(_) => {}
        }
    }
    for name in exceptions.keys().filter(|name| !sizes.contains_key(*name)) {
        findings.push(format!(
            "{what} {name} is gone: take its exception out of {LIST}"
        ));
    }
    findings
}

fn functions(source: &Source, sizes: &mut Sizes) {
    let mut counter = Counter {
        scope: source.path.clone(),
        sizes,
    };
    counter.visit_file(&source.syntax);
}

/// Walks modules, implementations and functions and notes each function's lines.
struct Counter<'a> {
    scope: String,
    sizes: &'a mut Sizes,
}

impl Counter<'_> {
    fn note(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.span().start().line;
        let last = block.span().end().line;
        let name = format!("{}::{}", self.scope, signature.ident);
        let lines = last.saturating_sub(first) + 1;
        let known = self.sizes.entry(name).or_default();
        *known = lines.max(*known);
    }

    fn within(&mut self, name: &str, visit: impl FnOnce(&mut Self)) {
        let outer = self.scope.len();
        self.scope.push_str("::");
        self.scope.push_str(name);
        visit(self);
        self.scope.truncate(outer);
    }
}

impl<'ast> Visit<'ast> for Counter<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.within(&module.ident.to_string(), |this| {
            syn::visit::visit_item_mod(this, module)
        });
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let name = if let syn::Type::Path(ty) = &*item.self_ty
            && let Some(last) = ty.path.segments.last()
        {
            last.ident.to_string()
        } else {
            "impl".to_owned()
        };
        self.within(&name, |this| syn::visit::visit_item_impl(this, item));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.within(&item.ident.to_string(), |this| {
            syn::visit::visit_item_trait(this, item)
        });
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.note(&item.sig, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.note(&item.sig, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.note(&item.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(pairs: &[(&str, usize)]) -> Sizes {
        pairs
            .iter()
            .map(|(name, size)| ((*name).to_owned(), *size))
            .collect()
    }

    #[test]
    fn an_exception_only_shrinks() {
        let now = sizes(&[("a", 75), ("b", 60), ("c", 80), ("d", 71), ("e", 70)]);
        let list = sizes(&[("a", 74), ("b", 90), ("c", 90), ("gone", 99)]);
        let findings = compare("function", 70, &now, &list);
        assert_eq!(findings.len(), 5, "{findings:?}");
        assert!(
            findings
                .iter()
                .any(|finding| finding.contains("write 80 instead of 90"))
        );
        assert!(
            compare(
                "function",
                70,
                &now,
                &sizes(&[("a", 75), ("c", 80), ("d", 71)])
            )
            .is_empty()
        );
    }

    #[test]
    fn functions_are_found_in_modules_and_implementations() {
        let text = "mod m {\n impl A {\n  fn f() {\n  }\n }\n}\nfn g() {}\n";
        let syntax = syn::parse_file(text).expect("valid Rust");
        let mut found = Sizes::new();
        functions(
            &Source {
                path: "x.rs".into(),
                syntax,
                lines: 7,
            },
            &mut found,
        );
        assert_eq!(found, sizes(&[("x.rs::m::A::f", 2), ("x.rs::g", 1)]));
    }
}
