//! Sender reports of our own.

use crate::secure::SenderInfo;

/// Bytes of reports in one compound packet; the rest goes into another.
const MAX_COMPOUND: usize = 1100;
/// RFC 3550 section 6.1: the source count has five bits.
const MAX_CHUNKS: usize = 31;

/// Collects sender reports and writes them as one compound packet with the source description
/// that it must have (RFC 3550 section 6.1).
#[derive(Debug, Default)]
pub(super) struct Reports {
    reports: Vec<u8>,
    ssrcs: Vec<u32>,
}

impl Reports {
    pub(super) fn add(&mut self, ssrc: u32, info: SenderInfo) {
        self.reports.extend_from_slice(&[0x80, 200, 0, 6]);
        self.reports.extend_from_slice(&ssrc.to_be_bytes());
        self.reports.extend_from_slice(&info.to_bytes());
        self.ssrcs.push(ssrc);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ssrcs.is_empty()
    }

    pub(super) fn is_full(&self, cname: &str) -> bool {
        let next = 28 + chunk_len(cname);
        let len = self.reports.len() + 4 + self.ssrcs.len() * chunk_len(cname);
        self.ssrcs.len() >= MAX_CHUNKS || len + next > MAX_COMPOUND
    }

    /// The compound packet; empties the collection.
    pub(super) fn take(&mut self, cname: &str) -> &[u8] {
        let words = self.ssrcs.len() * chunk_len(cname) / 4;
        self.reports
            .extend_from_slice(&[0x80 | self.ssrcs.len() as u8, 202]);
        self.reports
            .extend_from_slice(&(words as u16).to_be_bytes());
        for ssrc in self.ssrcs.drain(..) {
            let end = self.reports.len() + chunk_len(cname);
            self.reports.extend_from_slice(&ssrc.to_be_bytes());
            self.reports.extend_from_slice(&[1, cname.len() as u8]);
            self.reports.extend_from_slice(cname.as_bytes());
            self.reports.resize(end, 0); // at least one zero byte ends the items
        }
        &self.reports
    }

    pub(super) fn clear(&mut self) {
        self.reports.clear();
        self.ssrcs.clear();
    }
}

/// SSRC, type, length, name, and one to four zero bytes.
fn chunk_len(cname: &str) -> usize {
    (4 + 2 + cname.len() + 1).next_multiple_of(4)
}

/// The longest name that leaves room for a report beside it.
pub(super) const MAX_CNAME: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_comes_with_the_name_of_its_source() {
        let info = SenderInfo {
            ntp: 1 << 32 | 2,
            rtp: 3,
            packets: 4,
            octets: 5,
        };
        let mut reports = Reports::default();
        reports.add(0x0a0b_0c0d, info);
        reports.add(7, info);
        let compound = reports.take("ab1").to_vec();
        assert_eq!(compound[..8], [0x80, 200, 0, 6, 10, 11, 12, 13]);
        assert_eq!(compound[8..28], info.to_bytes());
        assert_eq!(compound[28..36], [0x80, 200, 0, 6, 0, 0, 0, 7]);
        let description = [
            0x82, 202, 0, 6, 10, 11, 12, 13, 1, 3, b'a', b'b', b'1', 0, 0, 0,
        ];
        assert_eq!(compound[56..72], description);
        assert_eq!(
            compound[72..],
            [0, 0, 0, 7, 1, 3, b'a', b'b', b'1', 0, 0, 0]
        );
    }

    #[test]
    fn a_compound_packet_fits_a_datagram() {
        let info = SenderInfo {
            ntp: 1,
            rtp: 3,
            packets: 4,
            octets: 5,
        };
        let cname = "x".repeat(MAX_CNAME);
        let mut reports = Reports::default();
        let mut count = 0;
        while !reports.is_full(&cname) {
            reports.add(count, info);
            count += 1;
        }
        assert!(count >= 8);
        assert!(reports.take(&cname).len() <= MAX_COMPOUND);
    }
}
