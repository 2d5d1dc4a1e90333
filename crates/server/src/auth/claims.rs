//! What a valid token says.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use umbrella_room::Sight;
use umbrella_room::model::Identity;

/// Cameras that a token or an invite may name.
pub(crate) const MAX_CAMERAS: usize = 64;

/// Characters of each of their identities.
pub(crate) const CAMERA_CHARS: usize = 64;

/// The claims of an access token (JWT, HS256) as the client protocol defines them.
///
/// `iss` names the API key, `sub` the identity; `exp` is required.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claims {
    /// The API key that signed it.
    pub iss: String,
    /// The identity.
    pub sub: String,
    /// Valid until, seconds since the Unix epoch.
    pub exp: u64,
    /// Valid from, seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// Shown to people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The application's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    /// The application's own, by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// `standard`, `ingress`, `egress`, `sip` or `agent`; empty is standard.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// What it allows.
    pub video: Grants,
    /// What only this server knows of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umbrella: Option<OwnClaims>,
}

/// The claim `umbrella`, which is not of the client protocol. What is not known in it is ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnClaims {
    /// The cameras that may be seen, by identity; all if it is absent, none if it is empty.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub cameras: Option<Vec<String>>,
}

/// What is there has to be a list: `null` would open what was meant to be closed.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    Vec::deserialize(from).map(Some)
}

impl Claims {
    /// The cameras that its bearer may see.
    pub fn sight(&self) -> Sight {
        let own = self.umbrella.as_ref();
        sight(own.and_then(|own| own.cameras.as_deref()))
    }
}

/// Those cameras; `None` is all.
pub(crate) fn sight(cameras: Option<&[String]>) -> Sight {
    match cameras {
        None => Sight::All,
        Some(cameras) => Sight::only(cameras.iter().map(|id| Identity::new(id.as_str()))),
    }
}

/// Whether a list of cameras is within [`MAX_CAMERAS`] and [`CAMERA_CHARS`].
pub(crate) fn are_few(cameras: &[String]) -> bool {
    let short = |id: &String| (1..=CAMERA_CHARS).contains(&id.chars().count());
    cameras.len() <= MAX_CAMERAS && cameras.iter().all(short)
}

/// Who stands behind a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    /// An application with an API key, or whom it gave the token.
    Application,
    /// The admin, who joins from the admin page.
    Admin,
    /// Somebody with an invite.
    Guest,
}

impl Bearer {
    /// What identities that the server gives begin with, before a hyphen.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Bearer::Application => "application",
            Bearer::Admin => "admin",
            Bearer::Guest => "guest",
        }
    }

    /// Whether an identity that the server gave is of this kind.
    pub(super) fn names(self, identity: &str) -> bool {
        let rest = identity.strip_prefix(self.word());
        rest.is_some_and(|rest| rest.starts_with('-'))
    }
}

/// The grants of a token. An absent `canPublish`, `canSubscribe` or `canPublishData` is true.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Grants {
    /// May join `room`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub room_join: bool,
    /// The room it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room: String,
    /// May create and delete rooms.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub room_create: bool,
    /// May list rooms.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub room_list: bool,
    /// May moderate `room`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub room_admin: bool,
    /// May publish tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    /// May subscribe to tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    /// May send data messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// Sources it may publish (`camera`, `microphone`, `screen_share`, `screen_share_audio`);
    /// empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub can_publish_sources: Vec<String>,
    /// May change its own name, metadata and attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_update_own_metadata: Option<bool>,
    /// Unseen by others.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// A recorder.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recorder: bool,
}
