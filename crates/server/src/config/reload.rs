//! A configuration that changes while the server runs.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use toml::{Table, Value};

use super::file::FileConfig;
use super::keys::{Effect, Key, SECTIONS, Section};
use super::read::{self, Written};
use super::{Config, ConfigError, Environment, parse};

/// What a configuration was made of. It holds secrets, and shows nothing.
#[derive(Clone)]
pub(super) struct Source(pub(super) FileConfig);

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source(…)")
    }
}

/// The configuration of a running server as it is now. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Live(Arc<RwLock<Arc<Config>>>);

impl Live {
    /// Begins with this one.
    pub fn new(config: Config) -> Live {
        Live(Arc::new(RwLock::new(Arc::new(config))))
    }

    /// As it is now.
    pub fn now(&self) -> Arc<Config> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on it is this one.
    pub fn replace(&self, config: Config) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }
}

/// A configuration that was read again.
#[derive(Debug)]
pub struct Reloaded {
    /// The new one, with what needs a restart as it was.
    pub config: Config,
    /// Keys that have changed and count from now on.
    pub changed: Vec<String>,
    /// Keys that have changed and count only after a restart.
    pub restart: Vec<String>,
}

impl Config {
    /// Reads the configuration again. `self` is what the server has been running with.
    ///
    /// # Errors
    ///
    /// As those of [`Config::load`], or if what has changed does not go with what needs a restart.
    pub fn reload(&self, file: Option<&Path>, env: &Environment) -> Result<Reloaded, ConfigError> {
        let Written { values, file } = read::read(file, env)?;
        let (before, mut table) = (table_of(&self.written.0), table_of(&values));
        // Whatever is wrong with it as a whole is reported, also of keys that do not count yet.
        let wanted = Written {
            values,
            file: file.clone(),
        };
        parse::check(wanted, env)?;
        let (mut changed, mut restart) = (Vec::new(), Vec::new());
        for section in SECTIONS {
            for key in section.keys {
                let old = value(&before, section, key);
                if old == value(&table, section, key) {
                    continue;
                }
                match key.effect {
                    Effect::Reload | Effect::NewRooms | Effect::NewClients => {
                        changed.push(name(section, key));
                    }
                    Effect::Restart => {
                        restart.push(name(section, key));
                        keep(&mut table, section, key, old.cloned());
                    }
                }
            }
        }
        let values = FileConfig::deserialize_from(table)?;
        let config = parse::check(Written { values, file }, env)?;
        self.check_webhooks(&config)?;
        Ok(Reloaded {
            config,
            changed,
            restart,
        })
    }

    /// What signs webhooks is told once: taking it away would lose every event.
    fn check_webhooks(&self, new: &Config) -> Result<(), ConfigError> {
        let signs = &self.webhook.api_key;
        let has = |config: &Config| config.keys.iter().any(|key| key.key == *signs);
        if self.webhook.urls.is_empty() || !has(self) || has(new) {
            return Ok(());
        }
        Err(ConfigError::BadValue {
            origin: "auth.keys".to_owned(),
            problem: format!(
                "`{signs}` signs webhooks and cannot be taken away by a reload; change \
                 webhook.api_key and restart"
            ),
        })
    }
}

fn table_of(values: &FileConfig) -> Table {
    // Plain data of ours; a test sees to it that this works.
    Table::try_from(values).unwrap_or_default()
}

fn name(section: &Section, key: &Key) -> String {
    match key.is_section() {
        true => section.name.to_owned(),
        false => format!("{}.{}", section.name, key.name),
    }
}

fn value<'a>(table: &'a Table, section: &Section, key: &Key) -> Option<&'a Value> {
    let section = table.get(section.name)?;
    match key.is_section() {
        true => Some(section),
        false => section.get(key.name),
    }
}

fn keep(table: &mut Table, section: &Section, key: &Key, old: Option<Value>) {
    let Some(old) = old else {
        return;
    };
    if key.is_section() {
        table.insert(section.name.to_owned(), old);
    } else if let Some(Value::Table(entries)) = table.get_mut(section.name) {
        entries.insert(key.name.to_owned(), old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    struct Case {
        dir: tempfile::TempDir,
        env: Environment,
    }

    impl Case {
        fn new(text: &str) -> (Case, Config) {
            let dir = tempfile::tempdir().unwrap();
            let env = [("HOME", "/home/somebody"), ("UMBRELLA_LIMIT_ROOMS", "7")];
            let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let case = Case {
                dir,
                env: env.into(),
            };
            let file = case.write(text);
            let config = Config::load(Some(&file), &case.env).unwrap();
            (case, config)
        }

        fn write(&self, text: &str) -> std::path::PathBuf {
            let file = self.dir.path().join("umbrella.toml");
            std::fs::write(&file, text).unwrap();
            file
        }

        fn reload(&self, config: &Config, text: &str) -> Result<Reloaded, String> {
            let file = self.write(text);
            let reloaded = config.reload(Some(&file), &self.env);
            reloaded.map_err(|error| error.to_string())
        }
    }

    #[test]
    fn a_port_that_needs_a_restart_is_taken_for_the_new_one() {
        let (case, config) = Case::new("[http]\nlisten = \":8081\"\n[server]\nname = \"Hut\"\n");
        let new = "[http]\nlisten = \":9000\"\nprefix = \"/u\"\n[server]\nname = \"House\"\n";
        let reloaded = case.reload(&config, new).unwrap();
        assert_eq!(reloaded.changed, ["server.name"]);
        assert_eq!(reloaded.restart, ["http.listen", "http.prefix"]);
        assert_eq!(reloaded.config.name, "House");
        assert_eq!(reloaded.config.http.listen.port(), 8081);
        // Again, it is still to come; and taken back, nothing is.
        let again = case.reload(&reloaded.config, new).unwrap();
        assert!(again.changed.is_empty());
        assert_eq!(again.restart, ["http.listen", "http.prefix"]);
        let back = case
            .reload(&again.config, "[server]\nname = \"House\"\n")
            .unwrap();
        assert!(back.changed.is_empty() && back.restart.is_empty());
    }

    #[test]
    fn a_variable_loses_against_the_file() {
        let (case, config) = Case::new("");
        let reloaded = case.reload(&config, "[limits]\nrooms = 9\n").unwrap();
        assert!(reloaded.changed.is_empty(), "{:?}", reloaded.changed);
        assert_eq!(reloaded.config.limits.rooms, 7);
    }

    #[test]
    fn a_mistake_in_a_key_that_needs_a_restart_is_found_at_the_restart() {
        let (case, config) = Case::new("");
        for (wrong, named) in [
            ("[http]\nlisten = \"nowhere\"\n", "http.listen"),
            ("[http]\nlisten\n", "not valid TOML"),
            ("[htp]\n", "htp"),
            ("[auth]\nkeys = { a = \"short\" }\n", "auth.keys"),
        ] {
            let why = case.reload(&config, wrong).unwrap_err();
            assert!(why.contains(named), "{why}");
        }
    }

    #[test]
    fn lists_of_tables_are_not_compared() {
        let (case, config) = Case::new("");
        let camera = "[[camera]]\nname = \"Gate\"\nroom = \"Yard\"\nurl = \"rtsp://cam/1\"\n";
        let text = format!("{camera}[auth]\nkeys = {{ a = \"{SECRET}\" }}\n");
        let reloaded = case.reload(&config, &text).unwrap();
        assert_eq!(reloaded.changed, ["auth.keys", "camera"]);
        assert!(reloaded.restart.is_empty());
        assert_eq!(reloaded.config.cameras.len(), 1);
        let again = case.reload(&reloaded.config, &text).unwrap();
        assert!(again.changed.is_empty());
    }

    #[test]
    fn webhooks_are_signed_by_a_key_that_is_gone() {
        let hook = "[webhook]\nurls = [\"http://127.0.0.1/\"]\n";
        let with = |key: &str| format!("{hook}[auth]\nkeys = {{ {key} = \"{SECRET}\" }}\n");
        let (case, config) = Case::new(&with("a"));
        let why = case.reload(&config, &with("b")).unwrap_err();
        assert!(why.contains("`a` signs webhooks"), "{why}");
        // Its secret may change.
        let other = with("a").replace(SECRET, "fedcba9876543210");
        case.reload(&config, &other).unwrap();
    }

    #[test]
    fn secrets_are_shown() {
        let text =
            format!("[auth]\nkeys = {{ a = \"{SECRET}\" }}\n[metrics]\ntoken = \"{SECRET}\"\n");
        let (case, config) = Case::new(&text);
        let reloaded = case.reload(&config, &text).unwrap();
        let shown = format!("{config:?} {reloaded:?} {:?}", Live::new(config.clone()));
        assert!(!shown.contains(SECRET), "{shown}");
        // Also not by the line that has a mistake.
        let mistake = format!("[server]\n[auth]\nkeys = {{ a = \"{SECRET}\" b }}\n");
        let why = case.reload(&config, &mistake).unwrap_err();
        assert!(
            why.contains("line 3, column") && !why.contains(SECRET),
            "{why}"
        );
    }
}
