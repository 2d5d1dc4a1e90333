//! What panics in a destructor ends the whole server in the binaries that are handed out
//! (docs/decisions/0019-small-binaries.md): no destructor of ours says `panic!`, `assert!` or
//! `expect`, or takes an element by its number.

use super::source::{Source, shipped};
use crate::workspace::root;
use anyhow::Result;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{ExprIndex, ExprMethodCall, ItemImpl, Macro};

const MACROS: [&str; 7] = [
    "assert",
    "assert_eq",
    "assert_ne",
    "panic",
    "todo",
    "unimplemented",
    "unreachable",
];
const METHODS: [&str; 4] = ["unwrap", "expect", "unwrap_err", "expect_err"];

pub(super) fn check() -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for entry in std::fs::read_dir(root().join("crates"))? {
        let name = entry?.file_name();
        for source in shipped(&format!("crates/{}", name.to_string_lossy()))? {
            findings.extend(findings_in(&source));
        }
    }
    findings.sort();
    Ok(findings)
}

fn findings_in(source: &Source) -> Vec<String> {
    let mut destructors = Destructors::default();
    destructors.visit_file(&source.syntax);
    let found = destructors.found.into_iter();
    found
        .map(|(line, what)| format!("{}:{line}: {what} in a destructor", source.path))
        .collect()
}

/// Where destructors may panic.
#[derive(Default)]
struct Destructors {
    inside: bool,
    found: Vec<(usize, String)>,
}

impl<'ast> Visit<'ast> for Destructors {
    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let of = item.trait_.as_ref();
        let name = of.and_then(|(_, path, _)| path.segments.last());
        let outside =
            std::mem::replace(&mut self.inside, name.is_some_and(|it| it.ident == "Drop"));
        visit::visit_item_impl(self, item);
        self.inside = outside;
    }

    fn visit_macro(&mut self, of: &'ast Macro) {
        let name = of.path.segments.last().map(|it| it.ident.to_string());
        if let Some(name) = name.filter(|name| self.inside && MACROS.contains(&name.as_str())) {
            self.found
                .push((of.span().start().line, format!("`{name}!`")));
        }
        visit::visit_macro(self, of);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let name = call.method.to_string();
        if self.inside && METHODS.contains(&name.as_str()) {
            self.found
                .push((call.method.span().start().line, format!("`{name}`")));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_index(&mut self, index: &'ast ExprIndex) {
        if self.inside {
            let line = index.span().start().line;
            self.found
                .push((line, "an element by its number".to_owned()));
        }
        visit::visit_expr_index(self, index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destructor_that_may_panic_ends_the_server() {
        let syntax = syn::parse_quote! {
            impl Drop for Worker {
                fn drop(&mut self) {
                    self.thread.take().expect("a thread").join().ok();
                    if self.open { panic!("open") }
                    self.all[0].close();
                }
            }
            impl Worker {
                fn new() -> Worker { first().unwrap() }
            }
            impl Drop for Handle {
                fn drop(&mut self) { let _ = self.end.send(()); }
            }
        };
        let source = Source {
            path: "a.rs".to_owned(),
            syntax,
            lines: 1,
        };
        let found = findings_in(&source).join("\n");
        for wanted in ["`expect`", "`panic!`", "an element"] {
            assert!(found.contains(wanted), "{wanted} in {found}");
        }
        assert_eq!(findings_in(&source).len(), 3);
    }
}
