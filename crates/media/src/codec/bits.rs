//! Reading of bytes and bits that may end at any moment.

/// Reads bits, most significant first. Every method returns `None` past the end.
#[derive(Debug, Clone)]
pub(crate) struct Bits<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Bits { data, position: 0 }
    }

    pub(crate) fn bit(&mut self) -> Option<bool> {
        let byte = *self.data.get(self.position / 8)?;
        let bit = byte >> (7 - self.position % 8) & 1;
        self.position += 1;
        Some(bit == 1)
    }

    /// Up to 32 bits.
    pub(crate) fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            value = value << 1 | u32::from(self.bit()?);
        }
        Some(value)
    }

    pub(crate) fn skip(&mut self, count: u32) -> Option<()> {
        self.position = self.position.checked_add(count as usize)?;
        (self.position <= self.data.len() * 8).then_some(())
    }

    /// `ns(n)` of the AV1 specification (section 4.10.7): a number below `n`.
    pub(crate) fn non_symmetric(&mut self, n: u32) -> Option<u32> {
        let width = u32::BITS - n.leading_zeros();
        let short = (1u32.checked_shl(width)?).checked_sub(n)?;
        let value = self.take(width.saturating_sub(1))?;
        if value < short {
            return Some(value);
        }
        let extra = self.take(1)?;
        (value << 1).checked_add(extra)?.checked_sub(short)
    }

    /// `ue(v)` of the H.264 specification (section 9.1).
    pub(crate) fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let rest = self.take(zeros)?;
        ((1u32 << zeros) - 1).checked_add(rest)
    }

    /// `se(v)` of the H.264 specification (section 9.1.1).
    pub(crate) fn signed_exp_golomb(&mut self) -> Option<i32> {
        let code = self.exp_golomb()?;
        let magnitude = i32::try_from(code.div_ceil(2)).ok()?;
        Some(if code % 2 == 1 { magnitude } else { -magnitude })
    }
}

/// Takes bytes off the front of a slice.
#[derive(Debug, Clone)]
pub(crate) struct Bytes<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> Bytes<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Bytes { data, position: 0 }
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let byte = *self.data.get(self.position)?;
        self.position += 1;
        Some(byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    pub(crate) fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let end = self.position.checked_add(len)?;
        let slice = self.data.get(self.position..end)?;
        self.position = end;
        Some(slice)
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.data.get(self.position..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_reads_the_table_of_the_specification() {
        // 1, 010, 011, 00100, 00101 -> 0, 1, 2, 3, 4
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let read: Vec<_> = (0..5).map(|_| bits.exp_golomb()).collect();
        assert_eq!(read, [Some(0), Some(1), Some(2), Some(3), Some(4)]);
        let mut bits = Bits::new(&[0b0100_1100]);
        assert_eq!(
            (bits.signed_exp_golomb(), bits.signed_exp_golomb()),
            (Some(1), Some(-1))
        );
    }

    #[test]
    fn numbers_below_five_take_two_or_three_bits() {
        let mut bits = Bits::new(&[0b0001_1011, 0b1100_0000]);
        let read: Vec<_> = (0..4).map(|_| bits.non_symmetric(5)).collect();
        assert_eq!(read, [Some(0), Some(1), Some(2), Some(3 + 1)]);
    }

    #[test]
    fn reading_past_the_end_gives_nothing() {
        assert_eq!(Bits::new(&[0xff]).take(9), None);
        assert_eq!(Bits::new(&[0, 0, 0, 0, 0]).exp_golomb(), None);
        assert_eq!(Bytes::new(&[1]).u16(), None);
        assert_eq!(Bytes::new(&[1]).slice(2), None);
    }
}
