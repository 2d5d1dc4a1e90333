//! Who may do what: access tokens of clients, the admin's password and sessions, invites.

mod accounts;
mod claims;
mod invites;
mod keys;
mod rate;
mod secret;
mod token;

pub use accounts::{AccountError, Accounts, SESSION_LIFETIME_S, Session};
pub use claims::{Bearer, Claims, Grants, OwnClaims};
pub(crate) use claims::{CAMERA_CHARS, MAX_CAMERAS, are_few, sight};
pub use invites::{InviteError, Invites, NewInvite, role_attribute, room_grants, stable_identity};
pub use keys::{KeyError, Keys};
pub use rate::{CallLimit, CameraLimit, TooMany, TrunkLimit, group};
pub(crate) use secret::{derive, random_text, same};
pub use token::{Authority, INTERNAL_KEY_PREFIX, TokenError};
