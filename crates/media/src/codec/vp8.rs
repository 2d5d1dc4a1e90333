//! VP8, RFC 7741.

/// The numbers in a payload descriptor that must be continuous at the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PictureIds {
    /// Where in the payload the first of the fields below is. They follow each other.
    pub offset: u8,
    /// The picture id (section 4.2), of 15 or of 7 bits.
    pub picture: Option<PictureId>,
    /// TL0PICIDX.
    pub tl0: Option<u8>,
    /// The byte of TID, Y and KEYIDX, as it is.
    pub layer: Option<u8>,
}

/// A picture id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureId {
    /// 7 bits in one byte.
    Short(u8),
    /// 15 bits in two bytes.
    Long(u16),
}
