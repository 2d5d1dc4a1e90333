//! Corrects the RTCP that str0m writes.

use crate::totals::Asked;

/// What a sender report says of a stream of ours (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderInfo {
    /// The time of the report, 32.32 bits.
    pub ntp: u64,
    /// The same moment on the stream's RTP clock.
    pub rtp: u32,
    /// Packets sent, modulo 2^32.
    pub packets: u32,
    /// Payload bytes sent, modulo 2^32.
    pub octets: u32,
}

impl SenderInfo {
    pub(crate) const LEN: usize = 20;

    pub(crate) fn to_bytes(self) -> [u8; SenderInfo::LEN] {
        let mut out = [0; SenderInfo::LEN];
        out[..8].copy_from_slice(&self.ntp.to_be_bytes());
        out[8..12].copy_from_slice(&self.rtp.to_be_bytes());
        out[12..16].copy_from_slice(&self.packets.to_be_bytes());
        out[16..].copy_from_slice(&self.octets.to_be_bytes());
        out
    }
}

/// What [`rewrite`] has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rewritten {
    /// Sender reports with corrected sender info.
    pub(super) corrected: u64,
    /// Sender reports of silent streams that became receiver reports.
    pub(super) demoted: u64,
    /// There was a BYE.
    pub(super) bye: bool,
    /// What the peer is asked for.
    pub(super) asked: Asked,
}

/// The lengths inside of a compound packet do not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BrokenLengths;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const BYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
/// Header and SSRC.
const REPORT_START: usize = 8;
const BLOCKS_AT: usize = REPORT_START + SenderInfo::LEN;

/// Appends str0m's compound packet `plain` to `out`, corrected.
///
/// str0m knows nothing of what we have sent, so the sender info of its reports is wrong. But the
/// reports cannot be dropped: it packs its receiver reports into them. So the sender info of a
/// stream for which `senders` has an answer is replaced, and the report of any other stream
/// becomes a receiver report with the same blocks.
pub(super) fn rewrite(
    plain: &[u8],
    out: &mut Vec<u8>,
    senders: &mut dyn FnMut(u32) -> Option<SenderInfo>,
) -> Result<Rewritten, BrokenLengths> {
    let mut done = Rewritten::default();
    let mut rest = plain;
    while !rest.is_empty() {
        let (packet, tail) = split_packet(rest).ok_or(BrokenLengths)?;
        rest = tail;
        done.bye |= packet[1] == BYE;
        note_wishes(packet, &mut done.asked);
        if packet[1] != SENDER_REPORT {
            out.extend_from_slice(packet);
            continue;
        }
        let ssrc = packet
            .get(4..8)
            .and_then(|ssrc| ssrc.try_into().ok())
            .ok_or(BrokenLengths)?;
        let blocks = packet.get(BLOCKS_AT..).ok_or(BrokenLengths)?;
        if let Some(info) = senders(u32::from_be_bytes(ssrc)) {
            done.corrected += 1;
            out.extend_from_slice(&packet[..REPORT_START]);
            out.extend_from_slice(&info.to_bytes());
            out.extend_from_slice(blocks);
            continue;
        }
        done.demoted += 1;
        let count = packet[0] & 0x1f;
        // Without blocks it says nothing, and is kept only where a compound packet has to begin
        // with a report.
        if count != 0 || out.is_empty() {
            let words = ((packet.len() - SenderInfo::LEN) / 4 - 1) as u16;
            out.extend_from_slice(&[packet[0], RECEIVER_REPORT]);
            out.extend_from_slice(&words.to_be_bytes());
            out.extend_from_slice(&ssrc);
            out.extend_from_slice(blocks);
        }
    }
    Ok(done)
}

/// Counts what a feedback packet asks for (RFC 4585 sections 6.2.1 and 6.3.1, RFC 5104 section
/// 4.3.1).
fn note_wishes(packet: &[u8], asked: &mut Asked) {
    const FEEDBACK_START: usize = 12;
    let entries = packet.get(FEEDBACK_START..).unwrap_or_default();
    match (packet[1], packet[0] & 0x1f) {
        (TRANSPORT_FEEDBACK, 1) => {
            let packets = entries.chunks_exact(4).map(|entry| {
                let more = u16::from_be_bytes([entry[2], entry[3]]);
                1 + u64::from(more.count_ones())
            });
            asked.packets += packets.sum::<u64>();
        }
        (PAYLOAD_FEEDBACK, 1) => asked.picture_losses += 1,
        (PAYLOAD_FEEDBACK, 4) => asked.full_intras += (entries.len() / 8) as u64,
        _ => {}
    }
}

fn split_packet(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let words = u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]);
    if rest[0] >> 6 != 2 {
        return None;
    }
    rest.split_at_checked(4 + 4 * usize::from(words))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn report(ssrc: u32, blocks: u8) -> Vec<u8> {
        let mut packet = vec![0x80 | blocks, SENDER_REPORT, 0, 6 + 6 * blocks];
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet.resize(BLOCKS_AT + 24 * usize::from(blocks), 0xEE);
        packet
    }

    const DESCRIPTION: [u8; 12] = [0x81, 202, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0];
    const INFO: SenderInfo = SenderInfo {
        ntp: 5,
        rtp: 6,
        packets: 7,
        octets: 8,
    };

    #[test]
    fn sender_reports_of_str0m_do_not_claim_that_nothing_was_sent() {
        let plain = [
            report(1, 2),
            report(2, 1),
            report(3, 0),
            DESCRIPTION.to_vec(),
        ]
        .concat();
        let mut out = vec![];
        let done = rewrite(&plain, &mut out, &mut |ssrc| (ssrc == 1).then_some(INFO));
        assert_eq!(
            done,
            Ok(Rewritten {
                corrected: 1,
                demoted: 2,
                ..Rewritten::default()
            })
        );
        let mut first = report(1, 2);
        first[8..28].copy_from_slice(&INFO.to_bytes());
        let mut second = vec![0x81, RECEIVER_REPORT, 0, 7, 0, 0, 0, 2];
        second.extend_from_slice(&[0xEE; 24]);
        assert_eq!(out, [first, second, DESCRIPTION.to_vec()].concat());
    }

    #[test]
    fn a_compound_packet_still_begins_with_a_report() {
        let mut out = vec![];
        rewrite(&report(3, 0), &mut out, &mut |_| None).unwrap();
        assert_eq!(out, [0x80, RECEIVER_REPORT, 0, 1, 0, 0, 0, 3]);
    }

    #[test]
    fn a_goodbye_is_noticed() {
        let plain = [0x80, 201, 0, 1, 0, 0, 0, 9, 0x81, BYE, 0, 1, 0, 0, 0, 9];
        let mut out = vec![];
        assert!(rewrite(&plain, &mut out, &mut |_| None).unwrap().bye);
        assert_eq!(out, plain);
    }

    #[test]
    fn broken_lengths_are_refused() {
        for cut in 1..28 {
            let broken = &report(1, 0)[..cut];
            assert_eq!(
                rewrite(broken, &mut vec![], &mut |_| None),
                Err(BrokenLengths)
            );
        }
    }

    proptest! {
        #[test]
        fn rubbish_does_no_harm(plain in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut out = vec![];
            let _ = rewrite(&plain, &mut out, &mut |_| Some(INFO));
            prop_assert!(out.len() <= plain.len());
        }
    }
}
