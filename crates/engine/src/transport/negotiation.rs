//! Which section carries what, agreed with the peer by offer and answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::change::SdpOffer;
use str0m::media::Mid;
use umbrella_media::{Codec, Kind};

use crate::api::{self, ConsumerError, Label, Limits, PublishOptions};
use crate::arena::Key;
use crate::consumer::Consumer;
use crate::producer::Producer;

use super::offering::Offerer;
use super::options::Options;
use super::sdp::parse::{Description, PeerSection, SdpError};
use super::sdp::write::{self, Plan};
use super::section::{Inbound, Section, Slot, Tenant, Usage, by_size};

/// After asking a peer for an offer in vain, it is asked again; each time after twice as long.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(60));

/// Which section carries what.
#[derive(Debug)]
pub(crate) struct Negotiation {
    pub(super) role: Role,
    pub(super) sections: Vec<Section>,
    /// Consumers without a section, the oldest first.
    pub(super) waiting: Vec<Waiting>,
    pub(super) changes: Vec<Change>,
    fingerprints: Vec<String>,
    /// Our candidates as SDP lines.
    candidates: String,
}

/// Who offers.
#[derive(Debug)]
pub(super) enum Role {
    /// The peer does.
    Answerer(Answerer),
    /// We do.
    Offerer(Offerer),
    /// Nobody: it is a trunk, and has no sections.
    Nobody,
}

/// Our part while the peer offers.
#[derive(Debug, Default)]
pub(super) struct Answerer {
    /// The peer has offered at least once.
    offered: bool,
    /// It was asked for an offer that has not come.
    asked: bool,
    /// Not to be asked before this time: the last offer did not bring what it was asked for.
    ask_at: Option<Instant>,
    patience: Option<Duration>,
}

/// A consumer without a section.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) kind: Kind,
    /// What the publisher sends, if that is known.
    pub(super) codec: Option<Codec>,
    pub(super) tenant: Tenant,
}

/// What a negotiation has brought about.
#[derive(Debug)]
pub(crate) enum Change {
    /// The peer sends in a section now.
    Opened {
        mid: String,
        kind: Kind,
        track: String,
        codecs: Vec<Codec>,
    },
    /// The peer has stopped.
    Closed {
        mid: String,
        producer: Option<Key<Producer>>,
    },
    /// A consumer may send in a section.
    Ready { consumer: Key<Consumer>, mid: Mid },
    /// A consumer has lost its section and waits again.
    Lost { consumer: Key<Consumer> },
    /// A section is free and has other SSRCs now. These are never used again.
    Renewed { ssrc: u32, rtx: Option<u32> },
    /// A consumer will get no section.
    Failed {
        consumer: Key<Consumer>,
        error: ConsumerError,
    },
}

impl Negotiation {
    pub(super) fn new(role: Role, candidates: String) -> Self {
        Negotiation {
            role,
            sections: Vec::new(),
            waiting: Vec::new(),
            changes: Vec::new(),
            fingerprints: Vec::new(),
            candidates,
        }
    }

    /// What has changed since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// A consumer wants a section.
    pub(crate) fn want(
        &mut self,
        consumer: Key<Consumer>,
        label: Label,
        kind: Kind,
        codec: Option<Codec>,
        stereo: bool,
    ) {
        if let Role::Nobody = self.role {
            let error = ConsumerError::SectionDeclined;
            self.changes.push(Change::Failed { consumer, error });
            return;
        }
        self.waiting.push(Waiting {
            kind,
            codec,
            tenant: Tenant {
                consumer,
                label,
                stereo,
            },
        });
    }

    /// A consumer is gone.
    pub(crate) fn release(&mut self, consumer: Key<Consumer>) {
        self.waiting
            .retain(|waiting| waiting.tenant.consumer != consumer);
        let holds = |s: &&mut Section| s.tenant().is_some_and(|t| t.consumer == consumer);
        if let Some(section) = self.sections.iter_mut().find(holds) {
            section.usage = Usage::Outbound(Slot::Retired);
        }
    }

    /// The section in which the peer sends, by its `mid`.
    pub(crate) fn inbound(&mut self, mid: &str) -> Option<(&mut Inbound, Kind)> {
        self.sections
            .iter_mut()
            .find(|section| *section.mid == *mid)
            .and_then(|section| match &mut section.usage {
                Usage::Inbound(inbound) => Some((inbound, section.kind)),
                Usage::Outbound(_) | Usage::Idle => None,
            })
    }

    /// Every section with a consumer, for the owner.
    pub(crate) fn report(&self) -> Vec<api::Section> {
        self.sections.iter().filter_map(Section::report).collect()
    }

    /// Takes the peer's offer and gives the text of the answer.
    pub(crate) fn accept_offer(
        &mut self,
        rtc: &mut Rtc,
        now: Instant,
        sdp: &str,
        options: Vec<PublishOptions>,
        limits: &Limits,
    ) -> Result<String, SdpError> {
        if !matches!(self.role, Role::Answerer(_)) {
            return Err(SdpError::Unexpected);
        }
        let offer = self.read(sdp, limits)?;
        let answer = guarded(|| {
            let offer = SdpOffer::from_sdp_string(&offer.text).map_err(|e| e.to_string())?;
            rtc.sdp_api().accept_offer(offer).map_err(|e| e.to_string())
        })?;
        self.fingerprints.clone_from(&offer.fingerprints);
        self.sync(&offer, Options::new(options, &offer));
        let waited = !self.waiting.is_empty();
        let placed = self.place_waiting();
        let freed = self.free_retired(rtc);
        if let Role::Answerer(answerer) = &mut self.role {
            // Peers also offer for reasons of their own; nothing was to be had from that.
            let progress = !waited || freed || placed > 0 || !answerer.offered;
            answerer.offered = true;
            answerer.asked = false;
            answerer.note_progress(now, progress);
        }
        Ok(self.rewrite(&answer.to_sdp_string()))
    }

    /// How many more sections the peer should offer, if it is time to ask for an offer.
    pub(crate) fn sections_wanted(&mut self, now: Instant, limits: &Limits) -> Option<(u32, u32)> {
        let Role::Answerer(answerer) = &self.role else {
            return None;
        };
        let early = answerer.ask_at.is_some_and(|at| now < at);
        let retired = self.sections.iter().any(Section::is_retired);
        if !answerer.offered || early || (self.waiting.is_empty() && !retired) {
            return None;
        }
        if answerer.asked && answerer.ask_at.is_none() {
            return None;
        }
        let (mut audio, mut video) = (self.shortage(Kind::Audio), self.shortage(Kind::Video));
        let room = limits.sections.saturating_sub(self.sections.len() + 1);
        audio = audio.min(room);
        video = video.min(room - audio);
        if let Role::Answerer(answerer) = &mut self.role {
            answerer.asked = true;
            answerer.back_off(now);
        }
        if room == 0 {
            self.fail_shortage();
        }
        Some((audio as u32, video as u32))
    }

    /// When [`Negotiation::sections_wanted`] is to be asked again though nothing has happened.
    pub(crate) fn ask_at(&self) -> Option<Instant> {
        let Role::Answerer(answerer) = &self.role else {
            return None;
        };
        let idle = self.waiting.is_empty() && !self.sections.iter().any(Section::is_retired);
        answerer.ask_at.filter(|_| !idle)
    }

    /// Reads a description of the peer and compares its certificate.
    pub(super) fn read(&self, sdp: &str, limits: &Limits) -> Result<Description, SdpError> {
        let description = Description::parse(sdp, limits)?;
        // str0m would go on with the old one and say nothing.
        let known = |f: &String| self.fingerprints.contains(f);
        if !self.fingerprints.is_empty() && !description.fingerprints.iter().any(known) {
            return Err(SdpError::CertificateChanged);
        }
        Ok(description)
    }

    pub(super) fn remember(&mut self, description: &Description) {
        self.fingerprints.clone_from(&description.fingerprints);
    }

    /// Our description as the peer gets it.
    pub(super) fn rewrite(&self, sdp: &str) -> String {
        write::rewrite(sdp, &self.candidates, |mid| {
            let section = self.sections.iter().find(|section| *section.mid == *mid);
            section.map_or(Plan::AsItIs, Section::plan)
        })
    }

    /// Sections missing for the consumers of a kind that wait.
    fn shortage(&self, kind: Kind) -> usize {
        let waiting = self
            .waiting
            .iter()
            .filter(|waiting| waiting.kind == kind)
            .count();
        let usable = |s: &&Section| s.is_free(kind) || s.kind == kind && s.is_retired();
        waiting.saturating_sub(self.sections.iter().filter(usable).count())
    }

    fn fail_shortage(&mut self) {
        for kind in [Kind::Audio, Kind::Video] {
            for _ in 0..self.shortage(kind) {
                let last = self
                    .waiting
                    .iter()
                    .rposition(|waiting| waiting.kind == kind);
                let Some(waiting) = last.map(|at| self.waiting.remove(at)) else {
                    break;
                };
                self.changes.push(Change::Failed {
                    consumer: waiting.tenant.consumer,
                    error: ConsumerError::TooManySections,
                });
            }
        }
    }

    /// Brings our sections in line with the peer's.
    fn sync(&mut self, offer: &Description, mut options: Options<'_>) {
        self.drop_vanished(offer);
        for peer in &offer.sections {
            let Some(kind) = peer.media.kind() else {
                continue;
            };
            let index = self.sections.iter().position(|s| *s.mid == *peer.mid);
            let index = index.unwrap_or_else(|| {
                self.sections.push(Section::new(peer, kind));
                self.sections.len() - 1
            });
            self.sync_section(index, peer, &mut options);
        }
    }

    /// The answer says that they are inactive, so the next offer may give them to somebody else.
    fn free_retired(&mut self, rtc: &mut Rtc) -> bool {
        let mut freed = false;
        for section in self
            .sections
            .iter_mut()
            .filter(|section| section.is_retired())
        {
            section.usage = Usage::Outbound(Slot::Free);
            self.changes.extend(renew(rtc, section.mid));
            freed = true;
        }
        freed
    }

    fn sync_section(&mut self, index: usize, peer: &PeerSection, options: &mut Options<'_>) {
        let section = &mut self.sections[index];
        let mid = section.mid.to_string();
        let changes = &mut self.changes;
        let close = |usage: &Usage, changes: &mut Vec<Change>| {
            if let Usage::Inbound(inbound) = usage {
                changes.push(Change::Closed {
                    mid: mid.clone(),
                    producer: inbound.producer,
                });
            }
        };
        if peer.sends {
            if let Usage::Inbound(inbound) = &section.usage
                && inbound.track == peer.track
            {
                return;
            }
            close(&section.usage, changes);
            let lost = section.tenant().cloned();
            let kind = section.kind;
            changes.push(Change::Opened {
                mid,
                kind,
                track: peer.track.clone(),
                codecs: peer.codecs.clone(),
            });
            let options = options.take(peer, kind);
            section.codecs.clone_from(&peer.codecs);
            section.usage = Usage::Inbound(Inbound {
                track: peer.track.clone(),
                rids: by_size(peer.rids.clone()),
                stereo: peer.stereo,
                favourite: options.as_ref().and_then(|o| o.codec),
                dtx: options.is_none_or(|o| o.dtx),
                producer: None,
            });
            self.wait_again(lost, kind);
        } else if peer.receives {
            match &section.usage {
                Usage::Outbound(_) => {}
                Usage::Inbound(_) | Usage::Idle => {
                    close(&section.usage, changes);
                    section.codecs.clone_from(&peer.codecs);
                    section.usage = Usage::Outbound(Slot::Free);
                }
            }
        } else {
            close(&section.usage, changes);
            let lost = section.tenant().cloned();
            let kind = section.kind;
            section.usage = Usage::Idle;
            self.wait_again(lost, kind);
        }
    }

    /// RFC 8829 section 5.2.2: the place of a stopped section may be taken by a new one.
    fn drop_vanished(&mut self, offer: &Description) {
        let gone = |s: &Section| !offer.sections.iter().any(|peer| *peer.mid == *s.mid);
        while let Some(index) = self.sections.iter().position(gone) {
            let section = self.sections.swap_remove(index);
            if let Usage::Inbound(inbound) = &section.usage {
                let mid = section.mid.to_string();
                self.changes.push(Change::Closed {
                    mid,
                    producer: inbound.producer,
                });
            }
            self.wait_again(section.tenant().cloned(), section.kind);
        }
    }

    fn wait_again(&mut self, tenant: Option<Tenant>, kind: Kind) {
        if let Some(tenant) = tenant {
            self.changes.push(Change::Lost {
                consumer: tenant.consumer,
            });
            self.waiting.push(Waiting {
                kind,
                codec: None,
                tenant,
            });
        }
    }

    /// Gives free sections to those who wait; how many got one.
    fn place_waiting(&mut self) -> usize {
        let before = self.waiting.len();
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|waiting| {
            let consumer = waiting.tenant.consumer;
            let mut free = self
                .sections
                .iter()
                .enumerate()
                .filter(|(_, s)| s.is_free(waiting.kind));
            let fits = |s: &Section| waiting.codec.is_none_or(|codec| s.takes(codec));
            let Some((index, _)) = free.clone().find(|(_, s)| fits(s)) else {
                // All sections of one peer can decode the same: more of them would not help.
                if let (Some(codec), Some(_)) = (waiting.codec, free.next()) {
                    let error = ConsumerError::CodecUnsupported(codec);
                    self.changes.push(Change::Failed { consumer, error });
                    return false;
                }
                return true;
            };
            let section = &mut self.sections[index];
            section.usage = Usage::Outbound(Slot::Carrying(waiting.tenant.clone()));
            self.changes.push(Change::Ready {
                consumer,
                mid: section.mid,
            });
            false
        });
        self.waiting = waiting;
        before - self.waiting.len()
    }
}

impl Answerer {
    /// The peer has offered; whether that was of any use decides how soon it is asked again.
    fn note_progress(&mut self, now: Instant, progress: bool) {
        if progress {
            self.patience = None;
            self.ask_at = None;
        } else {
            self.back_off(now);
        }
    }

    fn back_off(&mut self, now: Instant) {
        let patience = self
            .patience
            .map_or(ASK_AGAIN.0, |last| (last * 2).min(ASK_AGAIN.1));
        self.patience = Some(patience);
        self.ask_at = Some(now + patience);
    }
}

/// Gives a section that has become free other SSRCs. libwebrtc draws nothing of a receiver that
/// gets the SSRC again which it had before it was inactive: there is a new decoder by then, but its
/// output is connected only where the SSRC is another one (`VideoRtpReceiver`, seen in Chromium).
pub(super) fn renew(rtc: &mut Rtc, mid: Mid) -> Option<Change> {
    let mut api = rtc.direct_api();
    let stream = api.stream_tx_by_mid(mid, None)?;
    let (ssrc, rtx) = (stream.ssrc(), stream.rtx());
    let new = api.new_ssrc();
    // Only one that is declared is not given out again.
    let new_rtx = rtx.map(|_| {
        loop {
            let other = api.new_ssrc();
            if other != new {
                break other;
            }
        }
    });
    api.remove_stream_tx(ssrc);
    api.declare_stream_tx(new, new_rtx, mid, None);
    Some(Change::Renewed {
        ssrc: *ssrc,
        rtx: rtx.map(|rtx| *rtx),
    })
}

/// Runs str0m's handling of a peer's description. It asserts on a few inconsistencies instead of
/// refusing them; those that are known are refused before, and one that is not must not end the
/// calls of everybody else on this core. What it has left half done must not be used any more: the
/// connection ends with [`SdpError::Contradiction`].
pub(super) fn guarded<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, SdpError> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(SdpError::NotUnderstood),
        Err(_) => Err(SdpError::Contradiction),
    }
}
