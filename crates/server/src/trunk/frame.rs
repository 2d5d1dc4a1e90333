//! Frames as bytes.

use prost::Message as _;
use umbrella_wire::trunk::Frame;
use umbrella_wire::trunk::frame::Message;

/// Bytes of the longest frame.
pub const MAX_FRAME: usize = 256 * 1024;

/// What a piece of another trunk that is passed on may have besides its frame.
const ENVELOPE: usize = 256;

/// How such a piece begins: with the number of its field.
const RELAYED: [u8; 2] = [0x8a, 0x04];

/// What the sockets take: a frame that is a little too long is refused by us, in words that arrive.
pub(super) const MAX_MESSAGE: usize = MAX_FRAME + 4096;

/// Reads a frame of somebody who has proved who they are.
///
/// # Errors
///
/// If it is too long or no frame; for the neighbour and the operator.
pub(crate) fn decode(bytes: &[u8]) -> Result<Frame, String> {
    let most = if bytes.starts_with(&RELAYED) {
        MAX_FRAME + ENVELOPE
    } else {
        MAX_FRAME
    };
    if bytes.len() > most {
        return Err(format!("a frame has more than {most} bytes"));
    }
    Frame::decode(bytes).map_err(|error| format!("a frame cannot be read: {error}"))
}

/// Bytes that a frame may have.
pub(super) fn most(frame: &Frame) -> usize {
    match &frame.message {
        Some(Message::Relayed(_)) => MAX_FRAME + ENVELOPE,
        _ => MAX_FRAME,
    }
}
