//! Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).

/// One report on packets that carried a transport-wide number.
///
/// A number of the range that is not among the received is *missing*, which is not the same as
/// lost: it may be in a later report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TwccReport {
    /// The first number of the range.
    pub base: u16,
    /// How many numbers the range has.
    pub count: u16,
    /// The time that arrivals are relative to, in units of 64 ms; 24 bits with sign, so it wraps.
    pub reference: i32,
    /// The reporter's number of this report; a gap means that one was lost or is late.
    pub feedback: u8,
    /// What has arrived, in the order of the numbers.
    pub received: Vec<Arrival>,
}

/// The arrival of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its transport-wide number.
    pub number: u16,
    /// When, in units of 250 µs after the reference time.
    pub at: i32,
}

/// The report does not hold what it announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Where the status chunks begin, counted from the RTCP header.
const CHUNKS_AT: usize = 20;

impl TwccReport {
    /// Reads a whole RTCP packet (205, format 15), with its header and without padding. The
    /// vector of `self` is reused. The cost is bounded by the packet's length, not by the range
    /// that it claims to cover.
    pub(super) fn read(&mut self, packet: &[u8]) -> Result<(), Malformed> {
        self.received.clear();
        let head = packet.get(..CHUNKS_AT).ok_or(Malformed)?;
        self.base = u16::from_be_bytes([head[12], head[13]]);
        self.count = u16::from_be_bytes([head[14], head[15]]);
        self.reference = i32::from_be_bytes([head[16], head[17], head[18], 0]) >> 8;
        self.feedback = head[19];
        let mut deltas = Deltas {
            packet,
            at: skip_chunks(packet, self.count)?,
            time: 0,
        };
        let mut chunks = packet[CHUNKS_AT..].chunks_exact(2);
        let mut done = 0;
        while done < self.count {
            let chunk = chunks.next().ok_or(Malformed)?;
            let chunk = Chunk(u16::from_be_bytes([chunk[0], chunk[1]]));
            done += self.read_chunk(chunk, done, &mut deltas)?;
        }
        Ok(())
    }

    /// Returns how many numbers the chunk covers.
    fn read_chunk(
        &mut self,
        chunk: Chunk,
        done: u16,
        deltas: &mut Deltas<'_>,
    ) -> Result<u16, Malformed> {
        let covered = chunk.covers().min(self.count - done);
        if chunk.is_run_of_missing() {
            return Ok(covered);
        }
        for i in 0..covered {
            let at = match chunk.status(i) {
                Status::Missing => continue,
                Status::Small => deltas.next_small()?,
                Status::Large => deltas.next_large()?,
            };
            let number = self.base.wrapping_add(done).wrapping_add(i);
            self.received.push(Arrival { number, at });
        }
        Ok(covered)
    }
}

/// A packet status chunk (section 3.1.2 to 3.1.4).
#[derive(Clone, Copy)]
struct Chunk(u16);

enum Status {
    Missing,
    /// One byte of delta.
    Small,
    /// Two bytes with sign.
    Large,
}

impl Chunk {
    fn covers(self) -> u16 {
        match self.0 >> 14 {
            0 | 1 => self.0 & 0x1fff,
            2 => 14,
            _ => 7,
        }
    }

    fn is_run_of_missing(self) -> bool {
        matches!(self.0 >> 13, 0 | 3) // run length, "not received" or reserved
    }

    fn status(self, i: u16) -> Status {
        let symbol = match self.0 >> 14 {
            0 | 1 => self.0 >> 13 & 3,
            2 => self.0 >> (13 - i) & 1,
            _ => self.0 >> (12 - 2 * i) & 3,
        };
        match symbol {
            1 => Status::Small,
            2 => Status::Large,
            _ => Status::Missing,
        }
    }
}

/// Where the deltas begin: behind the chunks that cover `count` numbers.
fn skip_chunks(packet: &[u8], count: u16) -> Result<usize, Malformed> {
    let mut at = CHUNKS_AT;
    let mut covered = 0u32;
    while covered < u32::from(count) {
        let chunk = packet.get(at..at + 2).ok_or(Malformed)?;
        let covers = Chunk(u16::from_be_bytes([chunk[0], chunk[1]])).covers();
        covered += u32::from(covers);
        at += 2;
    }
    Ok(at)
}

struct Deltas<'a> {
    packet: &'a [u8],
    at: usize,
    time: i32,
}

impl Deltas<'_> {
    fn next_small(&mut self) -> Result<i32, Malformed> {
        let delta = *self.packet.get(self.at).ok_or(Malformed)?;
        self.at += 1;
        self.time += i32::from(delta);
        Ok(self.time)
    }

    fn next_large(&mut self) -> Result<i32, Malformed> {
        let delta = self.packet.get(self.at..self.at + 2).ok_or(Malformed)?;
        self.at += 2;
        self.time += i32::from(i16::from_be_bytes([delta[0], delta[1]]));
        Ok(self.time)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes a report with one two-bit vector chunk per seven packets.
    pub(in super::super) fn write(base: u16, feedback: u8, deltas: &[Option<i16>]) -> Vec<u8> {
        let mut packet = vec![0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
        packet.extend_from_slice(&base.to_be_bytes());
        packet.extend_from_slice(&(deltas.len() as u16).to_be_bytes());
        packet.extend_from_slice(&[0xff, 0xff, 0xfe, feedback]);
        for seven in deltas.chunks(7) {
            let mut chunk = 0xC000u16;
            for (i, delta) in seven.iter().enumerate() {
                let symbol = match delta {
                    None => 0,
                    Some(0..=255) => 1,
                    Some(_) => 2,
                };
                chunk |= symbol << (12 - 2 * i);
            }
            packet.extend_from_slice(&chunk.to_be_bytes());
        }
        for delta in deltas.iter().flatten() {
            match u8::try_from(*delta) {
                Ok(small) => packet.push(small),
                Err(_) => packet.extend_from_slice(&delta.to_be_bytes()),
            }
        }
        packet.resize(packet.len().next_multiple_of(4), 0);
        let words = (packet.len() / 4 - 1) as u16;
        packet[2..4].copy_from_slice(&words.to_be_bytes());
        packet
    }

    #[test]
    fn run_and_vector_chunks_are_read() {
        let mut packet = vec![0x8f, 205, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2];
        packet.extend_from_slice(&65_534u16.to_be_bytes());
        packet.extend_from_slice(&20u16.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 5, 9]);
        packet.extend_from_slice(&(1u16 << 13 | 2).to_be_bytes()); // two small deltas
        packet.extend_from_slice(&4u16.to_be_bytes()); // four missing
        packet.extend_from_slice(&0b1010_0000_0000_0001u16.to_be_bytes()); // 14 × one bit
        packet.extend_from_slice(&[3, 4, 5, 6]);
        let mut report = TwccReport::default();
        report.read(&packet).unwrap();
        let arrivals = [(65_534, 3), (65_535, 7), (4, 12), (17, 18)];
        let arrivals = arrivals.map(|(number, at)| Arrival { number, at });
        assert_eq!(report.received, arrivals);
        assert_eq!(
            (report.reference, report.feedback, report.count),
            (5, 9, 20)
        );
    }

    #[test]
    fn a_claim_of_65535_packets_costs_nothing() {
        let mut packet = vec![
            0x8f, 205, 0, 8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0xff, 0xff, 0, 0, 0, 0,
        ];
        packet.resize(36, 0x1f);
        let mut report = TwccReport::default();
        assert_eq!(
            report.read(&packet),
            Err(Malformed),
            "runs of 0x1f1f cover too little"
        );
        for at in (20..36).step_by(2) {
            packet[at..at + 2].copy_from_slice(&0x1fffu16.to_be_bytes());
        }
        packet.extend_from_slice(&[0x1f, 0xff]);
        assert_eq!(report.read(&packet), Ok(()));
        assert_eq!(report.received, []);
        assert_eq!(report.received.capacity(), 0);
    }

    proptest! {
        #[test]
        fn a_report_reads_back(
            base: u16,
            feedback: u8,
            deltas in proptest::collection::vec(proptest::option::of(-500i16..500), 1..300),
        ) {
            let mut report = TwccReport::default();
            prop_assert_eq!(report.read(&write(base, feedback, &deltas)), Ok(()));
            let mut time = 0;
            let mut expected = vec![];
            for (i, delta) in deltas.iter().enumerate() {
                if let Some(delta) = delta {
                    time += i32::from(*delta);
                    expected.push(Arrival { number: base.wrapping_add(i as u16), at: time });
                }
            }
            prop_assert_eq!(report.received, expected);
            prop_assert_eq!(report.reference, -2);
            prop_assert_eq!(report.feedback, feedback);
        }

        #[test]
        fn a_damaged_report_does_no_harm(
            mut packet in proptest::collection::vec(any::<u8>(), 0..200),
            count: u16,
        ) {
            if let Some(place) = packet.get_mut(14..16) {
                place.copy_from_slice(&count.to_be_bytes());
            }
            let mut report = TwccReport::default();
            let _ = report.read(&packet);
            prop_assert!(report.received.len() <= packet.len());
        }
    }
}
