//! A peer's way to the server: a socket of its own on this machine.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpStream, UdpSocket};
use umbrella_engine::Protocol;

use crate::worker::framing::{Frames, put};

/// Largest datagram that the server sends, with some room.
const BUFFER: usize = 16 * 1024;

pub(super) enum Wire {
    Udp(UdpSocket),
    Tcp {
        stream: TcpStream,
        server: SocketAddr,
        received: Frames,
        /// What the socket had no room for.
        unsent: Vec<u8>,
    },
}

impl Wire {
    /// Opens a way to where the server is reached.
    pub(super) async fn open(protocol: Protocol, server: SocketAddr) -> io::Result<Wire> {
        Ok(match protocol {
            Protocol::Udp => {
                let local: IpAddr = server.ip();
                Wire::Udp(UdpSocket::bind((local, 0)).await?)
            }
            Protocol::Tcp => {
                let stream = TcpStream::connect(server).await?;
                stream.set_nodelay(true)?;
                Wire::Tcp {
                    stream,
                    server,
                    received: Frames::default(),
                    unsent: Vec::new(),
                }
            }
        })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Wire::Udp(socket) => socket.local_addr(),
            Wire::Tcp { stream, .. } => stream.local_addr(),
        }
    }

    /// Whether something waits to be sent.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Wire::Udp(_) => false,
            Wire::Tcp { unsent, .. } => !unsent.is_empty(),
        }
    }

    /// Sends a datagram. What a UDP socket has no room for is lost.
    pub(super) fn send(&mut self, to: SocketAddr, data: &[u8]) -> io::Result<()> {
        match self {
            Wire::Udp(socket) => match socket.try_send_to(data, to) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                result => result.map(drop),
            },
            Wire::Tcp { server, .. } if *server != to => {
                let text = format!("the connection is to {server}");
                Err(io::Error::new(io::ErrorKind::NotConnected, text))
            }
            Wire::Tcp { unsent, .. } => {
                put(unsent, data);
                self.flush()
            }
        }
    }

    /// Sends what waits.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Wire::Tcp { stream, unsent, .. } = self else {
            return Ok(());
        };
        while !unsent.is_empty() {
            match stream.try_write(unsent) {
                Ok(count) => drop(unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The next datagram, and who has sent it. Nothing is lost if it is not waited for to the end.
    pub(super) async fn receive(&mut self) -> io::Result<(SocketAddr, Vec<u8>)> {
        match self {
            Wire::Udp(socket) => {
                let mut buffer = vec![0; BUFFER];
                let (length, from) = socket.recv_from(&mut buffer).await?;
                buffer.truncate(length);
                Ok((from, buffer))
            }
            Wire::Tcp {
                stream,
                server,
                received,
                ..
            } => loop {
                let too_long = |_| io::Error::other("the server sends no frames of RFC 4571");
                if let Some(frame) = received.take().map_err(too_long)? {
                    return Ok((*server, frame.to_vec()));
                }
                stream.readable().await?;
                let mut buffer = vec![0; BUFFER];
                match stream.try_read(&mut buffer) {
                    Ok(0) => return Err(io::Error::other("the server has hung up")),
                    Ok(length) => received.push(&buffer[..length]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            },
        }
    }
}
