//! Security cameras that cost next to nothing: RTSP servers (RFC 2326) whose packets were made
//! before, so that all of them together leave the machine to the server that is measured.

mod media;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;

use media::Media;

/// What cameras send as sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sound {
    /// Nothing.
    None,
    /// G.711 µ-law (RFC 3551), 50 packets a second.
    Pcmu,
    /// AAC-LC (RFC 3640) of 16 kHz, mono, 32 kbit/s, 15.6 packets a second.
    Aac,
}

/// What each camera sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Bits per second of pictures, key frames included.
    pub bitrate: u64,
    /// Pictures per second.
    pub fps: u32,
    /// Time from one key frame to the next.
    pub key_frames: Duration,
    /// What is to be heard.
    pub sound: Sound,
}

/// Cameras that wait for somebody to connect, each at its own address. As many as like may watch
/// one, within the RTSP connection or by UDP.
#[derive(Debug)]
pub struct Cameras {
    listener: TcpListener,
    media: Arc<Media>,
    count: u32,
}

impl Cameras {
    /// Prepares what `count` cameras send, and listens at `address`.
    ///
    /// # Errors
    ///
    /// If the address cannot be had.
    pub async fn open(address: SocketAddr, count: u32, plan: &Plan) -> anyhow::Result<Cameras> {
        let listener = TcpListener::bind(address).await;
        Ok(Cameras {
            listener: listener.with_context(|| format!("cannot listen at {address}"))?,
            media: Arc::new(Media::new(plan)),
            count,
        })
    }

    /// The cameras' addresses: `rtsp://HOST:PORT/1` and so on.
    ///
    /// # Errors
    ///
    /// If the listener is gone.
    pub fn urls(&self) -> anyhow::Result<Vec<String>> {
        let address = self.listener.local_addr()?;
        let url = |number| format!("rtsp://{address}/{number}");
        Ok((1..=self.count).map(url).collect())
    }

    /// Serves whoever connects, for ever.
    pub async fn serve(self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (media, count) = (Arc::clone(&self.media), self.count);
                    tokio::spawn(server::serve(stream, media, count));
                }
                // Too many files are open, for instance; some may be closed soon.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}
