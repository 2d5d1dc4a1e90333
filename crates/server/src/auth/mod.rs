//! Who may do what: access tokens of clients, the admin's password and sessions, invites.

mod claims;
mod token;

pub use claims::{Claims, Grants};
pub use token::{Authority, INTERNAL_KEY_PREFIX, TokenError};
