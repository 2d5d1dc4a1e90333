//! A trunk's socket between two servers that a third one has introduced: what it carries travels as
//! frames of the links to that one.

use bytes::Bytes;
use futures_util::{sink, stream};
use tokio::sync::mpsc;
use umbrella_wire::trunk::frame::Message;
use umbrella_wire::trunk::relayed::What;
use umbrella_wire::trunk::{Frame, Relayed};

use super::hello::frame;
use super::socket::{Incoming, Socket};

/// Frames that have come and were not read.
const UNREAD: usize = 64;

/// One to a server, by way of another one.
///
/// `relay` leads to the server in the middle. What comes back goes into the first; when that is
/// dropped, the socket has ended.
pub(super) fn socket(
    node: &str,
    channel: u64,
    relay: mpsc::Sender<Frame>,
) -> (mpsc::Sender<Bytes>, Socket) {
    let (came, unread) = mpsc::channel(UNREAD);
    let reader = stream::unfold(unread, |mut unread: mpsc::Receiver<Bytes>| async {
        let bytes = unread.recv().await?;
        Some((Ok(Incoming::Frame(bytes)), unread))
    });
    let way = Way {
        node: node.to_owned(),
        channel,
        relay,
    };
    let writer = sink::unfold(way, |way, bytes| async {
        way.send(bytes).await?;
        Ok::<_, String>(way)
    });
    let socket = Socket {
        reader: Box::pin(reader),
        writer: Box::pin(writer),
    };
    (came, socket)
}

/// Where the frames of a socket go. The other end hears of its end.
struct Way {
    node: String,
    channel: u64,
    relay: mpsc::Sender<Frame>,
}

impl Way {
    async fn send(&self, bytes: Bytes) -> Result<(), String> {
        let frame = relayed(&self.node, self.channel, What::Frame(bytes.to_vec()));
        let sent = self.relay.send(frame).await;
        sent.map_err(|_| "the server in between is gone".to_owned())
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        // If it does not fit, the other end hears nothing for too long.
        let _ = self
            .relay
            .try_send(relayed(&self.node, self.channel, What::Closed(true)));
    }
}

/// A piece of it, as the server in the middle is told.
pub(super) fn relayed(node: &str, channel: u64, what: What) -> Frame {
    frame(Message::Relayed(Relayed {
        node: node.to_owned(),
        channel,
        what: Some(what),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn other_end_waits_for_a_socket_that_was_dropped() {
        let (relay, mut relayed) = mpsc::channel(4);
        let (came, mut socket) = socket("b", 3, relay);
        socket.send(b"hello".to_vec()).await.unwrap();
        came.send("there".into()).await.unwrap();
        assert_eq!(socket.next().await, Ok(Some("there".into())));
        drop(came);
        assert_eq!(socket.next().await, Ok(None));
        drop(socket);
        let mut what = Vec::new();
        while let Some(Frame {
            message: Some(Message::Relayed(relayed)),
        }) = relayed.recv().await
        {
            assert!(relayed.node == "b" && relayed.channel == 3);
            what.extend(relayed.what);
        }
        let said = What::Frame(b"hello".to_vec());
        assert_eq!(what, [said, What::Closed(true)]);
    }
}
