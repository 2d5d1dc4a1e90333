//! Invite links: whoever has one may join a room under a name of their own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::types::Type;
use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::rate::{Limiter, Rate, TooMany};
use super::secret::{hash, random_secret, random_text};
use super::{Bearer, Claims, Grants, OwnClaims};
use crate::clock::unix_seconds;
use crate::http::api::{Invite, Role};
use crate::store::{Store, StoreError, from_sql, to_sql};

/// How long the token of a guest can be used to come in, in seconds. Whoever is in gets fresh
/// ones.
const GUEST_TOKEN_LIFETIME_S: u64 = 3600;

/// Invites that are kept at most.
const MAX_INVITES: i64 = 10_000;

const TRIES_EACH: Rate = Rate {
    burst: 30.0,
    per_second: 0.5,
};
const TRIES_ALL: Rate = Rate {
    burst: 300.0,
    per_second: 20.0,
};

/// Why an invite does not let somebody in.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// Never made, or revoked.
    #[error("this invite link does not exist or has been revoked")]
    NotFound,
    /// Too old.
    #[error("this invite link has expired")]
    Expired,
    /// As many as may have come.
    #[error("this invite link has been used up")]
    UsedUp,
    /// Too many invites exist.
    #[error("there are too many invites; revoke some")]
    TooManyInvites,
    /// Too many attempts.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a new invite is to allow.
#[derive(Debug, Clone)]
pub struct NewInvite {
    /// The room.
    pub room: String,
    /// What it allows.
    pub role: Role,
    /// Seconds from now; `None` is never.
    pub expires_in_s: Option<u64>,
    /// How many may join; `None` is unbounded.
    pub uses: Option<u32>,
    /// The cameras that are seen, by identity; `None` is all.
    pub cameras: Option<Vec<String>>,
}

/// All invites. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Invites {
    store: Store,
    tries: Arc<Limiter>,
}

const COLUMNS: &str = "id, room, role, expires_at, allowed, created_at,
    (SELECT count(*) FROM invite_uses WHERE invite = invites.id), cameras";

impl Invites {
    /// Invites kept in `store`.
    pub fn new(store: Store) -> Self {
        let tries = Limiter::new(TRIES_EACH, TRIES_ALL, Instant::now());
        Self {
            store,
            tries: Arc::new(tries),
        }
    }

    /// Every invite, newest first, expired ones too.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn list(&self) -> Result<Vec<Invite>, StoreError> {
        self.store
            .run(|db| {
                let sql =
                    format!("SELECT {COLUMNS} FROM invites ORDER BY created_at DESC, rowid DESC");
                let mut statement = db.prepare_cached(&sql)?;
                let rows = statement.query_map([], read)?;
                rows.collect()
            })
            .await
    }

    /// Makes an invite; the second is its secret.
    ///
    /// # Errors
    ///
    /// If there are too many, or the database fails.
    pub async fn create(&self, new: NewInvite) -> Result<(Invite, String), InviteError> {
        let secret = random_secret();
        let hash = hash("invite", &secret);
        let now = unix_seconds();
        let invite = Invite {
            id: random_text(9),
            room: new.room,
            role: new.role,
            expires_at: new.expires_in_s.map(|seconds| now.saturating_add(seconds)),
            uses_left: new.uses,
            uses: 0,
            cameras: new.cameras,
            created_at: now,
        };
        let kept = invite.clone();
        let cameras = kept
            .cameras
            .as_ref()
            .map(|ids| serde_json::json!(ids).to_string());
        let made = self
            .store
            .run(move |db| {
                let count: i64 = db.query_row("SELECT count(*) FROM invites", [], |r| r.get(0))?;
                if count >= MAX_INVITES {
                    return Ok(false);
                }
                db.execute(
                    "INSERT INTO invites
                     (id, hash, room, role, expires_at, allowed, created_at, cameras)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    params![
                        kept.id,
                        hash,
                        kept.room,
                        word(kept.role),
                        kept.expires_at.map(to_sql),
                        kept.uses_left,
                        to_sql(kept.created_at),
                        cameras,
                    ],
                )?;
                Ok(true)
            })
            .await?;
        if !made {
            return Err(InviteError::TooManyInvites);
        }
        Ok((invite, secret))
    }

    /// Revokes an invite. Whoever is in stays in. False if there is no such invite.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn revoke(&self, id: String) -> Result<bool, StoreError> {
        let gone = self
            .store
            .run(move |db| db.execute("DELETE FROM invites WHERE id = ?1", [id]))
            .await?;
        Ok(gone > 0)
    }

    /// Revokes all invites to a room.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn revoke_room(&self, room: String) -> Result<(), StoreError> {
        self.store
            .run(move |db| db.execute("DELETE FROM invites WHERE room = ?1", [room]))
            .await?;
        Ok(())
    }

    /// What an invite would allow somebody who knows its secret.
    ///
    /// # Errors
    ///
    /// If it does not exist or has expired, or after too many attempts. One that is used up is
    /// shown: who has used it before may come back.
    pub async fn look(&self, secret: &str, who: IpAddr) -> Result<Invite, InviteError> {
        self.tries.attempt(who, Instant::now())?;
        let hash = hash("invite", secret);
        let found = self.store.run(move |db| find(db, &hash)).await?;
        let invite = usable(found)?;
        self.tries.refund(who);
        Ok(invite)
    }

    /// Uses an invite: what a token for `name` is to say. A `client_id` is counted once however
    /// often it comes, and always gets the same identity.
    ///
    /// # Errors
    ///
    /// If the invite does not allow it (any more), or after too many attempts.
    pub async fn join(
        &self,
        secret: &str,
        name: &str,
        client_id: &str,
        who: IpAddr,
    ) -> Result<Claims, InviteError> {
        self.tries.attempt(who, Instant::now())?;
        let hash_of_secret = hash("invite", secret);
        let client = client_id.to_owned();
        let used = self
            .store
            .run(move |db| {
                let found = find(db, &hash_of_secret)?;
                Ok(match usable(found) {
                    Ok(invite) => use_once(db, &invite, &client)?.map(|()| invite),
                    Err(refusal) => Err(refusal),
                })
            })
            .await?;
        let invite = used?;
        self.tries.refund(who);
        Ok(guest_claims(&invite, name, client_id))
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Invite> {
    let allowed: Option<u32> = row.get(4)?;
    let uses: u32 = row.get(6)?;
    Ok(Invite {
        id: row.get(0)?,
        room: row.get(1)?,
        role: role(&row.get::<_, String>(2)?)?,
        expires_at: row.get::<_, Option<i64>>(3)?.map(from_sql),
        uses_left: allowed.map(|allowed| allowed.saturating_sub(uses)),
        uses,
        cameras: row
            .get::<_, Option<String>>(7)?
            .map(|text| cameras(&text))
            .transpose()?,
        created_at: from_sql(row.get(5)?),
    })
}

fn find(db: &Transaction<'_>, hash: &[u8]) -> rusqlite::Result<Option<Invite>> {
    let sql = format!("SELECT {COLUMNS} FROM invites WHERE hash = ?1");
    db.query_row(&sql, [hash], read).optional()
}

fn usable(found: Option<Invite>) -> Result<Invite, InviteError> {
    let invite = found.ok_or(InviteError::NotFound)?;
    if invite.expires_at.is_some_and(|end| end <= unix_seconds()) {
        return Err(InviteError::Expired);
    }
    Ok(invite)
}

fn use_once(
    db: &Transaction<'_>,
    invite: &Invite,
    client_id: &str,
) -> rusqlite::Result<Result<(), InviteError>> {
    let client = hash("guest", client_id);
    let known: bool = db.query_row(
        "SELECT EXISTS (SELECT 1 FROM invite_uses WHERE invite = ?1 AND client = ?2)",
        params![invite.id, client],
        |row| row.get(0),
    )?;
    if known {
        return Ok(Ok(()));
    }
    if invite.uses_left == Some(0) {
        return Ok(Err(InviteError::UsedUp));
    }
    db.execute(
        "INSERT INTO invite_uses (invite, client, used_at) VALUES (?1, ?2, ?3)",
        params![invite.id, client, to_sql(unix_seconds())],
    )?;
    Ok(Ok(()))
}

fn guest_claims(invite: &Invite, name: &str, client_id: &str) -> Claims {
    Claims {
        sub: stable_identity(Bearer::Guest.word(), &invite.id, client_id),
        exp: unix_seconds() + GUEST_TOKEN_LIFETIME_S,
        name: name.to_owned(),
        attributes: role_attribute(invite.role),
        video: room_grants(&invite.room, invite.role),
        umbrella: invite.cameras.clone().map(|cameras| OwnClaims {
            cameras: Some(cameras),
        }),
        ..Claims::default()
    }
}

/// What a person on the page may do in a room. Who may only watch can still chat.
pub fn room_grants(room: &str, role: Role) -> Grants {
    Grants {
        room_join: true,
        room: room.to_owned(),
        room_admin: role == Role::Moderate,
        can_publish: Some(role != Role::Watch),
        can_subscribe: Some(true),
        can_publish_data: Some(true),
        ..Grants::default()
    }
}

/// Tells everybody in the room what somebody's role is, so that the page shows who moderates.
/// Guests cannot change it. It only informs: what counts are the grants.
pub fn role_attribute(role: Role) -> BTreeMap<String, String> {
    BTreeMap::from([("umbrella.role".to_owned(), word(role).to_owned())])
}

/// A role as it is kept.
fn word(role: Role) -> &'static str {
    match role {
        Role::Watch => "watch",
        Role::Talk => "talk",
        Role::Moderate => "moderate",
    }
}

fn role(text: &str) -> rusqlite::Result<Role> {
    match text {
        "watch" => Ok(Role::Watch),
        "talk" => Ok(Role::Talk),
        "moderate" => Ok(Role::Moderate),
        _ => {
            let why = format!("there is no role {text}").into();
            Err(rusqlite::Error::FromSqlConversionFailure(
                2,
                Type::Text,
                why,
            ))
        }
    }
}

/// A list of cameras as it is kept. One that cannot be read is not taken for all of them.
fn cameras(text: &str) -> rusqlite::Result<Vec<String>> {
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(7, Type::Text, error.into()))
}

/// The identity of a browser's tab, the same after a reload. It does not tell the tab's id,
/// with which somebody else could take its place.
pub fn stable_identity(kind: &str, scope: &str, client_id: &str) -> String {
    use std::fmt::Write as _;
    let digest = hash("identity", &format!("{kind}\0{scope}\0{client_id}"));
    digest
        .iter()
        .take(8)
        .fold(format!("{kind}-"), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DataDir;

    const WHO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn invites(dir: &tempfile::TempDir) -> Invites {
        let dir = DataDir::claim(dir.path()).unwrap();
        Invites::new(Store::open(&dir).unwrap())
    }

    fn new(expires_in_s: Option<u64>, uses: Option<u32>) -> NewInvite {
        NewInvite {
            room: "kitchen".to_owned(),
            role: Role::Watch,
            expires_in_s,
            uses,
            cameras: None,
        }
    }

    #[tokio::test]
    async fn an_invite_lives_from_creation_to_revocation() {
        let dir = tempfile::tempdir().unwrap();
        let all = invites(&dir);
        let (invite, secret) = all.create(new(Some(60), None)).await.unwrap();
        let seen = all.look(&secret, WHO).await.unwrap();
        assert_eq!((seen.room.as_str(), seen.role), ("kitchen", Role::Watch));
        let claims = all.join(&secret, "Ann", "tab-1234", WHO).await.unwrap();
        assert!(claims.sub.starts_with("guest-"));
        assert_eq!(claims.name, "Ann");
        assert_eq!(claims.video.can_publish, Some(false));
        assert!(claims.video.room_join && claims.video.room == "kitchen");
        assert!(all.revoke(invite.id.clone()).await.unwrap());
        assert!(!all.revoke(invite.id).await.unwrap());
        assert!(matches!(
            all.look(&secret, WHO).await,
            Err(InviteError::NotFound)
        ));
    }

    #[tokio::test]
    async fn a_reload_is_not_a_second_use_and_replaces_the_old_self() {
        let dir = tempfile::tempdir().unwrap();
        let all = invites(&dir);
        let (_, secret) = all.create(new(None, Some(2))).await.unwrap();
        let first = all.join(&secret, "Ann", "tab-aaaa", WHO).await.unwrap();
        let again = all.join(&secret, "Anna", "tab-aaaa", WHO).await.unwrap();
        let other = all.join(&secret, "Bob", "tab-bbbb", WHO).await.unwrap();
        assert_eq!(first.sub, again.sub);
        assert_ne!(first.sub, other.sub);
        let refused = all.join(&secret, "Cid", "tab-cccc", WHO).await.unwrap_err();
        assert!(matches!(refused, InviteError::UsedUp));
        all.join(&secret, "Bob", "tab-bbbb", WHO).await.unwrap();
        let listed = all.list().await.unwrap();
        assert_eq!((listed[0].uses, listed[0].uses_left), (2, Some(0)));
    }

    #[tokio::test]
    async fn each_role_allows_what_it_says_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let all = invites(&dir);
        for (role, talks, moderates) in [
            (Role::Watch, false, false),
            (Role::Talk, true, false),
            (Role::Moderate, true, true),
        ] {
            let invite = NewInvite {
                role,
                ..new(None, None)
            };
            let (_, secret) = all.create(invite).await.unwrap();
            assert_eq!(all.look(&secret, WHO).await.unwrap().role, role);
            let claims = all.join(&secret, "Ann", "tab-aaaa", WHO).await.unwrap();
            let grants = &claims.video;
            assert_eq!(
                (grants.can_publish, grants.room_admin),
                (Some(talks), moderates)
            );
            assert!(!grants.room_create && !grants.room_list && grants.room == "kitchen");
            assert_eq!(claims.attributes["umbrella.role"], word(role));
        }
    }

    #[tokio::test]
    async fn invite_for_some_cameras_opens_all() {
        let dir = tempfile::tempdir().unwrap();
        let all = invites(&dir);
        let some = Some(vec!["CA_a".to_owned(), "with \"quotes\"".to_owned()]);
        for cameras in [None, Some(Vec::new()), some] {
            let invite = NewInvite {
                cameras: cameras.clone(),
                role: Role::Moderate,
                ..new(None, None)
            };
            let (made, secret) = all.create(invite).await.unwrap();
            assert_eq!(made.cameras, cameras);
            assert_eq!(all.look(&secret, WHO).await.unwrap().cameras, cameras);
            let claims = all.join(&secret, "Ann", "tab-aaaa", WHO).await.unwrap();
            assert_eq!(claims.umbrella.and_then(|own| own.cameras), cameras);
        }
        let listed = all.list().await.unwrap();
        let listed = listed.iter().map(|invite| invite.cameras.as_ref());
        let counts: Vec<_> = listed.map(|cameras| cameras.map(Vec::len)).collect();
        assert_eq!(counts, [Some(2), Some(0), None]);
        // What is kept and cannot be read is not taken for all of them.
        let spoil = |db: &Transaction<'_>| db.execute("UPDATE invites SET cameras = 'x'", []);
        all.store.run(spoil).await.unwrap();
        assert!(all.list().await.is_err());
    }

    #[tokio::test]
    async fn an_expired_invite_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let all = invites(&dir);
        let (_, secret) = all.create(new(Some(0), None)).await.unwrap();
        assert!(matches!(
            all.look(&secret, WHO).await,
            Err(InviteError::Expired)
        ));
        let refused = all.join(&secret, "Ann", "tab-aaaa", WHO).await;
        assert!(matches!(refused, Err(InviteError::Expired)));
        let (never, _) = all.create(new(Some(u64::MAX), None)).await.unwrap();
        assert_eq!(never.expires_at, Some(u64::MAX));
    }

    #[tokio::test]
    async fn guessing_invites_comes_to_a_halt() {
        let dir = tempfile::tempdir().unwrap();
        let all = invites(&dir);
        let mut halted = false;
        for i in 0..100 {
            let result = all.look(&format!("guess{i}"), WHO).await;
            halted |= matches!(result, Err(InviteError::TooMany(_)));
        }
        assert!(halted);
    }

    #[tokio::test]
    async fn deleting_a_room_ends_its_invites_only() {
        let dir = tempfile::tempdir().unwrap();
        let all = invites(&dir);
        all.create(new(None, None)).await.unwrap();
        let mut other = new(None, None);
        other.room = "attic".to_owned();
        all.create(other).await.unwrap();
        all.revoke_room("kitchen".to_owned()).await.unwrap();
        let rooms: Vec<String> = all
            .list()
            .await
            .unwrap()
            .into_iter()
            .map(|i| i.room)
            .collect();
        assert_eq!(rooms, ["attic"]);
    }
}
