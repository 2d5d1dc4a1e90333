//! Frames as bytes.

use prost::Message as _;
use umbrella_wire::trunk::Frame;

/// Bytes of the longest frame.
pub const MAX_FRAME: usize = 256 * 1024;

/// What the sockets take: a frame that is a little too long is refused by us, in words that arrive.
pub(super) const MAX_MESSAGE: usize = MAX_FRAME + 4096;

/// Reads a frame of somebody who has proved who they are.
///
/// # Errors
///
/// If it is too long or no frame; for the neighbour and the operator.
pub(crate) fn decode(bytes: &[u8]) -> Result<Frame, String> {
    if bytes.len() > MAX_FRAME {
        return Err(format!("a frame has more than {MAX_FRAME} bytes"));
    }
    Frame::decode(bytes).map_err(|error| format!("a frame cannot be read: {error}"))
}
