//! The configuration written out: as a file that loads, and as a page of the documentation.

use std::fmt::Write as _;

use toml::{Table, Value};

use super::file::FileConfig;
use super::keys::{ColumnKind, Key, Kind, SECTIONS, Section};

const WIDTH: usize = 96;

/// A documented `umbrella.toml` with every key at its default.
pub fn default_toml() -> String {
    let defaults = defaults();
    let mut text = String::from(
        "# Configuration of Umbrella. Every key is shown with its default and may be left out.\n\
         # The environment variable named with a key overrides it.\n",
    );
    for section in SECTIONS {
        text.push('\n');
        push_wrapped(&mut text, section.doc, "# ");
        if let Some(key) = section.keys.iter().find(|key| key.is_section()) {
            push_list(&mut text, section, key);
            continue;
        }
        let _ = writeln!(text, "[{}]", section.name);
        for key in section.keys {
            text.push('\n');
            push_wrapped(&mut text, key.doc, "# ");
            let _ = writeln!(text, "# Environment: {}", key.env);
            let value = default_of(&defaults, section.name, key);
            let _ = writeln!(text, "{} = {value}", key.name);
        }
    }
    text
}

/// A list without entries can only be written before all tables: it is shown instead.
fn push_list(text: &mut String, section: &Section, key: &Key) {
    push_wrapped(text, key.doc, "# ");
    let _ = writeln!(text, "# Environment: {}", key.env);
    let _ = writeln!(text, "#\n# [[{}]]", section.name);
    if let Kind::Tables(columns) = key.kind {
        for column in columns {
            let empty = match column.kind {
                ColumnKind::Text => "\"…\"",
                ColumnKind::Switch => "true",
                ColumnKind::List => "[]",
            };
            let _ = writeln!(text, "# {} = {empty}", column.name);
        }
    }
}

/// `docs/configuration.md`.
pub fn reference() -> String {
    let defaults = defaults();
    let mut text = String::from(INTRODUCTION);
    for section in SECTIONS {
        let list = section.keys.iter().any(Key::is_section);
        let name = match list {
            true => format!("[[{}]]", section.name),
            false => format!("[{}]", section.name),
        };
        let _ = write!(text, "\n## `{name}`\n\n{}\n", section.doc);
        for key in section.keys {
            if list {
                let (env, form) = (key.env, environment_form(key.kind));
                let _ = write!(
                    text,
                    "\n{}\n\n- Environment: `{env}`{form}\n- Default: none\n- Changes take effect: {}\n",
                    key.doc,
                    key.effect.describe()
                );
                continue;
            }
            let value = default_of(&defaults, section.name, key);
            let _ = write!(
                text,
                "\n### `{}.{}`\n\n{}\n\n- Environment: `{}`{}\n- Value: {}\n- Default: `{value}`\n\
                 - Changes take effect: {}\n",
                section.name,
                key.name,
                key.doc,
                key.env,
                environment_form(key.kind),
                key.kind.describe(),
                key.effect.describe(),
            );
        }
    }
    text
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Written by the server's own list of keys; `UPDATE_DOCS=1 cargo test -p umbrella reference` \
rewrites it. -->

Nothing needs to be configured to start. What is written comes from three places, and the later \
one wins:

1. the defaults below,
2. `umbrella.toml`: the file named by `--config`, or by `UMBRELLA_CONFIG`, or found in the working \
directory,
3. the environment.

`umbrella config --print-defaults` prints a file with every key, its meaning and its default. An \
unknown key or a bad value stops the start with a message that names it. A variable that begins \
with `UMBRELLA_` and means nothing is only warned about, because orchestrators set some of their \
own.

A server that runs reads the file again when it has changed, at `SIGHUP` (at a terminal that signal ends \
it, as it comes when the terminal is closed), and by `umbrella reload`, which says what has changed and what \
counts only after a restart. No call ends by that. A file with a mistake \
changes nothing, and the mistake is named. Variables are those with which the server was started, and \
still win.
";

fn environment_form(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Number => "",
        Kind::Switch => " (`1` or `0`)",
        Kind::List => " (separated by commas)",
        Kind::Pairs => " (`key: secret`, separated by commas or new lines)",
        Kind::Tables(_) => " (the whole list in one line)",
    }
}

fn defaults() -> Table {
    // The defaults are plain data that we wrote ourselves; a test sees to it that this works.
    Table::try_from(FileConfig::default()).unwrap_or_default()
}

fn default_of(defaults: &Table, section: &str, key: &Key) -> String {
    defaults
        .get(section)
        .and_then(|s| s.get(key.name))
        .map_or_else(|| "{}".to_owned(), Value::to_string)
}

fn push_wrapped(text: &mut String, doc: &str, lead: &str) {
    let mut line = lead.to_owned();
    for word in doc.split_whitespace() {
        if line.len() > lead.len() && line.len() + word.len() >= WIDTH {
            text.push_str(line.trim_end());
            text.push('\n');
            lead.clone_into(&mut line);
        }
        line.push_str(word);
        line.push(' ');
    }
    text.push_str(line.trim_end());
    text.push('\n');
}
