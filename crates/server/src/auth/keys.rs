//! API keys: those of the configuration, those made on the page, and the server's own.

use std::sync::{Arc, PoisonError, RwLock};

use rusqlite::{OptionalExtension as _, params};

use super::secret::{random_secret, random_text};
use super::{Authority, INTERNAL_KEY_PREFIX};
use crate::clock::unix_seconds;
use crate::config::ConfiguredKey;
use crate::http::api::ApiKey;
use crate::store::{Store, StoreError, from_sql, to_sql};

/// Keys that are kept at most.
const MAX_KEYS: i64 = 1000;

/// Why a key cannot be made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no such key.
    #[error("there is no such key")]
    NotFound,
    /// It comes from the configuration.
    #[error("this key comes from the configuration and can only be removed there")]
    Configured,
    /// Too many.
    #[error("there are too many keys; revoke some")]
    TooMany,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All API keys. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Keys {
    store: Store,
    authority: Arc<Authority>,
    configured: Arc<RwLock<Arc<[ConfiguredKey]>>>,
}

impl Keys {
    /// Reads the keys that are kept, and makes the server's own on the first start.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn load(store: Store, configured: &[ConfiguredKey]) -> Result<Self, StoreError> {
        let fresh = random_secret();
        let now = to_sql(unix_seconds());
        let (own, made) = store
            .run(move |db| {
                db.execute(
                    "INSERT INTO server (id, signing_secret, created_at) VALUES (1, ?1, ?2)
                     ON CONFLICT (id) DO NOTHING",
                    params![fresh, now],
                )?;
                let own: String =
                    db.query_row("SELECT signing_secret FROM server", [], |r| r.get(0))?;
                Ok((own, made(db)?))
            })
            .await?;
        let internal = ConfiguredKey {
            key: format!("{INTERNAL_KEY_PREFIX}page"),
            secret: own,
        };
        let authority = Authority::new(&internal, &made);
        for key in configured {
            authority.add(key);
        }
        Ok(Self {
            store,
            authority: Arc::new(authority),
            configured: Arc::new(RwLock::new(configured.into())),
        })
    }

    /// Takes the keys of a new configuration. Tokens of keys that are gone let nobody in from now on;
    /// who is in stays in.
    ///
    /// # Errors
    ///
    /// If the database fails; nothing has changed then.
    pub async fn configure(&self, configured: &[ConfiguredKey]) -> Result<(), StoreError> {
        let made = self.store.run(made).await?;
        let before = {
            let now = self.configured.write();
            let mut now = now.unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *now, configured.into())
        };
        for key in configured {
            self.authority.add(key);
        }
        let is_gone = |key: &&ConfiguredKey| configured.iter().all(|new| new.key != key.key);
        for key in before.iter().filter(is_gone) {
            // One of the page that it had covered is there again.
            match made.iter().find(|made| made.key == key.key) {
                Some(made) => self.authority.add(made),
                None => self.authority.remove(&key.key),
            }
        }
        Ok(())
    }

    fn configured(&self) -> Arc<[ConfiguredKey]> {
        Arc::clone(
            &self
                .configured
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// What verifies and issues tokens with these keys.
    pub fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// Every key, those of the configuration first, then the newest.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        let made: Vec<ApiKey> = self
            .store
            .run(|db| {
                let mut statement = db.prepare_cached(
                    "SELECT key, note, created_at FROM api_keys ORDER BY created_at DESC, rowid DESC",
                )?;
                let rows = statement.query_map([], |row| {
                    Ok(ApiKey {
                        key: row.get(0)?,
                        note: row.get(1)?,
                        created_at: from_sql(row.get(2)?),
                        configured: false,
                    })
                })?;
                rows.collect()
            })
            .await?;
        let of_file = self.configured();
        let configured = of_file.iter().map(|key| ApiKey {
            key: key.key.clone(),
            note: String::new(),
            created_at: 0,
            configured: true,
        });
        // A key that is in both is the configured one.
        let made = made.into_iter().filter(|key| !self.is_configured(&key.key));
        Ok(configured.chain(made).collect())
    }

    /// Makes a key; the second is its secret.
    ///
    /// # Errors
    ///
    /// If there are too many, or the database fails.
    pub async fn create(&self, note: String) -> Result<(ApiKey, String), KeyError> {
        let key = ApiKey {
            key: format!("API{}", random_text(9).replace(['-', '_'], "x")),
            note,
            created_at: unix_seconds(),
            configured: false,
        };
        let secret = random_secret();
        let (kept, kept_secret) = (key.clone(), secret.clone());
        let made = self
            .store
            .run(move |db| {
                let count: i64 = db.query_row("SELECT count(*) FROM api_keys", [], |r| r.get(0))?;
                if count >= MAX_KEYS {
                    return Ok(false);
                }
                db.execute(
                    "INSERT INTO api_keys (key, secret, note, created_at) VALUES (?1, ?2, ?3, ?4)",
                    params![kept.key, kept_secret, kept.note, to_sql(kept.created_at)],
                )?;
                Ok(true)
            })
            .await?;
        if !made {
            return Err(KeyError::TooMany);
        }
        self.authority.add(&ConfiguredKey {
            key: key.key.clone(),
            secret: secret.clone(),
        });
        Ok((key, secret))
    }

    /// Revokes a key: its tokens let nobody in from now on. Who is in stays in.
    ///
    /// # Errors
    ///
    /// If it does not exist or comes from the configuration.
    pub async fn revoke(&self, key: &str) -> Result<(), KeyError> {
        if self.is_configured(key) {
            return Err(KeyError::Configured);
        }
        let name = key.to_owned();
        let gone = self
            .store
            .run(move |db| db.execute("DELETE FROM api_keys WHERE key = ?1", [name]))
            .await?;
        if gone == 0 {
            return Err(KeyError::NotFound);
        }
        self.authority.remove(key);
        Ok(())
    }

    /// The key to sign with when nobody says which: the first configured one, or the newest made
    /// on the page.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn preferred(&self) -> Result<Option<String>, StoreError> {
        if let Some(first) = self.configured().first() {
            return Ok(Some(first.key.clone()));
        }
        self.store
            .run(|db| {
                db.query_row(
                    "SELECT key FROM api_keys ORDER BY created_at DESC, rowid DESC LIMIT 1",
                    [],
                    |row| row.get(0),
                )
                .optional()
            })
            .await
    }

    fn is_configured(&self, key: &str) -> bool {
        self.configured().iter().any(|k| k.key == key)
    }
}

/// Those that were made on the page.
fn made(db: &rusqlite::Transaction<'_>) -> rusqlite::Result<Vec<ConfiguredKey>> {
    let mut statement = db.prepare("SELECT key, secret FROM api_keys")?;
    let rows = statement.query_map([], |row| {
        Ok(ConfiguredKey {
            key: row.get(0)?,
            secret: row.get(1)?,
        })
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Claims, TokenError};
    use crate::store::DataDir;

    fn store(dir: &tempfile::TempDir) -> Store {
        Store::open(&DataDir::claim(dir.path()).unwrap()).unwrap()
    }

    fn claims(key: &str) -> Claims {
        Claims {
            iss: key.to_owned(),
            exp: unix_seconds() + 60,
            ..Claims::default()
        }
    }

    #[tokio::test]
    async fn a_key_works_until_it_is_revoked_and_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let keys = Keys::load(store.clone(), &[]).await.unwrap();
        assert_eq!(keys.preferred().await.unwrap(), None);
        let (key, secret) = keys.create("for the bot".into()).await.unwrap();
        assert_eq!(keys.preferred().await.unwrap(), Some(key.key.clone()));
        assert_eq!(secret.len(), 43);
        let token = keys.authority().issue(claims(&key.key)).unwrap();
        let again = Keys::load(store, &[]).await.unwrap();
        again.authority().verify(&token).unwrap();
        again.revoke(&key.key).await.unwrap();
        assert_eq!(
            again.authority().verify(&token).unwrap_err(),
            TokenError::UnknownKey
        );
        assert!(matches!(
            again.revoke(&key.key).await,
            Err(KeyError::NotFound)
        ));
    }

    #[tokio::test]
    async fn a_key_that_is_taken_away_goes_on_letting_in() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::load(store(&dir), &[]).await.unwrap();
        let (made, _) = keys.create("of the page".into()).await.unwrap();
        let key = |key: &str, secret: &str| ConfiguredKey {
            key: key.into(),
            secret: secret.into(),
        };
        let covering = key(&made.key, "another secret of it");
        let own = keys.authority().issue(claims(&made.key)).unwrap();
        let one = key("one", "0123456789abcdef");
        keys.configure(&[one, covering]).await.unwrap();
        assert!(keys.authority().verify(&own).is_err());
        let token = keys.authority().issue(claims("one")).unwrap();
        let other = key("two", "fedcba9876543210");
        keys.configure(&[other]).await.unwrap();
        let gone = keys.authority().verify(&token).unwrap_err();
        assert_eq!(gone, TokenError::UnknownKey);
        keys.authority().issue(claims("two")).unwrap();
        assert_eq!(keys.preferred().await.unwrap().as_deref(), Some("two"));
        keys.authority().verify(&own).unwrap();
        let listed: Vec<_> = keys.list().await.unwrap();
        let listed = listed.iter().map(|key| (key.key.as_str(), key.configured));
        let wanted = [("two", true), (made.key.as_str(), false)];
        assert_eq!(listed.collect::<Vec<_>>(), wanted);
    }

    #[tokio::test]
    async fn tokens_of_the_page_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let keys = Keys::load(store.clone(), &[]).await.unwrap();
        let token = keys.authority().issue(claims("")).unwrap();
        let again = Keys::load(store, &[]).await.unwrap();
        again.authority().verify(&token).unwrap();
    }

    #[tokio::test]
    async fn a_configured_key_cannot_be_revoked_on_the_page() {
        let dir = tempfile::tempdir().unwrap();
        let configured = ConfiguredKey {
            key: "dev".into(),
            secret: "0123456789abcdef".into(),
        };
        let keys = Keys::load(store(&dir), &[configured]).await.unwrap();
        assert!(matches!(
            keys.revoke("dev").await,
            Err(KeyError::Configured)
        ));
        assert!(keys.list().await.unwrap()[0].configured);
        assert!(matches!(
            keys.revoke("umbrella-page").await,
            Err(KeyError::NotFound)
        ));
    }
}
