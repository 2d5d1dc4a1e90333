//! Reads the RTCP of a peer that receives from us.

/// One thing that a peer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// How a stream arrives.
    Report(ReportBlock),
    /// Packets of a stream that are missing (RFC 4585 section 6.2.1).
    Nack { ssrc: u32, first: u16, more: u16 },
    /// A key frame is wanted (RFC 4585 section 6.3.1).
    PictureLoss { ssrc: u32 },
    /// A key frame is wanted, with a number to tell a repetition (RFC 5104 section 4.3.1).
    FullIntra { ssrc: u32, number: u8 },
    /// Transport-wide feedback: the whole RTCP packet.
    TransportCc(&'a [u8]),
    /// The receiver's own estimate in bits per second (draft-alvestrand-rmcat-remb-03).
    Remb { bitrate: u64 },
}

/// A report block (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReportBlock {
    pub(super) ssrc: u32,
    /// Of 256, since the last report.
    pub(super) fraction_lost: u8,
    /// Packets since the beginning, 24 bits with a sign: repeated ones count against lost ones.
    pub(super) lost: i32,
    /// In units of the stream's clock.
    pub(super) jitter: u32,
    /// Middle bits of the NTP time of the last sender report that has arrived; 0 for none.
    pub(super) last_report: u32,
    /// Time since then in 1/65536 s.
    pub(super) delay: u32,
}

/// The lengths do not add up; what came before is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
/// RTCP header, sender's and media SSRC.
const FEEDBACK_START: usize = 12;

/// Reads a compound packet. Packets of other types are skipped. Calls `item` at most once per
/// four bytes.
pub(super) fn read<'a>(
    compound: &'a [u8],
    item: &mut dyn FnMut(Item<'a>),
) -> Result<(), Malformed> {
    let mut rest = compound;
    while !rest.is_empty() {
        let (packet, tail) = split_packet(rest).ok_or(Malformed)?;
        rest = tail;
        let format = packet[0] & 0x1f;
        match (packet[1], format) {
            (SENDER_REPORT, count) => read_blocks(packet, 28, count, item)?,
            (RECEIVER_REPORT, count) => read_blocks(packet, 8, count, item)?,
            (TRANSPORT_FEEDBACK, 1) => read_nack(packet, item)?,
            (TRANSPORT_FEEDBACK, 15) => item(Item::TransportCc(packet)),
            (PAYLOAD_FEEDBACK, 1) => {
                item(Item::PictureLoss {
                    ssrc: u32_at(packet, 8).ok_or(Malformed)?,
                });
            }
            (PAYLOAD_FEEDBACK, 4) => read_full_intra(packet, item)?,
            (PAYLOAD_FEEDBACK, 15) => read_application(packet, item),
            _ => {}
        }
    }
    Ok(())
}

/// The first packet without its padding, and the rest.
fn split_packet(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let words = u16_at(rest, 2)?;
    if rest[0] >> 6 != 2 {
        return None;
    }
    let (packet, tail) = rest.split_at_checked(4 + 4 * usize::from(words))?;
    if packet[0] & 0x20 == 0 {
        return Some((packet, tail));
    }
    let padding = usize::from(*packet.last()?);
    let plain = packet
        .len()
        .checked_sub(padding)
        .filter(|plain| *plain >= 4 && padding > 0)?;
    Some((&packet[..plain], tail))
}

fn read_blocks<'a>(
    packet: &[u8],
    at: usize,
    count: u8,
    item: &mut dyn FnMut(Item<'a>),
) -> Result<(), Malformed> {
    const BLOCK: usize = 24;
    let blocks = packet.get(at..).ok_or(Malformed)?;
    if blocks.len() < BLOCK * usize::from(count) {
        return Err(Malformed);
    }
    for block in blocks.chunks_exact(BLOCK).take(count.into()) {
        let word = |at| u32_at(block, at).ok_or(Malformed);
        item(Item::Report(ReportBlock {
            ssrc: word(0)?,
            fraction_lost: block[4],
            // The upper byte is the fraction; shifting it out and back keeps the sign.
            lost: (word(4)? << 8) as i32 >> 8,
            jitter: word(12)?,
            last_report: word(16)?,
            delay: word(20)?,
        }));
    }
    Ok(())
}

fn read_nack<'a>(packet: &[u8], item: &mut dyn FnMut(Item<'a>)) -> Result<(), Malformed> {
    let ssrc = u32_at(packet, 8).ok_or(Malformed)?;
    for entry in packet[FEEDBACK_START..].chunks_exact(4) {
        let first = u16::from_be_bytes([entry[0], entry[1]]);
        let more = u16::from_be_bytes([entry[2], entry[3]]);
        item(Item::Nack { ssrc, first, more });
    }
    Ok(())
}

fn read_full_intra<'a>(packet: &[u8], item: &mut dyn FnMut(Item<'a>)) -> Result<(), Malformed> {
    let entries = packet.get(FEEDBACK_START..).ok_or(Malformed)?;
    for entry in entries.chunks_exact(8) {
        let ssrc = u32_at(entry, 0).ok_or(Malformed)?;
        item(Item::FullIntra {
            ssrc,
            number: entry[4],
        });
    }
    Ok(())
}

/// Application layer feedback: REMB, or something that is not for us.
fn read_application<'a>(packet: &[u8], item: &mut dyn FnMut(Item<'a>)) {
    let body = packet.get(FEEDBACK_START..).unwrap_or_default();
    if let [b'R', b'E', b'M', b'B', _, exponent, mantissa @ ..] = body
        && let [low1, low0, ..] = mantissa
    {
        let shift = exponent >> 2;
        let mantissa = u64::from(exponent & 3) << 16 | u64::from(*low1) << 8 | u64::from(*low0);
        // 18 bits shifted by up to 63 may overflow, and more than 2^46 bit/s is nonsense anyway.
        let bitrate = if shift > 46 {
            u64::MAX
        } else {
            mantissa << shift
        };
        item(Item::Remb { bitrate });
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items(compound: &[u8]) -> (Vec<Item<'_>>, Result<(), Malformed>) {
        let mut items = vec![];
        let result = read(compound, &mut |item| items.push(item));
        (items, result)
    }

    #[test]
    fn each_kind_of_feedback_is_read() {
        let mut compound = vec![0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9, 64, 0, 0, 2];
        compound.extend_from_slice(&[0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6]);
        compound.extend_from_slice(&[0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 9, 0, 7, 0, 5]);
        compound.extend_from_slice(&[0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9]);
        compound.extend_from_slice(&[0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0]);
        compound.extend_from_slice(&[0, 0, 0, 8, 33, 0, 0, 0]);
        compound.extend_from_slice(&[0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0]);
        compound.extend_from_slice(b"REMB");
        compound.extend_from_slice(&[1, 3 << 2 | 1, 0, 2, 0, 0, 0, 9]);
        let report = ReportBlock {
            ssrc: 9,
            fraction_lost: 64,
            lost: 2,
            jitter: 4,
            last_report: 5,
            delay: 6,
        };
        let expected = [
            Item::Report(report),
            Item::Nack {
                ssrc: 9,
                first: 7,
                more: 5,
            },
            Item::PictureLoss { ssrc: 9 },
            Item::FullIntra {
                ssrc: 8,
                number: 33,
            },
            Item::Remb {
                bitrate: (1 << 16 | 2) << 3,
            },
        ];
        // A length that is too large ends it; what came before counts.
        compound.extend_from_slice(&[0x80, 201, 0, 9]);
        assert_eq!(items(&compound), (expected.to_vec(), Err(Malformed)));
    }

    #[test]
    fn padding_is_not_taken_for_nacks() {
        let compound = [
            0xa1, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 9, 0, 7, 0, 0, //
            0, 0, 0, 0, 0, 0, 0, 8,
        ];
        let nack = Item::Nack {
            ssrc: 9,
            first: 7,
            more: 0,
        };
        assert_eq!(items(&compound), (vec![nack], Ok(())));
        let mut endless = compound;
        endless[23] = 25;
        assert_eq!(items(&endless), (vec![], Err(Malformed)));
    }

    proptest! {
        #[test]
        fn rubbish_does_no_harm(
            mut compound in proptest::collection::vec(any::<u8>(), 0..300),
            kind in 200u8..208,
            format in 0u8..32,
            short: bool,
        ) {
            if let [first, second, length, ..] = &mut compound[..] {
                *first = 0x80 | format;
                *second = kind;
                *length = if short { 0 } else { *length };
            }
            let (items, _) = items(&compound);
            prop_assert!(items.len() <= compound.len() / 4);
        }
    }
}
