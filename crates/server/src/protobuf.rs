//! The little of protobuf that is needed to look at a message before it is decoded, or instead.

/// Not a protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The highest number of a field. Some libraries cut higher ones off instead of refusing them, and
/// would read another field than we do.
const MAX_NUMBER: u32 = (1 << 29) - 1;

/// One field of a protobuf message.
#[derive(Debug)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    /// What a length-delimited field holds.
    pub(crate) text: Option<&'a [u8]>,
    /// What a field of variable length holds that is a number.
    pub(crate) value: Option<u64>,
    /// The whole field with its key.
    pub(crate) raw: &'a [u8],
}

impl<'a> Field<'a> {
    /// Takes the first field off a message.
    pub(crate) fn take(rest: &mut &'a [u8]) -> Result<Field<'a>, Malformed> {
        let start = *rest;
        let key = take_varint(rest)?;
        let number = u32::try_from(key >> 3).map_err(|_| Malformed)?;
        if !(1..=MAX_NUMBER).contains(&number) {
            return Err(Malformed);
        }
        let mut value = None;
        let text = match key & 7 {
            0 => {
                value = Some(take_varint(rest)?);
                None
            }
            1 => {
                take(rest, 8)?;
                None
            }
            2 => {
                let length = usize::try_from(take_varint(rest)?).map_err(|_| Malformed)?;
                Some(take(rest, length)?)
            }
            5 => {
                take(rest, 4)?;
                None
            }
            // Groups (3, 4) exist in no message of the protocol.
            _ => return Err(Malformed),
        };
        let raw = &start[..start.len() - rest.len()];
        Ok(Field {
            number,
            text,
            value,
            raw,
        })
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (head, tail) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = tail;
    Ok(head)
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first().ok_or(Malformed)?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
