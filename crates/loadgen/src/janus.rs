//! One synthetic participant in a video room of Janus: the same media through another server.
//!
//! Its API over WebSockets: <https://janus.conf.meetecho.com/docs/rest.html> and
//! <https://janus.conf.meetecho.com/docs/videoroom.html>.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::driver::{ConnectionId, Driver};
use crate::participant::{Participant, Quality};
use crate::socket::{Connector, Socket};

/// The room in which all meet.
const ROOM: u64 = 4711;

/// A room with this number exists already.
const ROOM_EXISTS: u64 = 427;

/// Sessions that are silent for a minute are ended by the server.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Joins, subscribes to `watched` others if it subscribes at all, and stays until told to leave.
pub(crate) async fn run(
    connector: &Connector,
    who: Participant,
    watched: u32,
    driver: Driver,
    mut leave: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let socket = connector.open("/", Some("janus-protocol")).await;
    let mut session = Session {
        socket: socket.context("cannot open the WebSocket")?,
        who,
        driver,
        started,
        id: 0,
        transactions: 0,
        feeds: BTreeSet::new(),
    };
    let left = async move { leave.wait_for(|leave| *leave).await.map(|_| ()) };
    let result = tokio::select! {
        result = session.serve(watched as usize) => result,
        _ = left => Ok(()),
    };
    session.leave().await;
    result
}

struct Session {
    socket: Socket,
    who: Participant,
    driver: Driver,
    started: Instant,
    id: u64,
    transactions: u64,
    /// Others who publish.
    feeds: BTreeSet<u64>,
}

impl Session {
    async fn serve(&mut self, watched: usize) -> anyhow::Result<()> {
        let created = self.call(json!({ "janus": "create" })).await?;
        self.id = number(&created, "/data/id")?;
        let publisher = self.attach().await?;
        let room = json!({
            "request": "create", "room": ROOM, "publishers": 1000, "bitrate": 0,
            "audiocodec": "opus", "videocodec": "vp8,h264", "fir_freq": 0,
        });
        let (created, _) = self.message(publisher, room, None).await?;
        let code = created.get("error_code").and_then(Value::as_u64);
        if code.is_some_and(|code| code != ROOM_EXISTS) {
            bail!("cannot make a room: {created}");
        }
        // Participants begin at 0, which is no id in Janus.
        let me = u64::from(self.who.number) + 1;
        let join = |request: &str| json!({ "request": request, "ptype": "publisher", "room": ROOM, "id": me });
        if self.who.tracks.is_empty() {
            let (joined, _) = self.message(publisher, join("join"), None).await?;
            refuse_errors(&joined)?;
        } else {
            let tracks = self.who.published();
            let (id, started) = (self.connection(true), self.started);
            let sdp = self.driver.publish(id, started, tracks).await?;
            let offer = json!({ "type": "offer", "sdp": sdp, "trickle": false });
            let configure = join("joinandconfigure");
            let (joined, answer) = self.message(publisher, configure, Some(offer)).await?;
            refuse_errors(&joined)?;
            let answer = answer.context("no answer to the offer")?;
            self.driver.answered(id, answer).await?;
        }
        if self.who.subscribes && watched > 0 {
            self.subscribe(me, watched).await?;
        }
        let mut alive = tokio::time::interval(KEEP_ALIVE);
        loop {
            tokio::select! {
                message = self.next() => self.note(&message?)?,
                _ = alive.tick() => self.send(json!({ "janus": "keepalive" })).await?,
            }
        }
    }

    async fn subscribe(&mut self, me: u64, watched: usize) -> anyhow::Result<()> {
        while self.feeds.len() < watched {
            let message = self.next().await?;
            self.note(&message)?;
        }
        let handle = self.attach().await?;
        let streams: Vec<Value> = self
            .feeds
            .iter()
            .map(|feed| json!({ "feed": feed }))
            .collect();
        let join = json!({
            "request": "join", "ptype": "subscriber", "room": ROOM,
            "private_id": me, "streams": streams,
        });
        let (attached, offer) = self.message(handle, join, None).await?;
        refuse_errors(&attached)?;
        let offer = offer.context("no offer to the subscription")?;
        let id = self.connection(false);
        let sdp = self.driver.offered(id, self.started, offer).await?;
        let answer = json!({ "type": "answer", "sdp": sdp, "trickle": false });
        let start = json!({ "request": "start" });
        let (started, _) = self.message(handle, start, Some(answer)).await?;
        refuse_errors(&started)?;
        if let Some(quality) = self.who.quality {
            let substream = match quality {
                Quality::Low => 0,
                Quality::Medium => 1,
                Quality::High => 2,
            };
            let all = attached.get("streams").and_then(Value::as_array);
            let videos = all.into_iter().flatten().filter(|it| it["type"] == "video");
            let streams = videos.map(|it| json!({ "mid": it["mid"], "substream": substream }));
            let streams: Vec<Value> = streams.collect();
            let configure = json!({ "request": "configure", "streams": streams });
            let (configured, _) = self.message(handle, configure, None).await?;
            refuse_errors(&configured)?;
        }
        Ok(())
    }

    async fn attach(&mut self) -> anyhow::Result<u64> {
        let attach = json!({ "janus": "attach", "plugin": "janus.plugin.videoroom" });
        number(&self.call(attach).await?, "/data/id")
    }

    /// Tells the plugin something; its answer, and the description that came with it.
    async fn message(
        &mut self,
        handle: u64,
        body: Value,
        jsep: Option<Value>,
    ) -> anyhow::Result<(Value, Option<String>)> {
        let mut message = json!({ "janus": "message", "handle_id": handle, "body": body });
        if let Some(jsep) = jsep {
            message["jsep"] = jsep;
        }
        let answer = self.call(message).await?;
        let data = answer.pointer("/plugindata/data").cloned();
        let sdp = answer.pointer("/jsep/sdp").and_then(Value::as_str);
        Ok((data.unwrap_or_default(), sdp.map(str::to_owned)))
    }

    /// Sends a request and waits for what comes of it.
    async fn call(&mut self, request: Value) -> anyhow::Result<Value> {
        self.send(request).await?;
        let transaction = self.transactions.to_string();
        loop {
            let message = self.next().await?;
            self.note(&message)?;
            let ours = message["transaction"] == transaction.as_str();
            if ours && message["janus"] != "ack" {
                return Ok(message);
            }
        }
    }

    async fn send(&mut self, mut request: Value) -> anyhow::Result<()> {
        self.transactions += 1;
        request["transaction"] = self.transactions.to_string().into();
        if self.id != 0 {
            request["session_id"] = self.id.into();
        }
        let text = request.to_string();
        Ok(self.socket.send(Frame::Text(text.into())).await?)
    }

    async fn next(&mut self) -> anyhow::Result<Value> {
        while let Some(frame) = self.socket.next().await {
            if let Frame::Text(text) = frame? {
                return Ok(serde_json::from_str(&text)?);
            }
        }
        bail!("the server closed the WebSocket")
    }

    /// Learns who publishes, and notices when the server has given up.
    fn note(&mut self, message: &Value) -> anyhow::Result<()> {
        let kind = message.get("janus").and_then(Value::as_str);
        if let Some(kind @ ("hangup" | "timeout" | "error")) = kind {
            bail!("{kind}: {message}");
        }
        let publishers = message.pointer("/plugindata/data/publishers");
        let publishers = publishers.and_then(Value::as_array);
        let ids = publishers.into_iter().flatten();
        let ids = ids.filter_map(|publisher| publisher["id"].as_u64());
        self.feeds.extend(ids);
        Ok(())
    }

    fn connection(&self, publishes: bool) -> ConnectionId {
        ConnectionId {
            participant: self.who.number,
            publishes,
        }
    }

    async fn leave(&mut self) {
        for publishes in [true, false] {
            self.driver.close(self.connection(publishes)).await;
        }
        // Whoever does not hear it notices that the WebSocket is closed.
        let _ = self.send(json!({ "janus": "destroy" })).await;
        let _ = self.socket.close(None).await;
    }
}

fn number(message: &Value, pointer: &str) -> anyhow::Result<u64> {
    let found = message.pointer(pointer).and_then(Value::as_u64);
    found.with_context(|| format!("no {pointer} in {message}"))
}

fn refuse_errors(data: &Value) -> anyhow::Result<()> {
    match data.get("error") {
        Some(error) => bail!("the video room says {error}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_plugin_is_not_taken_for_success() {
        assert!(refuse_errors(&json!({ "videoroom": "event", "error": "No such feed" })).is_err());
        assert!(refuse_errors(&json!({ "videoroom": "attached" })).is_ok());
        assert_eq!(
            number(&json!({ "data": { "id": 7 } }), "/data/id").unwrap(),
            7
        );
        assert!(number(&json!({ "data": {} }), "/data/id").is_err());
    }
}
