//! Reads file and environment into one [`FileConfig`].

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::file::FileConfig;
use super::keys::{Column, ColumnKind, Key, Kind, SECTIONS};
use super::{ConfigError, Environment, FILE_NAME};

/// Variables that begin like ours and are not keys of the file.
const OTHER_VARIABLES: &[&str] = &["UMBRELLA_CONFIG"];

pub(super) struct Written {
    pub(super) values: FileConfig,
    /// The file that was read, for messages.
    pub(super) file: Option<PathBuf>,
}

pub(super) fn read(file: Option<&Path>, env: &Environment) -> Result<Written, ConfigError> {
    let path = find_file(file, env);
    let mut table = match &path {
        Some(path) => read_file(path)?,
        None => Table::new(),
    };
    override_by_environment(&mut table, env)?;
    let values = FileConfig::deserialize_from(table)?;
    Ok(Written { values, file: path })
}

/// The file that is read: the one that was asked for, or named by the environment, or found.
pub fn find_file(file: Option<&Path>, env: &Environment) -> Option<PathBuf> {
    if let Some(file) = file {
        return Some(file.to_owned());
    }
    if let Some(file) = env.get("UMBRELLA_CONFIG").filter(|f| !f.is_empty()) {
        return Some(PathBuf::from(file));
    }
    let usual = PathBuf::from(FILE_NAME);
    usual.exists().then_some(usual)
}

fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    let table: Table = toml::from_str(&text).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        message: syntax(&text, &error),
    })?;
    check_names_and_kinds(&table, &path.display().to_string())?;
    Ok(table)
}

/// What is wrong, and where. What the library says by itself shows the line, which may hold a secret.
fn syntax(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let Some(before) = before else {
        return error.message().to_owned();
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("line {line}, column {column}: {}", error.message())
}

fn check_names_and_kinds(table: &Table, origin: &str) -> Result<(), ConfigError> {
    for (section_name, value) in table {
        let Some(section) = SECTIONS.iter().find(|s| s.name == section_name) else {
            return Err(unknown(origin, section_name));
        };
        if let Some(key) = section.keys.iter().find(|key| key.is_section()) {
            check_kind(key, value).map_err(|problem| ConfigError::BadValue {
                origin: format!("{origin}: {section_name}"),
                problem,
            })?;
            continue;
        }
        let Some(entries) = value.as_table() else {
            return Err(ConfigError::BadValue {
                origin: format!("{origin}: {section_name}"),
                problem: format!("expected a section, written as [{section_name}]"),
            });
        };
        for (name, value) in entries {
            let written = format!("{section_name}.{name}");
            let Some(key) = section.keys.iter().find(|k| k.name == name) else {
                return Err(unknown(origin, &written));
            };
            check_kind(key, value).map_err(|problem| ConfigError::BadValue {
                origin: format!("{origin}: {written}"),
                problem,
            })?;
        }
    }
    Ok(())
}

fn check_kind(key: &Key, value: &Value) -> Result<(), String> {
    let fits = match key.kind {
        Kind::Tables(columns) => return check_tables(key, columns, value),
        Kind::Text => value.is_str(),
        Kind::Switch => value.is_bool(),
        Kind::Number => value.as_integer().is_some_and(|n| u32::try_from(n).is_ok()),
        Kind::List => value
            .as_array()
            .is_some_and(|a| a.iter().all(Value::is_str)),
        Kind::Pairs => value
            .as_table()
            .is_some_and(|t| t.values().all(Value::is_str)),
    };
    if fits {
        return Ok(());
    }
    Err(misfit(key, value))
}

/// The value itself is not shown: it may be a secret.
fn misfit(key: &Key, value: &Value) -> String {
    format!(
        "expected {}, found {}",
        key.kind.describe(),
        value.type_str()
    )
}

fn check_tables(key: &Key, columns: &[Column], value: &Value) -> Result<(), String> {
    let tables = value.as_array().ok_or_else(|| misfit(key, value))?;
    for (index, table) in tables.iter().enumerate() {
        let entry = index + 1;
        let table = table.as_table().ok_or_else(|| misfit(key, value))?;
        for (name, value) in table {
            let column = columns.iter().find(|column| column.name == name);
            let known: Vec<_> = columns.iter().map(|column| column.name).collect();
            let column = column.ok_or_else(|| {
                format!("entry {entry} has no `{name}`, but {}", known.join(", "))
            })?;
            let (fits, expected) = match column.kind {
                ColumnKind::Text => (value.is_str(), "a string in quotes"),
                ColumnKind::Switch => (value.is_bool(), "true or false"),
                ColumnKind::List => {
                    let array = value.as_array();
                    let strings = array.is_some_and(|a| a.iter().all(Value::is_str));
                    (strings, "a list of strings")
                }
            };
            if !fits {
                let found = value.type_str();
                return Err(format!(
                    "entry {entry}: expected {expected} as {name}, found {found}"
                ));
            }
        }
    }
    Ok(())
}

fn unknown(origin: &str, written: &str) -> ConfigError {
    let nearest = SECTIONS
        .iter()
        .flat_map(|s| s.keys.iter().map(move |k| format!("{}.{}", s.name, k.name)))
        .chain(SECTIONS.iter().map(|s| s.name.to_owned()))
        .map(|known| (distance(&known, written), known))
        .min();
    let hint = match nearest {
        Some((distance, known)) if distance <= 3 => format!(" (did you mean `{known}`?)"),
        _ => String::new(),
    };
    ConfigError::UnknownKey {
        origin: origin.to_owned(),
        key: written.to_owned(),
        hint,
    }
}

/// Levenshtein's edit distance, of short strings only.
fn distance(a: &str, b: &str) -> usize {
    if b.len() > 100 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn override_by_environment(table: &mut Table, env: &Environment) -> Result<(), ConfigError> {
    for section in SECTIONS {
        for key in section.keys {
            let Some(text) = env.get(key.env) else {
                continue;
            };
            let value = parse_variable(key.kind, text)
                .and_then(|value| check_kind(key, &value).map(|()| value))
                .map_err(|problem| ConfigError::BadValue {
                    origin: key.env.to_owned(),
                    problem,
                })?;
            if key.is_section() {
                table.insert(section.name.to_owned(), value);
                continue;
            }
            let entry = table
                .entry(section.name)
                .or_insert_with(|| Value::Table(Table::new()));
            if let Some(entries) = entry.as_table_mut() {
                entries.insert(key.name.to_owned(), value);
            }
        }
    }
    Ok(())
}

/// Variables that look like ours and mean nothing. They are no error: orchestrators set such
/// ones themselves for a service of this name.
pub fn unknown_variables(env: &Environment) -> Vec<String> {
    env.keys()
        .filter(|name| name.starts_with("UMBRELLA_"))
        .filter(|name| !OTHER_VARIABLES.contains(&name.as_str()))
        .filter(|name| {
            !SECTIONS
                .iter()
                .any(|s| s.keys.iter().any(|k| k.env == *name))
        })
        .cloned()
        .collect()
}

fn parse_variable(kind: Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Text => Ok(Value::String(text.trim().to_owned())),
        Kind::Switch => match text.trim().to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(Value::Boolean(true)),
            "" | "0" | "false" | "no" | "off" => Ok(Value::Boolean(false)),
            _ => Err(format!(
                "`{text}` is neither 1 nor 0; write 1 or true, 0 or false"
            )),
        },
        Kind::Number => text
            .trim()
            .parse::<u32>()
            .map(|number| Value::Integer(number.into()))
            .map_err(|_| format!("`{text}` is not a whole number, 0 or more")),
        Kind::List => Ok(Value::Array(
            text.split([',', ' ', '\n', '\t', '\r'])
                .filter(|item| !item.is_empty())
                .map(|item| Value::String(item.to_owned()))
                .collect(),
        )),
        Kind::Pairs => parse_pairs(text),
        Kind::Tables(_) => parse_tables(text),
    }
}

fn parse_tables(text: &str) -> Result<Value, String> {
    // What the library says of it may show a secret.
    let wrong = || "this is no list of tables; write [{ name = \"value\" }]".to_owned();
    let table: Table = toml::from_str(&format!("value = {text}")).map_err(|_| wrong())?;
    table.get("value").cloned().ok_or_else(wrong)
}

fn parse_pairs(text: &str) -> Result<Value, String> {
    let mut table = Table::new();
    for (index, item) in text
        .split([',', '\n'])
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .enumerate()
    {
        // Neither part is shown: what lacks a colon may be a secret.
        let (name, value) = item
            .split_once(':')
            .ok_or_else(|| format!("entry {} is not of the form `key: secret`", index + 1))?;
        table.insert(
            name.trim().to_owned(),
            Value::String(value.trim().to_owned()),
        );
    }
    Ok(Value::Table(table))
}

impl FileConfig {
    pub(super) fn deserialize_from(table: Table) -> Result<Self, ConfigError> {
        table
            .try_into()
            .map_err(|error: toml::de::Error| ConfigError::BadValue {
                origin: "configuration".to_owned(),
                problem: error.message().to_owned(),
            })
    }
}
