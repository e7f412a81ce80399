//! A WebSocket client that costs little, so that one process holds ten thousand of them:
//! text frames, control frames, no extensions. What is read goes through one buffer a thread.

use std::{
    cell::RefCell,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

/// How long a server may take to answer a handshake.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sockets that share a source address. Each takes a port, and those of closed sockets stay
/// taken for a minute: the system looks for a free one among fourteen thousand before it
/// tries the rest, and once these are gone it searches them all, in a blocking call, for each
/// further socket. Far fewer share an address here, so that what is measured is the server.
const PER_ADDRESS: usize = 1_000;

/// Bytes that one read takes at most.
const CHUNK: usize = 64 << 10;

/// Longest frame that is understood, bytes.
const MAX_FRAME: u64 = 16 << 20;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK].into_boxed_slice());
}

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Text(String),
    /// Answered already.
    Ping,
    Close,
}

/// One socket.
pub(super) struct Socket {
    stream: TcpStream,
    input: BytesMut,
    heard_at: Instant,
}

impl Socket {
    /// Connects and shakes hands. `number` chooses the source address.
    pub async fn open(server: SocketAddr, path: &str, number: usize) -> anyhow::Result<Self> {
        tokio::time::timeout(PATIENCE, Self::shake_hands(server, path, number))
            .await
            .context("the server takes too long to shake hands")?
    }

    async fn shake_hands(server: SocketAddr, path: &str, number: usize) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if server.ip().is_loopback() {
            let source = u8::try_from(2 + number / PER_ADDRESS % 200)?;
            let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, source));
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let mut stream = socket.connect(server).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut input = BytesMut::with_capacity(1024);
        let end = loop {
            if let Some(end) = find(&input, b"\r\n\r\n") {
                break end;
            }
            anyhow::ensure!(input.len() < 16 << 10, "the handshake has no end");
            let read = stream.read_buf(&mut input).await?;
            anyhow::ensure!(read > 0, "hung up on the handshake");
        };
        let head = String::from_utf8_lossy(&input[..end]).into_owned();
        anyhow::ensure!(
            head.starts_with("HTTP/1.1 101"),
            "no WebSocket: {}",
            head.lines().next().unwrap_or_default()
        );
        input.advance(end + 4);
        Ok(Self {
            stream,
            input,
            heard_at: Instant::now(),
        })
    }

    /// When the last bytes were read.
    pub fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// Says a text.
    pub async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self
            .stream
            .write_all(&frame(0x81, text.as_bytes())?)
            .await?)
    }

    /// The next frame; pings are answered. Cancelling loses nothing.
    pub async fn hear(&mut self) -> anyhow::Result<Frame> {
        loop {
            if let Some((opcode, payload)) = self.next()? {
                match opcode {
                    1 => return Ok(Frame::Text(String::from_utf8(payload)?)),
                    8 => return Ok(Frame::Close),
                    9 => {
                        // Small enough for any socket's buffer: it is taken at once or the
                        // server is in trouble.
                        let pong = frame(0x8a, &payload)?;
                        self.stream.write_all(&pong).await?;
                        return Ok(Frame::Ping);
                    }
                    _ => continue,
                }
            }
            if self.input.is_empty() {
                self.input = BytesMut::new();
            }
            self.stream.readable().await?;
            self.read()?;
        }
    }

    fn read(&mut self) -> anyhow::Result<()> {
        SCRATCH.with_borrow_mut(|scratch| match self.stream.try_read(scratch) {
            Ok(0) => anyhow::bail!("the server hung up"),
            Ok(read) => {
                self.heard_at = Instant::now();
                self.input.extend_from_slice(&scratch[..read]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        })
    }

    fn next(&mut self) -> anyhow::Result<Option<(u8, Vec<u8>)>> {
        let (Some(&first), Some(&second)) = (self.input.first(), self.input.get(1)) else {
            return Ok(None);
        };
        anyhow::ensure!(second & 0x80 == 0, "a server's frame is not masked");
        let more = match second {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let header = 2 + more;
        let Some(announced) = self.input.get(2..header) else {
            return Ok(None);
        };
        let length = match more {
            0 => u64::from(second),
            _ => announced
                .iter()
                .fold(0, |length, byte| (length << 8) | u64::from(*byte)),
        };
        anyhow::ensure!(length <= MAX_FRAME, "a frame of {length} bytes");
        let length = usize::try_from(length)?;
        if self.input.len() < header + length {
            return Ok(None);
        }
        self.input.advance(header);
        Ok(Some((first & 0x0f, self.input.split_to(length).to_vec())))
    }
}

/// A client's frame. Its mask is zero, which masks nothing and is allowed.
fn frame(first: u8, payload: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length @ 0..=125) => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len())?.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    Ok(frame)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
