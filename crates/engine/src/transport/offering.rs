//! Negotiation where we offer.

use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::change::{SdpAnswer, SdpApi, SdpPendingOffer};
use str0m::channel::{ChannelConfig, Reliability};
use str0m::media::{Direction, MediaKind};
use umbrella_media::Kind;

use crate::api::{Channel, ConsumerError, Limits};

use super::negotiation::{Change, Negotiation, Role, Waiting, guarded, renew};
use super::sdp::parse::{Description, PeerSection, SdpError};
use super::section::{Section, Slot, Usage};

/// How long a peer may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between an answer that could not be used and the next offer.
const OFFER_AGAIN: Duration = Duration::from_secs(1);
/// So many unusable answers in a row end the connection.
const MAX_REFUSALS: u32 = 3;

/// Our part while we offer.
#[derive(Debug)]
pub(crate) struct Offerer {
    /// Data channels are to be opened.
    channels: bool,
    /// ICE is to start anew.
    restart: bool,
    /// The number of the last offer.
    number: u32,
    state: State,
    refusals: u32,
}

#[derive(Debug)]
enum State {
    /// Nothing is outstanding; the next offer may go out at this time.
    Settled { from: Option<Instant> },
    /// An offer waits for its answer. One at a time; what changes meanwhile waits for the next.
    Outstanding {
        pending: SdpPendingOffer,
        text: String,
        until: Instant,
        /// It may have got lost, and is to be sent once more. A new one would not do: if only the
        /// answer got lost, the peer has the sections of this one.
        again: bool,
    },
}

impl Offerer {
    pub(crate) fn new(channels: bool) -> Self {
        Offerer {
            channels,
            restart: false,
            number: 0,
            state: State::Settled { from: None },
            refusals: 0,
        }
    }

    /// The outstanding offer, if it is to be sent once more.
    fn repetition(&mut self, now: Instant) -> Option<(u32, String)> {
        match &mut self.state {
            State::Outstanding {
                text, until, again, ..
            } if *again => {
                *again = false;
                *until = now + ANSWER_TIMEOUT;
                Some((self.number, text.clone()))
            }
            State::Outstanding { .. } | State::Settled { .. } => None,
        }
    }

    fn is_settled(&self, now: Instant) -> bool {
        match &self.state {
            State::Settled { from } => from.is_none_or(|from| from <= now),
            State::Outstanding { .. } => false,
        }
    }
}

impl Negotiation {
    /// Makes ICE start anew with the next offer. One that waits for its answer is repeated first.
    pub(crate) fn restart_ice(&mut self) {
        if let Role::Offerer(offerer) = &mut self.role {
            offerer.restart = true;
            if let State::Outstanding { again, .. } = &mut offerer.state {
                *again = true;
            }
        }
    }

    /// The number and the text of an offer, if one is due.
    pub(crate) fn offer(
        &mut self,
        rtc: &mut Rtc,
        now: Instant,
        limits: &Limits,
    ) -> Option<(u32, String)> {
        let retired = self.sections.iter().any(Section::is_retired);
        let Role::Offerer(offerer) = &mut self.role else {
            return None;
        };
        if let Some(repetition) = offerer.repetition(now) {
            return Some(repetition);
        }
        let due = offerer.channels || offerer.restart || retired || !self.waiting.is_empty();
        if !due || !offerer.is_settled(now) {
            return None;
        }
        let mut api = rtc.sdp_api();
        if std::mem::take(&mut offerer.channels) {
            for channel in [Channel::Reliable, Channel::Lossy, Channel::DataTrack] {
                api.add_channel_with_config(channel_config(channel));
            }
        }
        if std::mem::take(&mut offerer.restart) {
            api.ice_restart(true);
        }
        for section in self
            .sections
            .iter_mut()
            .filter(|section| section.is_retired())
        {
            api.set_direction(section.mid, Direction::Inactive);
            section.usage = Usage::Outbound(Slot::Retiring);
        }
        let waiting = std::mem::take(&mut self.waiting);
        place(
            &mut api,
            waiting,
            &mut self.sections,
            &mut self.changes,
            limits,
        );
        let (offer, pending) = api.apply()?;
        let text = self.rewrite(&offer.to_sdp_string());
        let Role::Offerer(offerer) = &mut self.role else {
            return None;
        };
        offerer.number += 1;
        offerer.state = State::Outstanding {
            pending,
            text: text.clone(),
            until: now + ANSWER_TIMEOUT,
            again: false,
        };
        Some((offerer.number, text))
    }

    /// Takes the peer's answer. One to an earlier offer is ignored; 0 stands for the last, for
    /// peers that do not number theirs.
    pub(crate) fn accept_answer(
        &mut self,
        rtc: &mut Rtc,
        now: Instant,
        number: u32,
        sdp: &str,
        limits: &Limits,
    ) -> Result<(), SdpError> {
        let Role::Offerer(offerer) = &mut self.role else {
            return Err(SdpError::Unexpected);
        };
        if number != 0 && number != offerer.number {
            return Ok(());
        }
        let settled = State::Settled { from: None };
        let pending = match std::mem::replace(&mut offerer.state, settled) {
            State::Outstanding { pending, .. } => pending,
            State::Settled { from } => {
                offerer.state = State::Settled { from };
                return Ok(());
            }
        };
        let result = self.read(sdp, limits).and_then(|answer| {
            guarded(|| {
                let answer = SdpAnswer::from_sdp_string(&answer.text).map_err(|e| e.to_string())?;
                rtc.sdp_api()
                    .accept_answer(pending, answer)
                    .map_err(|e| e.to_string())
            })
            .map(|()| answer)
        });
        match result {
            Ok(answer) => {
                self.remember(&answer);
                self.answered(rtc, &answer);
                if let Role::Offerer(offerer) = &mut self.role {
                    offerer.refusals = 0;
                }
                Ok(())
            }
            Err(error) => {
                self.unanswered(rtc);
                if let Role::Offerer(offerer) = &mut self.role {
                    offerer.refusals += 1;
                    offerer.state = State::Settled {
                        from: Some(now + OFFER_AGAIN),
                    };
                }
                Err(error)
            }
        }
    }

    /// The next time at which an offer may go out, or must have been answered.
    pub(crate) fn offer_at(&self) -> Option<Instant> {
        let Role::Offerer(offerer) = &self.role else {
            return None;
        };
        match &offerer.state {
            State::Settled { from } => *from,
            State::Outstanding { until, .. } => Some(*until),
        }
    }

    /// Why the connection cannot go on, if the peer does not do its part.
    pub(crate) fn failure(&self, now: Instant) -> Option<&'static str> {
        let Role::Offerer(offerer) = &self.role else {
            return None;
        };
        match &offerer.state {
            State::Outstanding { until, .. } if *until <= now => Some("the peer did not answer"),
            State::Outstanding { .. } | State::Settled { .. } => {
                let often = offerer.refusals >= MAX_REFUSALS;
                often.then_some("the peer's answers cannot be used")
            }
        }
    }

    fn answered(&mut self, rtc: &mut Rtc, answer: &Description) {
        for index in 0..self.sections.len() {
            let section = &mut self.sections[index];
            let peer = answer
                .sections
                .iter()
                .find(|peer| *peer.mid == *section.mid);
            let accepted = peer.is_some_and(|peer: &PeerSection| peer.receives);
            if let Some(peer) = peer
                && accepted
            {
                section.codecs.clone_from(&peer.codecs);
            }
            let usage = std::mem::replace(&mut section.usage, Usage::Idle);
            section.usage = match usage {
                Usage::Outbound(Slot::Offered(tenant)) if accepted => {
                    let consumer = tenant.consumer;
                    self.changes.push(Change::Ready {
                        consumer,
                        mid: section.mid,
                    });
                    Usage::Outbound(Slot::Carrying(tenant))
                }
                Usage::Outbound(Slot::Offered(tenant)) => {
                    self.changes.push(Change::Failed {
                        consumer: tenant.consumer,
                        error: ConsumerError::SectionDeclined,
                    });
                    Usage::Outbound(Slot::Retired)
                }
                Usage::Outbound(Slot::Retiring) => {
                    self.changes.extend(renew(rtc, section.mid));
                    Usage::Outbound(Slot::Free)
                }
                other @ (Usage::Outbound(Slot::Free | Slot::Carrying(_) | Slot::Retired)
                | Usage::Inbound(_)
                | Usage::Idle) => other,
            };
            if peer.is_none_or(|peer| peer.rejected) {
                // A stopped section cannot be used again (RFC 8829 section 5.3.1).
                section.usage = Usage::Idle;
            }
        }
    }

    /// The last offer has come to nothing: what it offered is offered again.
    fn unanswered(&mut self, rtc: &Rtc) {
        for index in (0..self.sections.len()).rev() {
            let section = &mut self.sections[index];
            match &section.usage {
                Usage::Outbound(Slot::Offered(tenant)) => {
                    let (kind, tenant) = (section.kind, tenant.clone());
                    if rtc.media(section.mid).is_some() {
                        section.usage = Usage::Outbound(Slot::Retired);
                    } else {
                        self.sections.remove(index);
                    }
                    self.waiting.push(Waiting {
                        kind,
                        codec: None,
                        tenant,
                    });
                }
                Usage::Outbound(Slot::Retiring) => {
                    section.usage = Usage::Outbound(Slot::Retired);
                }
                Usage::Outbound(Slot::Free | Slot::Carrying(_) | Slot::Retired)
                | Usage::Inbound(_)
                | Usage::Idle => {}
            }
        }
    }
}

/// Offers a section to each consumer that waits: a free one if it fits, or another.
fn place(
    api: &mut SdpApi<'_>,
    waiting: Vec<Waiting>,
    sections: &mut Vec<Section>,
    changes: &mut Vec<Change>,
    limits: &Limits,
) {
    for Waiting {
        kind,
        codec,
        tenant,
    } in waiting
    {
        let fits = |s: &&mut Section| s.is_free(kind) && codec.is_none_or(|codec| s.takes(codec));
        if let Some(section) = sections.iter_mut().find(fits) {
            api.set_direction(section.mid, Direction::SendOnly);
            section.usage = Usage::Outbound(Slot::Offered(tenant));
            continue;
        }
        if sections.len() + 1 >= limits.sections {
            let error = ConsumerError::TooManySections;
            changes.push(Change::Failed {
                consumer: tenant.consumer,
                error,
            });
            continue;
        }
        let label = &tenant.label;
        let (stream, track) = (Some(label.stream.clone()), Some(label.track.clone()));
        let mid = api.add_media(media_kind(kind), Direction::SendOnly, stream, track, None);
        sections.push(Section {
            mid,
            kind,
            codecs: Vec::new(),
            usage: Usage::Outbound(Slot::Offered(tenant)),
        });
    }
}

/// What everybody calls a channel.
pub(crate) const fn label(channel: Channel) -> &'static str {
    match channel {
        Channel::Reliable => "_reliable",
        Channel::Lossy => "_lossy",
        Channel::DataTrack => "_data_track",
    }
}

fn channel_config(channel: Channel) -> ChannelConfig {
    let (ordered, reliability) = match channel {
        Channel::Reliable => (true, Reliability::Reliable),
        Channel::Lossy | Channel::DataTrack => {
            (false, Reliability::MaxRetransmits { retransmits: 0 })
        }
    };
    ChannelConfig {
        label: label(channel).into(),
        ordered,
        reliability,
        ..Default::default()
    }
}

fn media_kind(kind: Kind) -> MediaKind {
    match kind {
        Kind::Audio => MediaKind::Audio,
        Kind::Video => MediaKind::Video,
    }
}
