//! A client that speaks signalling and nothing else.

use std::time::Duration;

use base64::Engine as _;
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{WebSocketStream, client_async};
use umbrella_wire::client::signal_response::Message;
use umbrella_wire::client::{
    JoinRequest, JoinResponse, LeaveRequest, SignalRequest, SignalResponse, WrappedJoinRequest,
    signal_request,
};

use crate::server::Server;

/// Far more than anything here takes: it is there so that a failure ends.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) leave: Option<LeaveRequest>,
    pub(crate) close: Option<String>,
}

pub(crate) fn v0(token: &str) -> String {
    format!("/rtc?access_token={token}&auto_subscribe=1&sdk=go&version=2.0.0&protocol=16")
}

pub(crate) fn v1(token: &str, request: JoinRequest) -> String {
    let wrapped = WrappedJoinRequest {
        compression: 0,
        join_request: request.encode_to_vec(),
    };
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec());
    format!("/rtc/v1?access_token={token}&join_request={text}")
}

/// Opens a socket, or yields status and reason of the refusal.
pub(crate) async fn open(server: &Server, path: &str) -> Result<Client, (u16, String)> {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let url = format!("ws://{}{path}", server.address);
    match client_async(url, stream).await {
        Ok((socket, _)) => Ok(Client { socket }),
        Err(tungstenite::Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            Err((
                response.status().as_u16(),
                String::from_utf8_lossy(&body).into_owned(),
            ))
        }
        Err(error) => panic!("{error}"),
    }
}

/// Joins over two connections and reads the first message.
pub(crate) async fn join(server: &Server, room: &str, identity: &str) -> (Client, JoinResponse) {
    let token = server.token(room, identity);
    let mut client = open(server, &v0(&token)).await.unwrap();
    let join = client.joined().await;
    (client, join)
}

impl Client {
    pub(crate) async fn send(&mut self, message: signal_request::Message) {
        let message = Some(message);
        let bytes = SignalRequest { message }.encode_to_vec();
        self.send_frame(Frame::Binary(bytes.into())).await;
    }

    /// A socket that the server has closed is no failure here: tests look at what it said.
    pub(crate) async fn send_frame(&mut self, frame: Frame) {
        let _ = self.socket.send(frame).await;
    }

    /// The next message; `None` when the socket is closed.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match frame.expect("the server says something")? {
                Ok(Frame::Binary(bytes)) => {
                    return SignalResponse::decode(&*bytes).unwrap().message;
                }
                Ok(Frame::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    pub(crate) async fn joined(&mut self) -> JoinResponse {
        match self.next().await {
            Some(Message::Join(join)) => join,
            other => panic!("the first message is {other:?}"),
        }
    }

    /// Waits for a message for which `want` yields something.
    pub(crate) async fn until<T>(&mut self, mut want: impl FnMut(Message) -> Option<T>) -> T {
        loop {
            let message = self.next().await.expect("the socket stays open");
            if let Some(found) = want(message) {
                return found;
            }
        }
    }

    /// Reads to the end.
    pub(crate) async fn end(mut self) -> End {
        let mut end = End {
            leave: None,
            close: None,
        };
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match frame.expect("the server closes the socket") {
                Some(Ok(Frame::Binary(bytes))) => {
                    let message = SignalResponse::decode(&*bytes).unwrap().message;
                    if let Some(Message::Leave(leave)) = message {
                        end.leave = Some(leave);
                    }
                }
                Some(Ok(Frame::Close(frame))) => {
                    end.close = frame.map(|frame| frame.reason.to_string());
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return end,
            }
        }
    }

    /// Proves that the session is alive and has handled everything sent before.
    pub(crate) async fn is_well(&mut self) {
        self.send(signal_request::Message::PingReq(
            umbrella_wire::client::Ping {
                timestamp: 4711,
                rtt: 0,
            },
        ))
        .await;
        self.until(|message| match message {
            Message::PongResp(pong) => (pong.last_ping_timestamp == 4711).then_some(()),
            Message::Leave(leave) => panic!("told to leave: {leave:?}"),
            _ => None,
        })
        .await;
    }
}
