//! The local network without a name server: mDNS (RFC 6762) and DNS-SD (RFC 6763).
//!
//! [`Lan`] is what others ask: names that end in `.local`, and servers of our kind nearby.
//! [`Announcer`] tells the network of this server. Datagrams are the library's, `mdns-sd`; what it
//! makes of them is still a stranger's word, and is bounded here. See
//! `docs/decisions/0015-mdns.md`.

mod announce;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod lan;
mod name;
mod nearby;

pub use announce::{Announcer, Page};
pub use lan::Lan;
pub(crate) use lan::Unreached;

/// What servers of our kind are found by (RFC 6763 section 7).
const SERVICE: &str = "_umbrella._tcp.local.";

/// The version of what is said in TXT records.
const VERSION: &str = "1";
