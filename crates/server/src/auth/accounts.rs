//! The admin: password, sessions, one-time links.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use argon2::Argon2;
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use rusqlite::OptionalExtension as _;
use tokio::sync::Semaphore;

use super::rate::{Limiter, Rate, TooMany};
use super::secret::{derive, hash, random_secret, same};
use crate::clock::unix_seconds;
use crate::store::{Store, StoreError, to_sql};

/// How long a one-time link can be used, in seconds.
const SETUP_CODE_LIFETIME_S: u64 = 15 * 60;

/// How long a session lasts, in seconds.
pub const SESSION_LIFETIME_S: u64 = 30 * 24 * 3600;

/// Sessions that are kept; the oldest go first.
const MAX_SESSIONS: i64 = 64;

/// Passwords that are hashed at a time: each takes 19 MiB and tens of milliseconds.
const CONCURRENT_HASHES: usize = 1;

const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 8..=1024;

const LOGINS_EACH: Rate = Rate {
    burst: 8.0,
    per_second: 1.0 / 15.0,
};
const LOGINS_ALL: Rate = Rate {
    burst: 60.0,
    per_second: 1.0,
};

/// Why the admin is not let in.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Wrong password, or none set.
    #[error("the password is wrong")]
    WrongPassword,
    /// The one-time link was used, is too old, or never existed.
    #[error(
        "this link has been used or is older than 15 minutes; `umbrella admin-link` prints a \
             new one"
    )]
    WrongCode,
    /// The new password cannot be used.
    #[error("a password has 8 to 1024 characters")]
    UnfitPassword,
    /// Too many attempts.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Hashing failed.
    #[error("the password cannot be hashed")]
    Hashing,
}

/// A session, as its cookie proves it.
#[derive(Clone)]
pub struct Session {
    token: String,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

impl Session {
    /// The cookie's value.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What a page of ours must send along to change something. It follows from the cookie, which
    /// other sites cannot read.
    pub fn csrf(&self) -> String {
        derive("csrf", &self.token)
    }

    /// Whether this is the session's own.
    pub fn csrf_matches(&self, given: &str) -> bool {
        same(&self.csrf(), given)
    }
}

/// The admin's account. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Accounts {
    store: Store,
    logins: Arc<Limiter>,
    setups: Arc<Limiter>,
    hashing: Arc<Semaphore>,
}

impl Accounts {
    /// An account kept in `store`.
    pub fn new(store: Store) -> Self {
        let now = Instant::now();
        Self {
            store,
            logins: Arc::new(Limiter::new(LOGINS_EACH, LOGINS_ALL, now)),
            setups: Arc::new(Limiter::new(LOGINS_EACH, LOGINS_ALL, now)),
            hashing: Arc::new(Semaphore::new(CONCURRENT_HASHES)),
        }
    }

    /// Whether a password has been set.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn password_set(&self) -> Result<bool, StoreError> {
        Ok(self.password_hash().await?.is_some())
    }

    /// A new code for a one-time link; earlier ones are worth nothing any more.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn new_setup_code(&self) -> Result<String, StoreError> {
        let code = random_secret();
        let hash = hash("setup", &code);
        let expires_at = to_sql(unix_seconds() + SETUP_CODE_LIFETIME_S);
        self.store
            .run(move |db| {
                db.execute("DELETE FROM setup_codes", [])?;
                db.execute(
                    "INSERT INTO setup_codes (hash, expires_at) VALUES (?1, ?2)",
                    rusqlite::params![hash, expires_at],
                )
            })
            .await?;
        Ok(code)
    }

    /// Sets the password with a one-time code, ends all sessions and starts a new one.
    ///
    /// # Errors
    ///
    /// If the code or the password will not do, or after too many attempts.
    pub async fn set_up(
        &self,
        code: &str,
        password: String,
        who: IpAddr,
    ) -> Result<Session, AccountError> {
        self.setups.attempt(who, Instant::now())?;
        if !PASSWORD_CHARS.contains(&password.chars().count()) {
            return Err(AccountError::UnfitPassword);
        }
        let code = hash("setup", code);
        if !self.setup_code_exists(code.clone()).await? {
            return Err(AccountError::WrongCode);
        }
        let password_hash = self.hash(password).await?;
        let now = to_sql(unix_seconds());
        let used = self
            .store
            .run(move |db| {
                // Of two who come with the same code at once, one gets in.
                let used = db.execute(
                    "DELETE FROM setup_codes WHERE hash = ?1 AND expires_at > ?2",
                    rusqlite::params![code, now],
                )?;
                if used == 0 {
                    return Ok(false);
                }
                db.execute("DELETE FROM sessions", [])?;
                db.execute(
                    "INSERT INTO admin (id, password_hash, changed_at) VALUES (1, ?1, ?2)
                     ON CONFLICT (id) DO UPDATE SET password_hash = ?1, changed_at = ?2",
                    rusqlite::params![password_hash, now],
                )?;
                Ok(true)
            })
            .await?;
        if !used {
            return Err(AccountError::WrongCode);
        }
        self.setups.refund(who);
        Ok(self.start_session().await?)
    }

    /// Signs in.
    ///
    /// # Errors
    ///
    /// If the password is wrong, or after too many attempts.
    pub async fn log_in(&self, password: String, who: IpAddr) -> Result<Session, AccountError> {
        self.logins.attempt(who, Instant::now())?;
        if password.chars().count() > *PASSWORD_CHARS.end() {
            return Err(AccountError::WrongPassword);
        }
        let kept = self
            .password_hash()
            .await?
            .ok_or(AccountError::WrongPassword)?;
        if !self.verify(password, kept).await? {
            return Err(AccountError::WrongPassword);
        }
        self.logins.refund(who);
        Ok(self.start_session().await?)
    }

    /// The session of a cookie, if it is one.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn session(&self, token: &str) -> Result<Option<Session>, StoreError> {
        // Nothing that we gave out is longer; nothing else is worth a query.
        if token.is_empty() || token.len() > 64 {
            return Ok(None);
        }
        let hash = hash("session", token);
        let now = to_sql(unix_seconds());
        let found = self
            .store
            .run(move |db| {
                db.query_row(
                    "SELECT 1 FROM sessions WHERE hash = ?1 AND expires_at > ?2",
                    rusqlite::params![hash, now],
                    |_| Ok(()),
                )
                .optional()
            })
            .await?;
        Ok(found.map(|()| Session {
            token: token.to_owned(),
        }))
    }

    /// Ends a session.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn log_out(&self, session: &Session) -> Result<(), StoreError> {
        let hash = hash("session", session.token());
        self.store
            .run(move |db| db.execute("DELETE FROM sessions WHERE hash = ?1", [hash]))
            .await?;
        Ok(())
    }

    async fn start_session(&self) -> Result<Session, StoreError> {
        let token = random_secret();
        let hash = hash("session", &token);
        let now = unix_seconds();
        self.store
            .run(move |db| {
                let (now, end) = (to_sql(now), to_sql(now + SESSION_LIFETIME_S));
                db.execute("DELETE FROM sessions WHERE expires_at <= ?1", [now])?;
                db.execute(
                    "INSERT INTO sessions (hash, created_at, expires_at) VALUES (?1, ?2, ?3)",
                    rusqlite::params![hash, now, end],
                )?;
                db.execute(
                    "DELETE FROM sessions WHERE rowid NOT IN
                     (SELECT rowid FROM sessions ORDER BY rowid DESC LIMIT ?1)",
                    [MAX_SESSIONS],
                )
            })
            .await?;
        Ok(Session { token })
    }

    async fn setup_code_exists(&self, hash: Vec<u8>) -> Result<bool, StoreError> {
        let now = to_sql(unix_seconds());
        self.store
            .run(move |db| {
                db.query_row(
                    "SELECT EXISTS (SELECT 1 FROM setup_codes WHERE hash = ?1 AND expires_at > ?2)",
                    rusqlite::params![hash, now],
                    |row| row.get(0),
                )
            })
            .await
    }

    async fn password_hash(&self) -> Result<Option<String>, StoreError> {
        self.store
            .run(|db| {
                db.query_row("SELECT password_hash FROM admin", [], |row| row.get(0))
                    .optional()
            })
            .await
    }

    async fn hash(&self, password: String) -> Result<String, AccountError> {
        self.hashing_thread(move || {
            let salt = SaltString::generate(&mut OsRng);
            Argon2::default()
                .hash_password(password.as_bytes(), &salt)
                .map(|hash| hash.to_string())
                .map_err(|_| AccountError::Hashing)
        })
        .await
    }

    async fn verify(&self, password: String, kept: String) -> Result<bool, AccountError> {
        self.hashing_thread(move || {
            let kept = PasswordHash::new(&kept).map_err(|_| AccountError::Hashing)?;
            Ok(Argon2::default()
                .verify_password(password.as_bytes(), &kept)
                .is_ok())
        })
        .await
    }

    async fn hashing_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, AccountError> + Send + 'static,
    ) -> Result<T, AccountError> {
        let hashing = Arc::clone(&self.hashing);
        let permit = hashing
            .acquire_owned()
            .await
            .map_err(|_| AccountError::Hashing)?;
        // A thread that ends afterwards: with glibc's allocator each of the 19 MiB that are taken here stays with a
        // thread that goes on, be it one of a pool or always the same. The permit goes along: an impatient
        // client does not free it before the work is done.
        let (done, result) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name("hashing".to_owned())
            .spawn(move || {
                let worked = work();
                drop(permit);
                // Whoever has gone does not want to know.
                let _ = done.send(worked);
            })
            .map_err(|_| AccountError::Hashing)?;
        result.await.map_err(|_| AccountError::Hashing)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DataDir;

    const WHO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn accounts(dir: &tempfile::TempDir) -> Accounts {
        let dir = DataDir::claim(dir.path()).unwrap();
        Accounts::new(Store::open(&dir).unwrap())
    }

    #[tokio::test]
    async fn a_link_sets_the_password_once() {
        let dir = tempfile::tempdir().unwrap();
        let a = accounts(&dir);
        assert!(!a.password_set().await.unwrap());
        let old = a.new_setup_code().await.unwrap();
        let code = a.new_setup_code().await.unwrap();
        let refused = a.set_up(&old, "long enough".into(), WHO).await.unwrap_err();
        assert!(matches!(refused, AccountError::WrongCode));
        let refused = a.set_up(&code, "short".into(), WHO).await.unwrap_err();
        assert!(matches!(refused, AccountError::UnfitPassword));
        a.set_up(&code, "long enough".into(), WHO).await.unwrap();
        let refused = a
            .set_up(&code, "another one".into(), WHO)
            .await
            .unwrap_err();
        assert!(matches!(refused, AccountError::WrongCode));
        assert!(a.log_in("another one".into(), WHO).await.is_err());
        a.log_in("long enough".into(), WHO).await.unwrap();
    }

    #[tokio::test]
    async fn a_session_lasts_until_it_is_ended_or_the_password_changes() {
        let dir = tempfile::tempdir().unwrap();
        let a = accounts(&dir);
        let code = a.new_setup_code().await.unwrap();
        let first = a.set_up(&code, "long enough".into(), WHO).await.unwrap();
        let second = a.log_in("long enough".into(), WHO).await.unwrap();
        assert!(a.session(first.token()).await.unwrap().is_some());
        a.log_out(&first).await.unwrap();
        assert!(a.session(first.token()).await.unwrap().is_none());
        assert!(a.session(second.token()).await.unwrap().is_some());
        let code = a.new_setup_code().await.unwrap();
        a.set_up(&code, "long enough too".into(), WHO)
            .await
            .unwrap();
        assert!(a.session(second.token()).await.unwrap().is_none());
        for rubbish in ["", "x", &"y".repeat(1000)] {
            assert!(a.session(rubbish).await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn the_csrf_token_belongs_to_one_session() {
        let dir = tempfile::tempdir().unwrap();
        let a = accounts(&dir);
        let code = a.new_setup_code().await.unwrap();
        let first = a.set_up(&code, "long enough".into(), WHO).await.unwrap();
        let second = a.log_in("long enough".into(), WHO).await.unwrap();
        assert!(first.csrf_matches(&first.csrf()));
        assert!(!first.csrf_matches(&second.csrf()) && !first.csrf_matches(""));
    }

    #[tokio::test]
    async fn guessing_the_password_comes_to_a_halt() {
        let dir = tempfile::tempdir().unwrap();
        let a = accounts(&dir);
        let mut last = None;
        for _ in 0..20 {
            last = a.log_in("wrong guess".into(), WHO).await.err();
        }
        assert!(matches!(last, Some(AccountError::TooMany(_))), "{last:?}");
    }
}
