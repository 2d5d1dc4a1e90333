//! Media sections of one peer connection, and who uses them.

use str0m::media::Mid;
use umbrella_media::{Codec, Kind};

use crate::api::{Label, Section as Reported};
use crate::arena::Key;
use crate::consumer::Consumer;
use crate::producer::Producer;

use super::sdp::parse::PeerSection;
use super::sdp::write::Plan;

/// One audio or video section.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) mid: Mid,
    pub(crate) kind: Kind,
    /// What the peer can decode or send in it, its favourite first.
    pub(crate) codecs: Vec<Codec>,
    pub(crate) usage: Usage,
}

/// What a section is used for.
#[derive(Debug)]
pub(crate) enum Usage {
    /// For nothing: rejected or inactive.
    Idle,
    /// The peer sends in it.
    Inbound(Inbound),
    /// It is there for us to send in.
    Outbound(Slot),
}

/// A section in which the peer sends.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// The track id of its `a=msid`.
    pub(crate) track: String,
    /// Names of its simulcast encodings, lowest first; empty without simulcast.
    pub(crate) rids: Vec<String>,
    /// Its Opus has two channels.
    pub(crate) stereo: bool,
    /// What it asked to send with.
    pub(crate) favourite: Option<Codec>,
    /// Its Opus may stop while nobody speaks.
    pub(crate) dtx: bool,
    /// Set by the owner of the worker.
    pub(crate) producer: Option<Key<Producer>>,
}

/// The consumer side of a section.
///
/// A section passes through `Retired` and `Retiring` before another consumer may have it: only
/// when a section becomes active again does a browser tell its page of a new track.
#[derive(Debug)]
pub(crate) enum Slot {
    /// Nobody's, and the peer knows.
    Free,
    /// Named in an offer of ours that has not been answered.
    Offered(Tenant),
    /// Both sides know that it carries this consumer.
    Carrying(Tenant),
    /// Its consumer is gone, but the peer does not know.
    Retired,
    /// The peer has been told in an offer that has not been answered.
    Retiring,
}

/// A consumer in a section.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) consumer: Key<Consumer>,
    pub(crate) label: Label,
    pub(crate) stereo: bool,
}

impl Section {
    pub(crate) fn new(peer: &PeerSection, kind: Kind) -> Self {
        Section {
            mid: peer.mid.as_str().into(),
            kind,
            codecs: peer.codecs.clone(),
            usage: Usage::Idle,
        }
    }

    /// The consumer that the peer knows of, or soon will.
    pub(crate) fn tenant(&self) -> Option<&Tenant> {
        match &self.usage {
            Usage::Outbound(Slot::Offered(tenant) | Slot::Carrying(tenant)) => Some(tenant),
            Usage::Outbound(Slot::Free | Slot::Retired | Slot::Retiring)
            | Usage::Inbound(_)
            | Usage::Idle => None,
        }
    }

    pub(crate) fn is_free(&self, kind: Kind) -> bool {
        self.kind == kind && matches!(self.usage, Usage::Outbound(Slot::Free))
    }

    pub(crate) fn is_retired(&self) -> bool {
        matches!(self.usage, Usage::Outbound(Slot::Retired))
    }

    /// Whether the peer can decode a codec here. RED can be reduced to Opus.
    pub(crate) fn takes(&self, codec: Codec) -> bool {
        self.codecs.contains(&codec) || codec == Codec::Red && self.codecs.contains(&Codec::Opus)
    }

    /// What its lines in a description of ours say.
    pub(crate) fn plan(&self) -> Plan<'_> {
        match &self.usage {
            Usage::Idle => Plan::Silent,
            Usage::Inbound(inbound) => Plan::Receive {
                stereo: inbound.stereo,
                favourite: inbound.favourite,
                dtx: inbound.dtx,
            },
            Usage::Outbound(Slot::Offered(tenant) | Slot::Carrying(tenant)) => Plan::Carry {
                label: &tenant.label,
                stereo: tenant.stereo,
            },
            Usage::Outbound(Slot::Free | Slot::Retired | Slot::Retiring) => Plan::Silent,
        }
    }

    /// For the owner of the worker; `None` without a consumer.
    pub(crate) fn report(&self) -> Option<Reported> {
        let track = self.tenant()?.label.track.clone();
        Some(Reported {
            mid: self.mid.to_string(),
            track,
        })
    }
}

/// Simulcast encodings in the order of their size. `q`, `h` and `f` have a meaning that everybody
/// knows, and Firefox lists them the other way round; others count as they are listed.
pub(crate) fn by_size(mut rids: Vec<String>) -> Vec<String> {
    let rank = |rid: &str| match rid {
        "q" => Some(0),
        "h" => Some(1),
        "f" => Some(2),
        _ => None,
    };
    if rids.iter().all(|rid| rank(rid).is_some()) {
        rids.sort_by_key(|rid| rank(rid));
    }
    rids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_ordered_by_size_whatever_the_browser_lists_first() {
        let sorted = |rids: &[&str]| by_size(rids.iter().map(|r| r.to_string()).collect());
        assert_eq!(sorted(&["f", "h", "q"]), ["q", "h", "f"]);
        assert_eq!(sorted(&["f", "h"]), ["h", "f"]);
        assert_eq!(sorted(&["low", "high"]), ["low", "high"]);
    }
}
