//! What a valid token says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
