//! WebSockets of both sides as one kind: of the library that dials and of the one that serves.

use std::pin::Pin;
use std::time::Duration;

use axum::extract::ws;
use bytes::Bytes;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _, future};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// How long a neighbour may take to take a frame.
pub(super) const WRITE: Duration = Duration::from_secs(15);

/// How long an end may take to be said.
pub(super) const CLOSE: Duration = Duration::from_secs(1);

/// What comes.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A frame of ours.
    Frame(Bytes),
    /// Something of the WebSocket itself.
    Other,
    /// The end.
    Closed,
}

pub(super) type Reader = Pin<Box<dyn Stream<Item = Result<Incoming, String>> + Send>>;
pub(super) type Writer = Pin<Box<dyn Sink<Bytes, Error = String> + Send>>;

/// A WebSocket that carries frames.
pub(super) struct Socket {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
}

const TEXT: &str = "text instead of frames came";

impl Socket {
    /// One that we have dialled.
    pub(super) fn dialled<S>(socket: WebSocketStream<S>) -> Socket
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sink, stream) = socket.split();
        let reader = stream.map(
            |message| match message.map_err(|error| error.to_string())? {
                Message::Binary(bytes) => Ok(Incoming::Frame(bytes)),
                Message::Text(_) => Err(TEXT.to_owned()),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(Incoming::Other),
                Message::Close(_) => Ok(Incoming::Closed),
            },
        );
        let writer = sink
            .sink_map_err(|error| error.to_string())
            .with(|bytes| future::ready(Ok::<_, String>(Message::Binary(bytes))));
        Socket {
            reader: Box::pin(reader),
            writer: Box::pin(writer),
        }
    }

    /// One that has dialled us.
    pub(super) fn accepted(socket: ws::WebSocket) -> Socket {
        let (sink, stream) = socket.split();
        let reader = stream.map(
            |message| match message.map_err(|error| error.to_string())? {
                ws::Message::Binary(bytes) => Ok(Incoming::Frame(bytes)),
                ws::Message::Text(_) => Err(TEXT.to_owned()),
                ws::Message::Ping(_) | ws::Message::Pong(_) => Ok(Incoming::Other),
                ws::Message::Close(_) => Ok(Incoming::Closed),
            },
        );
        let writer = sink
            .sink_map_err(|error| error.to_string())
            .with(|bytes| future::ready(Ok::<_, String>(ws::Message::Binary(bytes))));
        Socket {
            reader: Box::pin(reader),
            writer: Box::pin(writer),
        }
    }

    /// The next frame. `None` is the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            match self.reader.next().await {
                Some(Ok(Incoming::Frame(bytes))) => return Ok(Some(bytes)),
                Some(Ok(Incoming::Other)) => {}
                Some(Ok(Incoming::Closed)) | None => return Ok(None),
                Some(Err(error)) => return Err(error),
            }
        }
    }

    /// Sends a frame.
    pub(super) async fn send(&mut self, bytes: Vec<u8>) -> Result<(), String> {
        match timeout(WRITE, self.writer.send(bytes.into())).await {
            Ok(result) => result,
            Err(_) => Err("the other server does not read".to_owned()),
        }
    }

    /// Sends a last frame and ends it.
    pub(super) async fn end(mut self, last: Vec<u8>) {
        let end = async {
            self.writer.send(last.into()).await?;
            self.writer.close().await
        };
        // Whoever has gone need not be told.
        let _ = timeout(CLOSE, end).await;
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Socket")
    }
}
