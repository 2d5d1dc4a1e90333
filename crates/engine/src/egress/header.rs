//! RTP headers as one receiver wants them.

use umbrella_media::Packet;

/// The ids that a receiver has negotiated for the header extensions that we write (RFC 8285);
/// `None` leaves an extension out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtensionIds {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid`, in every packet.
    pub mid: Option<u8>,
    /// `transport-wide-cc-extensions-01`, in every packet.
    pub transport_cc: Option<u8>,
    /// `abs-send-time`, in every packet.
    pub abs_send_time: Option<u8>,
    /// `ssrc-audio-level`, RFC 6464.
    pub audio_level: Option<u8>,
    /// `urn:3gpp:video-orientation`.
    pub orientation: Option<u8>,
    /// `playout-delay`.
    pub playout_delay: Option<u8>,
    /// `abs-capture-time`.
    pub capture_time: Option<u8>,
    /// The dependency descriptor of AV1 (and VP9).
    pub dependency: Option<u8>,
}

/// What differs from packet to packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) payload_type: u8,
    pub(super) marker: bool,
    pub(super) timestamp: u32,
    pub(super) transport_cc: u16,
    pub(super) abs_send_time: [u8; 3],
    /// Replaces the frame number in the dependency descriptor.
    pub(super) frame_number: Option<u16>,
}

/// The headers of one stream: what is the same in every packet is laid out once.
#[derive(Debug, Clone)]
pub(super) struct Template {
    one_byte: Fixed,
    two_byte: Fixed,
    /// The extensions of every packet need the two-byte form already.
    always_two_byte: bool,
    ids: ExtensionIds,
}

/// How an extension begins (RFC 8285 sections 4.2 and 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    OneByte,
    TwoByte,
}

/// Header and the extensions of every packet.
#[derive(Debug, Clone)]
struct Fixed {
    bytes: Vec<u8>,
    abs_send_time: Option<usize>,
    transport_cc: Option<usize>,
}

const MAX_ONE_BYTE_ID: u8 = 14;
const MAX_ONE_BYTE_LEN: usize = 16;
const HEADER: usize = 12;
/// Profile and length of the extension block.
const BLOCK_START: usize = HEADER + 4;

impl Template {
    /// `mid` goes into every packet if there is an id for it.
    pub(super) fn new(mid: &str, ids: ExtensionIds) -> Template {
        let mid = mid.as_bytes();
        let fixed = [ids.mid, ids.transport_cc, ids.abs_send_time];
        let large_id = fixed.into_iter().flatten().any(|id| id > MAX_ONE_BYTE_ID);
        let always_two_byte = large_id || ids.mid.is_some() && mid.len() > MAX_ONE_BYTE_LEN;
        Template {
            one_byte: Fixed::new(mid, ids, Form::OneByte),
            two_byte: Fixed::new(mid, ids, Form::TwoByte),
            always_two_byte,
            ids,
        }
    }

    /// Whether packets carry a transport-wide number.
    pub(super) fn has_transport_cc(&self) -> bool {
        self.one_byte.transport_cc.is_some() || self.two_byte.transport_cc.is_some()
    }

    /// Puts the header of one packet into `out`, which is cleared first. Sequence number and
    /// SSRC are left to the sealer.
    pub(super) fn write(&self, packet: &Packet, fields: Fields, out: &mut Vec<u8>) {
        let form = self.form(packet);
        self.write_fixed(form, fields, out);
        self.append_variable(packet, fields.frame_number, form, out);
        finish(out);
    }

    fn write_fixed(&self, form: Form, fields: Fields, out: &mut Vec<u8>) {
        let fixed = match form {
            Form::OneByte => &self.one_byte,
            Form::TwoByte => &self.two_byte,
        };
        out.clear();
        out.extend_from_slice(&fixed.bytes);
        out[1] = fields.payload_type & 0x7f | u8::from(fields.marker) << 7;
        out[4..8].copy_from_slice(&fields.timestamp.to_be_bytes());
        if let Some(at) = fixed.abs_send_time {
            out[at..at + 3].copy_from_slice(&fields.abs_send_time);
        }
        if let Some(at) = fixed.transport_cc {
            out[at..at + 2].copy_from_slice(&fields.transport_cc.to_be_bytes());
        }
    }

    /// Puts the header of a packet of padding into `out`: the last byte of its payload says how
    /// many there are (RFC 3550 section 5.1).
    pub(super) fn write_padding(&self, fields: Fields, out: &mut Vec<u8>) {
        let form = match self.always_two_byte {
            true => Form::TwoByte,
            false => Form::OneByte,
        };
        self.write_fixed(form, fields, out);
        finish(out);
        out[0] |= 0x20;
    }

    /// One-byte headers where they can hold what there is: every peer reads those.
    fn form(&self, packet: &Packet) -> Form {
        let dependency = packet.dependency.as_ref().map_or(0, |value| value.len());
        let present = [
            (self.ids.audio_level, packet.audio_level.map_or(0, |_| 1)),
            (self.ids.orientation, packet.orientation.map_or(0, |_| 1)),
            (
                self.ids.playout_delay,
                packet.playout_delay.map_or(0, |_| 3),
            ),
            (
                self.ids.capture_time,
                packet.capture_time.as_ref().map_or(0, |value| value.len()),
            ),
            (self.ids.dependency, dependency),
        ];
        let large = present.into_iter().any(|(id, len)| {
            id.is_some_and(|id| len > 0 && (id > MAX_ONE_BYTE_ID || len > MAX_ONE_BYTE_LEN))
        });
        if large || self.always_two_byte {
            Form::TwoByte
        } else {
            Form::OneByte
        }
    }

    fn append_variable(
        &self,
        packet: &Packet,
        frame_number: Option<u16>,
        form: Form,
        out: &mut Vec<u8>,
    ) {
        if let (Some(id), Some(level)) = (self.ids.audio_level, packet.audio_level) {
            append(
                out,
                form,
                id,
                &[u8::from(level.voice) << 7 | level.level & 0x7f],
            );
        }
        if let (Some(id), Some(orientation)) = (self.ids.orientation, packet.orientation) {
            append(out, form, id, &[orientation]);
        }
        if let (Some(id), Some((min, max))) = (self.ids.playout_delay, packet.playout_delay) {
            let both = u32::from(min & 0xfff) << 12 | u32::from(max & 0xfff);
            append(out, form, id, &both.to_be_bytes()[1..]);
        }
        if let (Some(id), Some(time)) = (self.ids.capture_time, &packet.capture_time) {
            append(out, form, id, time);
        }
        if let (Some(id), Some(dependency)) = (self.ids.dependency, &packet.dependency) {
            let end = append(out, form, id, dependency);
            // Its first byte holds flags and the template id, the next two the frame number.
            if let (Some(number), true) = (frame_number, dependency.len() >= 3 && end > 0) {
                let at = end - dependency.len() + 1;
                out[at..at + 2].copy_from_slice(&number.to_be_bytes());
            }
        }
    }
}

impl Fixed {
    fn new(mid: &[u8], ids: ExtensionIds, form: Form) -> Fixed {
        let mut bytes = vec![0; BLOCK_START];
        bytes[0] = 0x90; // version 2, with extensions
        let profile: u16 = match form {
            Form::OneByte => 0xBEDE,
            Form::TwoByte => 0x1000,
        };
        bytes[HEADER..HEADER + 2].copy_from_slice(&profile.to_be_bytes());
        let mut place = |id: Option<u8>, value: &[u8]| {
            let end = append(&mut bytes, form, id?, value);
            (end > 0).then(|| end - value.len())
        };
        let abs_send_time = place(ids.abs_send_time, &[0; 3]);
        let transport_cc = place(ids.transport_cc, &[0; 2]);
        place(ids.mid, mid);
        Fixed {
            bytes,
            abs_send_time,
            transport_cc,
        }
    }
}

/// Appends one extension and returns where it ends; 0 if this form cannot hold it, and then
/// nothing is appended.
fn append(out: &mut Vec<u8>, form: Form, id: u8, value: &[u8]) -> usize {
    let Ok(len) = u8::try_from(value.len()) else {
        return 0;
    };
    match form {
        Form::OneByte => {
            let fits = (1..=MAX_ONE_BYTE_ID).contains(&id)
                && (1..=MAX_ONE_BYTE_LEN).contains(&value.len());
            if !fits {
                return 0;
            }
            out.push(id << 4 | (len - 1));
        }
        Form::TwoByte => {
            if id == 0 {
                return 0;
            }
            out.extend_from_slice(&[id, len]);
        }
    }
    out.extend_from_slice(value);
    out.len()
}

/// Pads the extension block and writes its length; takes an empty one away.
fn finish(out: &mut Vec<u8>) {
    if out.len() == BLOCK_START {
        out.truncate(HEADER);
        out[0] = 0x80;
        return;
    }
    out.resize(out.len().next_multiple_of(4), 0);
    let words = ((out.len() - BLOCK_START) / 4) as u16;
    out[HEADER + 2..BLOCK_START].copy_from_slice(&words.to_be_bytes());
}
