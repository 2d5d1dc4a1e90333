//! What holds for all bytes that strangers send. Fuzz targets look for bytes for which it does
//! not, tests repeat what they have found.

pub use crate::camera::fuzzing::camera;
pub use crate::cameras::fuzzing::import;
pub use crate::control::data::fuzzing::stamping;
pub use crate::mdns::fuzzing::announcement;
pub use crate::signal::livekit::fuzzing::{greeting, signalling};
pub use crate::trunk::fuzzing::{handshake, trunk_frame};
pub use crate::worker::framing::fuzzing::framing;

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a target on all of its seeds, and on what it has found.
    fn replay(target: &str, run: fn(&[u8])) {
        let dir = format!("{}/../../fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
        let mut files = 0;
        for entry in std::fs::read_dir(&dir).expect("seeds") {
            run(&std::fs::read(entry.unwrap().path()).unwrap());
            files += 1;
        }
        assert!(files > 0, "{dir} is empty");
    }

    #[test]
    fn clients_that_once_broke_something() {
        replay("signalling", signalling);
        replay("greeting", greeting);
    }

    #[test]
    fn neighbours_that_once_broke_something() {
        replay("trunk_frame", trunk_frame);
    }

    #[test]
    fn data_messages_that_once_broke_something() {
        replay("stamping", stamping);
    }

    #[test]
    fn servers_that_once_broke_something() {
        replay("handshake", handshake);
    }

    #[test]
    fn cameras_that_once_broke_something() {
        replay("camera", camera);
    }

    #[test]
    fn files_that_once_broke_something() {
        replay("import", import);
    }

    #[test]
    fn announcements_that_once_broke_something() {
        replay("announcement", announcement);
    }

    #[test]
    fn streams_that_once_broke_something() {
        replay("framing", framing);
    }
}
