//! What a worker has done since it started and what it holds, in a few numbers however many peers
//! it has.
//!
//! Packets are counted where they pass anyway: in their encoding, in their stream. What of these
//! ends adds its counts to the worker's, so that no sum ever falls; sums are made when somebody
//! asks ([`Request::Totals`](crate::Request::Totals)).

use std::ops::{Add, AddAssign};

use umbrella_media::Kind;

/// Something of sound and the same of pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ByKind<T> {
    /// Of sound.
    pub audio: T,
    /// Of pictures.
    pub video: T,
}

impl<T: Add<Output = T>> Add for ByKind<T> {
    type Output = ByKind<T>;

    fn add(self, other: ByKind<T>) -> ByKind<T> {
        ByKind {
            audio: self.audio + other.audio,
            video: self.video + other.video,
        }
    }
}

impl<T> ByKind<T> {
    /// That of one kind.
    pub fn of_mut(&mut self, kind: Kind) -> &mut T {
        match kind {
            Kind::Audio => &mut self.audio,
            Kind::Video => &mut self.video,
        }
    }
}

/// Figures of one worker. All but [`Totals::present`] count from its start and never fall.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Datagrams and frames received and sent.
    pub datagrams: (u64, u64),
    /// Their bytes, received and sent.
    pub bytes: (u64, u64),
    /// Datagrams that belonged to nobody or did not parse.
    pub strays: u64,
    /// Media of publishers; what came from another worker is counted there.
    pub received: ByKind<Received>,
    /// Media to subscribers.
    pub sent: ByKind<Sent>,
    /// What subscribers have asked us for.
    pub asked_by_peers: Asked,
    /// Packets in there that were not sent again: asked for too often, too late, or more than is
    /// allowed.
    pub nacks_ignored: u64,
    /// What we have asked publishers for.
    pub asked_of_peers: Asked,
    /// How often a subscriber got another layer of a picture without an interruption.
    pub layer_switches: u64,
    /// How often a picture was paused because a subscriber's path did not carry even the least of
    /// it.
    pub pauses: u64,
    /// What there is now.
    pub present: Present,
}

impl Add for Totals {
    type Output = Totals;

    fn add(self, other: Totals) -> Totals {
        let both = |a: (u64, u64), b: (u64, u64)| (a.0 + b.0, a.1 + b.1);
        Totals {
            datagrams: both(self.datagrams, other.datagrams),
            bytes: both(self.bytes, other.bytes),
            strays: self.strays + other.strays,
            received: self.received + other.received,
            sent: self.sent + other.sent,
            asked_by_peers: self.asked_by_peers + other.asked_by_peers,
            nacks_ignored: self.nacks_ignored + other.nacks_ignored,
            asked_of_peers: self.asked_of_peers + other.asked_of_peers,
            layer_switches: self.layer_switches + other.layer_switches,
            pauses: self.pauses + other.pauses,
            present: self.present + other.present,
        }
    }
}

/// Media that has arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Received {
    /// RTP packets, each once. What arrives of a muted track is dropped and not counted.
    pub packets: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// Packets that never came, resends included.
    pub lost: u64,
    /// Key frames, of all encodings.
    pub key_frames: u64,
}

/// Media that was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// RTP packets, resends not counted.
    pub packets: u64,
    /// Payload bytes, resends not counted.
    pub bytes: u64,
    /// Packets sent again.
    pub resent: u64,
    /// Packets that were never sent, because the queue was full or they came too late.
    pub dropped: u64,
    /// Packets lost on the way, as receiver reports say; with those that never came here.
    pub lost: u64,
}

/// What one side asks the other for by RTCP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// Packets that are missing (NACK).
    pub packets: u64,
    /// Key frames, by picture loss indications (PLI).
    pub picture_losses: u64,
    /// Key frames, by full intra requests (FIR).
    pub full_intras: u64,
}

/// What a worker holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Present {
    /// Peer connections that are not up: not yet, or interrupted.
    pub connecting: u64,
    /// Peer connections over UDP.
    pub udp: u64,
    /// Peer connections over TCP.
    pub tcp: u64,
    /// Producers that live here.
    pub producers: ByKind<u64>,
    /// Consumers.
    pub consumers: ByKind<u64>,
    /// Consumers of pictures that get nothing because the path does not carry it.
    pub paused: u64,
    /// Consumers of pictures by what they get: nothing, or the lowest, the middle or the highest
    /// spatial layer.
    pub shown: [u64; 4],
    /// The paths of subscribers.
    pub paths: Paths,
}

impl Add for Present {
    type Output = Present;

    fn add(self, other: Present) -> Present {
        Present {
            connecting: self.connecting + other.connecting,
            udp: self.udp + other.udp,
            tcp: self.tcp + other.tcp,
            producers: self.producers + other.producers,
            consumers: self.consumers + other.consumers,
            paused: self.paused + other.paused,
            shown: add_each(self.shown, other.shown),
            paths: Paths {
                unknown: self.paths.unknown + other.paths.unknown,
                bands: add_each(self.paths.bands, other.paths.bands),
            },
        }
    }
}

fn add_each<const N: usize>(a: [u64; N], b: [u64; N]) -> [u64; N] {
    std::array::from_fn(|index| a[index] + b[index])
}

/// Upper ends of [`Paths::bands`], in bits per second.
pub const BANDS: [u64; 8] = [
    100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000,
];

/// Paths to connected subscribers by what they are believed to carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Paths {
    /// The peer's feedback has not told yet.
    pub unknown: u64,
    /// From the end of the band before up to, and without, this one's in [`BANDS`]; the last one
    /// has no end.
    pub bands: [u64; BANDS.len() + 1],
}

impl Paths {
    /// Counts a path that carries so many bits per second, if that is known.
    pub(crate) fn note(&mut self, bandwidth: Option<u64>) {
        let Some(bandwidth) = bandwidth else {
            self.unknown += 1;
            return;
        };
        let band = BANDS.partition_point(|end| *end <= bandwidth);
        self.bands[band] += 1;
    }
}

macro_rules! sum_of_fields {
    ($name:ident: $($field:ident)*) => {
        impl Add for $name {
            type Output = $name;

            fn add(self, other: $name) -> $name {
                $name { $($field: self.$field + other.$field),* }
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: $name) {
                *self = *self + other;
            }
        }
    };
}

sum_of_fields!(Received: packets bytes lost key_frames);
sum_of_fields!(Sent: packets bytes resent dropped lost);
sum_of_fields!(Asked: packets picture_losses full_intras);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_in_two_bands_or_in_none() {
        let mut paths = Paths::default();
        for bandwidth in [0, 99_999, 100_000, 24_999_999, 25_000_000, u64::MAX] {
            paths.note(Some(bandwidth));
        }
        paths.note(None);
        assert_eq!(paths.bands, [2, 1, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(paths.unknown, 1);
    }
}
