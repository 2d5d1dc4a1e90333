//! One synthetic participant that speaks the client protocol: two connections, one WebSocket.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message as Frame;
use umbrella_wire::client::signal_request::Message as Request;
use umbrella_wire::client::signal_response::Message as Response;
use umbrella_wire::client::{
    AddTrackRequest, LeaveRequest, ParticipantInfo, Ping, SessionDescription, SignalRequest,
    SignalResponse, TrackSource, TrackType, UpdateTrackSettings, VideoLayer, VideoQuality,
};

use crate::driver::{ConnectionId, Driver, Published};
use crate::media::{Layer, Track, VideoCodec};
use crate::socket::{Connector, Socket};
use crate::token::Key;

/// Which encoding of others' pictures a participant asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Quality {
    /// The lowest.
    Low,
    /// The one in the middle.
    Medium,
    /// The highest.
    High,
}

/// Who joins, and for what.
#[derive(Debug, Clone)]
pub struct Participant {
    /// Unique in a run.
    pub number: u32,
    /// Who it is in the room.
    pub identity: String,
    /// The room to join.
    pub room: String,
    /// What it publishes.
    pub tracks: Vec<Track>,
    /// Whether it wants what others publish.
    pub subscribes: bool,
    /// Asked of each track of others; without it the server decides.
    pub quality: Option<Quality>,
}

impl Participant {
    /// Its tracks as the driver wants them: numbered in the run, and with the ids of `add_track`.
    pub(crate) fn published(&self) -> Vec<Published> {
        let numbered = self.tracks.iter().zip(0u32..);
        let named = numbered.map(|(track, index)| {
            let kind = if track.is_audio() { "audio" } else { "video" };
            let id = format!("load-{}-{kind}-{index}", self.number);
            (id, self.number * 8 + index, track.clone())
        });
        named.collect()
    }
}

/// A server to join: where, and by which key.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) connector: Connector,
    pub(crate) key: Key,
}

/// Joins, and stays until told to leave or until something breaks.
pub(crate) async fn run(
    server: &Server,
    who: Participant,
    driver: Driver,
    mut leave: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut session = Session::join(server, who, driver).await?;
    // The sender is gone only when the run is over.
    let left = async move { leave.wait_for(|leave| *leave).await.map(|_| ()) };
    let result = tokio::select! {
        result = session.serve() => result,
        _ = left => Ok(()),
    };
    session.leave().await;
    result
}

/// A stay in a room.
pub(crate) struct Session {
    who: Participant,
    driver: Driver,
    socket: Socket,
    started: Instant,
    ping_interval: Duration,
    unacknowledged: usize,
}

impl Session {
    /// Opens the WebSocket and comes in.
    pub(crate) async fn join(
        server: &Server,
        who: Participant,
        driver: Driver,
    ) -> anyhow::Result<Session> {
        let token = server.key.token(&who.room, &who.identity)?;
        let subscribe = u8::from(who.subscribes);
        let path = format!(
            "/rtc?access_token={token}&auto_subscribe={subscribe}&sdk=rust&version=0.1.0&protocol=16"
        );
        let started = Instant::now();
        let socket = server.connector.open(&path, None).await;
        let mut session = Session {
            socket: socket.context("cannot open the WebSocket")?,
            unacknowledged: who.tracks.len(),
            who,
            driver,
            started,
            ping_interval: Duration::from_secs(5),
        };
        match session.next().await? {
            Some(Response::Join(join)) => {
                let seconds = u64::try_from(join.ping_interval).unwrap_or(5).max(1);
                session.ping_interval = Duration::from_secs(seconds);
                session.announce().await?;
                session.choose(&join.other_participants).await?;
                Ok(session)
            }
            Some(Response::Leave(leave)) => bail!("sent away: {:?}", leave.reason()),
            other => bail!("the first message is {other:?}"),
        }
    }

    async fn announce(&mut self) -> anyhow::Result<()> {
        for (cid, _, track) in self.who.published() {
            self.send(Request::AddTrack(add_track(cid, &track))).await?;
        }
        Ok(())
    }

    /// Takes part until something breaks.
    pub(crate) async fn serve(&mut self) -> anyhow::Result<()> {
        let mut pings = tokio::time::interval(self.ping_interval);
        loop {
            let message = tokio::select! {
                message = self.next() => message?,
                _ = pings.tick() => {
                    self.send(Request::PingReq(Ping::default())).await?;
                    continue;
                }
            };
            match message {
                Some(message) => self.take(message).await?,
                None => bail!("the server closed the WebSocket"),
            }
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the protocol has many messages that a synthetic participant needs not follow"
    )]
    async fn take(&mut self, message: Response) -> anyhow::Result<()> {
        match message {
            Response::TrackPublished(_) => {
                self.unacknowledged = self.unacknowledged.saturating_sub(1);
                if self.unacknowledged == 0 {
                    let tracks = self.who.published();
                    let (id, started) = (self.id(true), self.started);
                    let sdp = self.driver.publish(id, started, tracks).await?;
                    self.send(Request::Offer(description("offer", sdp, 1)))
                        .await?;
                }
            }
            Response::Answer(answer) => self.driver.answered(self.id(true), answer.sdp).await?,
            Response::Offer(offer) => {
                let id = self.id(false);
                let sdp = self.driver.offered(id, self.started, offer.sdp).await?;
                let answer = description("answer", sdp, offer.id);
                self.send(Request::Answer(answer)).await?;
            }
            Response::Update(update) => self.choose(&update.participants).await?,
            Response::Leave(leave) => bail!("sent away: {:?}", leave.reason()),
            _ => {}
        }
        Ok(())
    }

    /// Asks for the wished encoding of others' pictures.
    async fn choose(&mut self, others: &[ParticipantInfo]) -> anyhow::Result<()> {
        let Some(quality) = self.who.quality.filter(|_| self.who.subscribes) else {
            return Ok(());
        };
        let tracks = others.iter().flat_map(|other| &other.tracks);
        let videos = tracks.filter(|track| track.r#type() == TrackType::Video);
        let track_sids: Vec<String> = videos.map(|track| track.sid.clone()).collect();
        if track_sids.is_empty() {
            return Ok(());
        }
        self.send(Request::TrackSetting(UpdateTrackSettings {
            track_sids,
            quality: match quality {
                Quality::Low => VideoQuality::Low.into(),
                Quality::Medium => VideoQuality::Medium.into(),
                Quality::High => VideoQuality::High.into(),
            },
            ..UpdateTrackSettings::default()
        }))
        .await
    }

    /// Goes, and says so.
    pub(crate) async fn leave(mut self) {
        // First, so that the server's own goodbye is not taken for a failure.
        for publishes in [true, false] {
            self.driver.close(self.id(publishes)).await;
        }
        // Whoever does not hear it notices that the WebSocket is closed.
        let _ = self.send(Request::Leave(LeaveRequest::default())).await;
        let _ = self.socket.close(None).await;
    }

    /// Ends the peer connections without a word.
    pub(crate) async fn lose_media(&mut self) {
        for publishes in [true, false] {
            self.driver.vanish(self.id(publishes)).await;
        }
    }

    /// Says nothing any more, and waits until the server has had enough of that.
    pub(crate) async fn closed(mut self) {
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    /// Goes on as if its media were there, until the server has had enough of that.
    pub(crate) async fn outlast(mut self) {
        // However it ends, it has ended.
        let _ = self.serve_without_media().await;
    }

    /// Waits until so many have come since it came itself; it needs no media for that.
    pub(crate) async fn meet(&mut self, others: usize) -> anyhow::Result<()> {
        let mut pings = tokio::time::interval(self.ping_interval);
        let mut known = BTreeSet::new();
        while known.len() < others {
            tokio::select! {
                message = self.next() => match message? {
                    None => bail!("the server closed the WebSocket"),
                    Some(Response::Leave(leave)) => bail!("sent away: {:?}", leave.reason()),
                    Some(Response::Update(update)) => {
                        let them = update.participants.into_iter();
                        known.extend(them.map(|other| other.identity));
                    }
                    Some(_) => {}
                },
                _ = pings.tick() => self.send(Request::PingReq(Ping::default())).await?,
            }
        }
        Ok(())
    }

    /// Stays, without media.
    pub(crate) async fn serve_without_media(&mut self) -> anyhow::Result<()> {
        let mut pings = tokio::time::interval(self.ping_interval);
        loop {
            tokio::select! {
                message = self.next() => match message? {
                    None | Some(Response::Leave(_)) => return Ok(()),
                    Some(_) => {}
                },
                _ = pings.tick() => self.send(Request::PingReq(Ping::default())).await?,
            }
        }
    }

    fn id(&self, publishes: bool) -> ConnectionId {
        ConnectionId {
            participant: self.who.number,
            publishes,
        }
    }

    async fn send(&mut self, message: Request) -> anyhow::Result<()> {
        let message = Some(message);
        let bytes = SignalRequest { message }.encode_to_vec();
        Ok(self.socket.send(Frame::Binary(bytes.into())).await?)
    }

    /// The next message that is known; `None` when the WebSocket is closed.
    async fn next(&mut self) -> anyhow::Result<Option<Response>> {
        while let Some(frame) = self.socket.next().await {
            if let Frame::Binary(bytes) = frame?
                && let Some(message) = SignalResponse::decode(&*bytes)?.message
            {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }
}

fn description(kind: &str, sdp: String, id: u32) -> SessionDescription {
    SessionDescription {
        r#type: kind.to_owned(),
        sdp,
        id,
        ..SessionDescription::default()
    }
}

fn add_track(cid: String, track: &Track) -> AddTrackRequest {
    let named = AddTrackRequest {
        name: cid.clone(),
        cid,
        ..AddTrackRequest::default()
    };
    match track {
        Track::Audio { .. } => AddTrackRequest {
            r#type: TrackType::Audio.into(),
            source: TrackSource::Microphone.into(),
            ..named
        },
        Track::Video { codec, layers, .. } => AddTrackRequest {
            r#type: TrackType::Video.into(),
            source: TrackSource::Camera.into(),
            width: layers.last().map_or(0, |layer| layer.width.into()),
            height: layers.last().map_or(0, |layer| layer.height.into()),
            layers: video_layers(layers),
            simulcast_codecs: vec![umbrella_wire::client::SimulcastCodec {
                codec: match codec {
                    VideoCodec::Vp8 => "vp8".into(),
                    VideoCodec::H264 => "h264".into(),
                },
                cid: named.cid.clone(),
                layers: video_layers(layers),
            }],
            ..named
        },
    }
}

/// A single encoding is called high, as SDKs do.
fn video_layers(layers: &[Layer]) -> Vec<VideoLayer> {
    let qualities = [VideoQuality::Low, VideoQuality::Medium, VideoQuality::High];
    let qualities = qualities
        .into_iter()
        .skip(3usize.saturating_sub(layers.len()));
    let described = layers.iter().zip(qualities).zip(0..);
    let described = described.map(|((layer, quality), index)| VideoLayer {
        quality: quality.into(),
        width: layer.width.into(),
        height: layer.height.into(),
        bitrate: u32::try_from(layer.bitrate).unwrap_or(u32::MAX),
        ssrc: 0,
        spatial_layer: index,
        rid: layer.rid.unwrap_or_default().to_owned(),
    });
    described.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_is_announced_under_the_id_that_its_section_has() {
        let who = Participant {
            number: 3,
            identity: "load-3".into(),
            room: "lab".into(),
            tracks: vec![
                Track::Audio { bitrate: 32_000 },
                Track::simulcast(VideoCodec::Vp8, 30, 1_000_000),
            ],
            subscribes: true,
            quality: None,
        };
        let published = who.published();
        assert_eq!(published[0].0, "load-3-audio-0");
        assert_eq!((published[0].1, published[1].1), (24, 25));
        let request = add_track(published[1].0.clone(), &published[1].2);
        assert_eq!(request.cid, "load-3-video-1");
        let qualities = request.layers.iter().map(|layer| layer.quality);
        assert_eq!(qualities.collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(request.layers[0].rid, "q");
    }

    #[test]
    fn a_single_encoding_is_the_highest_and_not_the_lowest() {
        let track = Track::single(VideoCodec::H264, 30, 1_000_000);
        let request = add_track("x".into(), &track);
        assert_eq!(request.layers.len(), 1);
        assert_eq!(request.layers[0].quality(), VideoQuality::High);
    }
}
