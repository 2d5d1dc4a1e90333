//! Media whose every byte is known at both ends.

use umbrella_media::Kind;

/// Packets of one picture.
pub(super) const PACKETS: u64 = 3;

/// Bytes of a VP8 payload descriptor with a picture id of 15 bits (RFC 7741, section 4.2).
const DESCRIPTOR: usize = 4;

/// Where a packet's number is in its payload.
const NUMBER: usize = 16;

/// A media packet that has arrived, whole and authentic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaPacket {
    /// Audio or video.
    pub kind: Kind,
    /// RTP sequence number, with how often it has wrapped above its 16 bits.
    pub sequence: u64,
    /// What the RTP packet carries.
    pub payload: Vec<u8>,
}

/// What one packet is, which is known from its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) kind: Kind,
    /// Counted from 0 in the order of sending.
    pub(super) number: u64,
    /// Part of a key frame; never of audio.
    pub(super) key_frame: bool,
}

impl Content {
    pub(super) fn is_first(self) -> bool {
        self.kind == Kind::Video && self.number.is_multiple_of(PACKETS)
    }

    pub(super) fn is_last(self) -> bool {
        self.kind == Kind::Video && self.number % PACKETS == PACKETS - 1
    }

    /// No decoder will see it, but the server looks at its beginning: at the configuration of Opus
    /// (RFC 6716, section 3.1), or at the descriptor and the header of a VP8 frame (RFC 7741,
    /// sections 4.2 and 4.3).
    pub(super) fn payload(self) -> Vec<u8> {
        let mut bytes = match self.kind {
            Kind::Audio => vec![0x78],
            Kind::Video => self.vp8(),
        };
        bytes.resize(NUMBER - 1, 0);
        bytes.push(u8::from(self.key_frame));
        bytes.extend(self.number.to_be_bytes());
        // Sizes differ, so that a packet that ends too early, or not, is seen. Those of a picture are
        // the same but for the last one, so that they can be sent as one run.
        let size = match self.kind {
            Kind::Audio => 60 + self.number % 60,
            Kind::Video => 300 + self.number / PACKETS % 300 - u64::from(self.is_last()),
        };
        let seed = self.number << 1 | u64::from(self.key_frame);
        let mut state = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bytes.extend((0..size).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        }));
        bytes
    }

    fn vp8(self) -> Vec<u8> {
        let [.., high, low] = (self.number / PACKETS).to_be_bytes();
        let start = if self.is_first() { 0x10 } else { 0 };
        let mut bytes = vec![0x80 | start, 0x80, 0x80 | high, low];
        if self.is_first() {
            bytes.extend([u8::from(!self.key_frame), 0, 0]);
            if self.key_frame {
                // The start code, and 320 by 180.
                bytes.extend([0x9d, 0x01, 0x2a, 64, 1, 180, 0]);
            }
        }
        bytes
    }

    /// What a payload claims to be.
    fn read(kind: Kind, payload: &[u8]) -> Option<Content> {
        let key_frame = *payload.get(NUMBER - 1)? == 1;
        let number = payload.get(NUMBER..)?.first_chunk::<8>()?;
        Some(Content {
            kind,
            number: u64::from_be_bytes(*number),
            key_frame,
        })
    }

    /// Whether a payload is what it claims to be, but for the picture id, which is the server's.
    fn is(self, payload: &[u8]) -> bool {
        let sent = self.payload();
        let from = match self.kind {
            Kind::Audio => 0,
            Kind::Video => DESCRIPTOR,
        };
        sent.len() == payload.len() && sent[from..] == payload[from..]
    }
}

/// Looks at one track as it arrives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Witness {
    last: Option<(u64, u64)>,
    /// Packets that have come one after the other, whole and in order, up to now.
    pub in_a_row: u32,
    /// All that have come.
    pub packets: u32,
    /// How often one came that was not the next one.
    pub holes: u32,
    /// Packets that are not what was sent.
    pub damaged: u32,
    /// Beginnings of key frames.
    pub key_frames: u32,
}

impl Witness {
    /// Notes the next packet of the track.
    pub fn take(&mut self, packet: &MediaPacket) {
        self.packets += 1;
        let content = Content::read(packet.kind, &packet.payload);
        let Some(content) = content.filter(|content| content.is(&packet.payload)) else {
            self.damaged += 1;
            self.in_a_row = 0;
            return;
        };
        let key_frame = content.key_frame && content.is_first();
        self.key_frames += u32::from(key_frame);
        let follows = self.last.is_none_or(|(sequence, number)| {
            // Pictures may be left out before a key frame: a server that has lost one waits for it.
            let next =
                content.number == number.wrapping_add(1) || (key_frame && content.number > number);
            packet.sequence == sequence.wrapping_add(1) && next
        });
        self.holes += u32::from(!follows);
        self.in_a_row = if follows { self.in_a_row + 1 } else { 1 };
        self.last = Some((packet.sequence, content.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: Kind, number: u64, key_frame: bool) -> MediaPacket {
        let content = Content {
            kind,
            number,
            key_frame,
        };
        MediaPacket {
            kind,
            sequence: 65_530 + number,
            payload: content.payload(),
        }
    }

    fn seen(packets: impl IntoIterator<Item = MediaPacket>) -> Witness {
        let mut witness = Witness::default();
        for packet in packets {
            witness.take(&packet);
        }
        witness
    }

    #[test]
    fn good_media_are_called_damaged() {
        for kind in [Kind::Audio, Kind::Video] {
            let video = kind == Kind::Video;
            let witness = seen((0..30).map(|n| packet(kind, n, video && n < PACKETS)));
            assert_eq!((witness.in_a_row, witness.packets), (30, 30));
            assert_eq!((witness.holes, witness.damaged), (0, 0));
            assert_eq!(witness.key_frames, u32::from(video));
        }
    }

    #[test]
    fn server_renumbers_pictures_and_is_blamed_for_it() {
        let mut renumbered = packet(Kind::Video, 4, false);
        renumbered.payload[3] ^= 0x55;
        assert_eq!(seen([renumbered]).damaged, 0);
    }

    #[test]
    fn one_wrong_byte_goes_unnoticed() {
        for kind in [Kind::Audio, Kind::Video] {
            let good = packet(kind, 4, false);
            let from = if kind == Kind::Video { DESCRIPTOR } else { 0 };
            for at in from..good.payload.len() {
                let mut wrong = good.clone();
                wrong.payload[at] ^= 1;
                let witness = seen([wrong]);
                assert_eq!((witness.damaged, witness.in_a_row), (1, 0), "byte {at}");
            }
            let mut short = good.clone();
            short.payload.pop();
            assert_eq!(seen([short]).damaged, 1);
        }
    }

    #[test]
    fn packets_out_of_order_or_missing_go_unnoticed() {
        let audio = |number| packet(Kind::Audio, number, false);
        assert_eq!(seen([audio(1), audio(3)]).holes, 1);
        assert_eq!(seen([audio(2), audio(1)]).holes, 1);
        assert_eq!(seen([audio(1), audio(1)]).holes, 1);
        // What the server leaves out is not seen by the sequence number.
        let mut left_out = audio(3);
        left_out.sequence -= 1;
        assert_eq!(seen([audio(1), left_out]).in_a_row, 1);
        // Before a key frame that is its right.
        let mut key_frame = packet(Kind::Video, 9, true);
        key_frame.sequence = 65_530 + 3;
        let witness = seen([packet(Kind::Video, 2, false), key_frame]);
        assert_eq!((witness.in_a_row, witness.key_frames), (2, 1));
    }
}
