//! One WebSocket connection, from the handshake on: bytes in, messages out, and back (RFC
//! 6455). It belongs to one task and has no queue beyond what the socket does not take yet.
//!
//! Built for many sockets at rest. A connection is taken out of the HTTP server, whose
//! buffers go with it; what was read goes through one buffer a thread, and a socket holds
//! memory of its own only while a frame is half here or half gone.

mod assembly;
mod guard;

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    net::Shutdown,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_http::ws::{CloseCode, CloseReason, OpCode, Parser};
use actix_web::web::{Buf, BytesMut};
use socket2::SockRef;
use tokio::{io::Interest, net::TcpStream};

use self::{
    assembly::Assembly,
    guard::{FrameGuard, Offence},
};

/// Bytes that one read takes at most.
const CHUNK: usize = 16 << 10;

/// Bytes that the system keeps for a client that does not read; Linux counts its own
/// bookkeeping in and doubles it.
const SEND_BUFFER: usize = 64 << 10;

/// How long a client gets to take the goodbye and to hang up.
const LINGER: Duration = Duration::from_secs(2);

/// Bytes that are read and thrown away meanwhile: a connection that is closed over unread
/// bytes is reset, and the goodbye may be lost with it.
const LINGER_BYTES: usize = 256 << 10;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK].into_boxed_slice());
}

/// What a client may send.
#[derive(Clone, Copy, Debug)]
pub struct FrameLimits {
    /// Bytes of a message, all its frames together.
    pub message: usize,
    /// Frames that one message may come in.
    pub frames: u32,
}

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    /// With the code it gave.
    Close(Option<u16>),
}

/// Why nothing more will be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The connection ended without a close frame.
    #[error("the connection is gone")]
    Gone,
    /// What came is not the protocol, or more than is allowed.
    #[error("the protocol is broken (close code {0})")]
    Breach(u16),
}

impl Fault {
    const PROTOCOL: Self = Self::Breach(1002);
    const NOT_UTF8: Self = Self::Breach(1007);
    const TOO_BIG: Self = Self::Breach(1009);
}

impl From<Offence> for Fault {
    fn from(offence: Offence) -> Self {
        match offence {
            Offence::TooLong | Offence::TooManyFragments => Self::TOO_BIG,
            Offence::Malformed => Self::PROTOCOL,
        }
    }
}

/// The server's end of a connection.
#[derive(Debug)]
pub struct Link {
    stream: Arc<TcpStream>,
    guard: FrameGuard,
    limits: FrameLimits,
    /// Bytes that passed the guard and are not a whole frame yet.
    input: BytesMut,
    assembly: Assembly,
    /// Heard of once what came before it is.
    fault: Option<Fault>,
    /// Frames that the system has not taken yet.
    output: BytesMut,
}

impl Link {
    /// Goes on where the handshake ended; `rest` is what came behind it.
    pub fn new(stream: TcpStream, rest: &[u8], limits: FrameLimits) -> Self {
        let socket = SockRef::from(&stream);
        // Both are worth having and no more: without them a link is slower or costs the
        // system more.
        if let Err(error) = socket
            .set_tcp_nodelay(true)
            .and_then(|()| socket.set_send_buffer_size(SEND_BUFFER))
        {
            tracing::debug!(%error, "a socket's options cannot be set");
        }
        let mut link = Self {
            stream: Arc::new(stream),
            guard: FrameGuard::new(limits),
            limits,
            input: BytesMut::new(),
            assembly: Assembly::default(),
            fault: None,
            output: BytesMut::new(),
        };
        link.admit(rest);
        link
    }

    /// The connection itself, for whoever must be able to end it from outside.
    pub fn stream(&self) -> &Arc<TcpStream> {
        &self.stream
    }

    /// Bytes said that the system has not taken yet.
    pub fn backlog(&self) -> usize {
        self.output.len()
    }

    pub fn say(&mut self, text: &str) {
        Parser::write_message(&mut self.output, text, OpCode::Text, true, false);
    }

    pub fn say_binary(&mut self, bytes: &[u8]) {
        Parser::write_message(&mut self.output, bytes, OpCode::Binary, true, false);
    }

    pub fn ping(&mut self) {
        Parser::write_message(&mut self.output, [], OpCode::Ping, true, false);
    }

    pub fn pong(&mut self, payload: &[u8]) {
        Parser::write_message(&mut self.output, payload, OpCode::Pong, true, false);
    }

    /// Says the close frame; nothing may be said after it. `why` is cut to what a control
    /// frame holds.
    pub fn close(&mut self, code: Option<u16>, why: &str) {
        let reason = code.map(|code| CloseReason {
            code: CloseCode::Other(code),
            description: Some(why[..why.floor_char_boundary(123)].to_owned()),
        });
        Parser::write_close(&mut self.output, reason, false);
    }

    /// Hands what was said to the system. Ready when all is.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn poll_flush(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            match self.stream.try_write(&self.output) {
                Ok(taken) => self.output.advance(taken),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_write_ready(task))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        // Gives the memory back: most sockets are at rest most of the time.
        self.output = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// Hands over what the system takes at once. Whether the connection is gone is noticed
    /// when the next flush is due.
    pub fn flush_now(&mut self) {
        while !self.output.is_empty() {
            match self.stream.try_write(&self.output) {
                Ok(taken) => self.output.advance(taken),
                Err(_) => return,
            }
        }
        self.output = BytesMut::new();
    }

    /// The next message.
    ///
    /// # Errors
    /// When there will be none; what came whole before that has been heard.
    pub fn poll_hear(&mut self, task: &mut Context<'_>) -> Poll<Result<Heard, Fault>> {
        loop {
            match self.next() {
                Ok(Some(heard)) => return Poll::Ready(Ok(heard)),
                Ok(None) => {}
                Err(fault) => {
                    self.fault = Some(fault);
                    self.input = BytesMut::new();
                    return Poll::Ready(Err(fault));
                }
            }
            if ready!(self.stream.poll_read_ready(task)).is_err() {
                self.fault = Some(Fault::Gone);
                continue;
            }
            SCRATCH.with_borrow_mut(|scratch| match self.stream.try_read(scratch) {
                Ok(0) => self.fault = Some(Fault::Gone),
                Ok(read) => self.admit(&scratch[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.fault = Some(Fault::Gone),
            });
        }
    }

    /// Takes in what the guard lets through.
    fn admit(&mut self, bytes: &[u8]) {
        let (passed, verdict) = self.guard.inspect(bytes);
        self.input.extend_from_slice(&bytes[..passed]);
        if let Err(offence) = verdict {
            tracing::debug!(?offence, "a socket is refused its frame");
            self.fault = Some(offence.into());
        }
    }

    /// The next message of what is here.
    fn next(&mut self) -> Result<Option<Heard>, Fault> {
        while !self.input.is_empty() {
            let frame = Parser::parse(&mut self.input, true, self.limits.message)
                .map_err(|_| Fault::PROTOCOL)?;
            let Some((last, opcode, payload)) = frame else {
                break;
            };
            if self.input.is_empty() {
                self.input = BytesMut::new();
            }
            let heard = self
                .assembly
                .take(last, opcode, payload.unwrap_or_default())?;
            if heard.is_some() {
                return Ok(heard);
            }
        }
        self.fault.map_or(Ok(None), Err)
    }

    /// Sends the rest and hangs up in good order: what was said last is not lost, whatever
    /// the client still sends.
    pub async fn linger(mut self) {
        let goodbye = async {
            poll_fn(|task| self.poll_flush(task)).await?;
            SockRef::from(&*self.stream).shutdown(Shutdown::Write)?;
            let mut patience = LINGER_BYTES;
            while patience > 0 {
                self.stream.ready(Interest::READABLE).await?;
                let read = SCRATCH.with_borrow_mut(|scratch| self.stream.try_read(scratch));
                match read {
                    Ok(0) => break,
                    Ok(read) => patience = patience.saturating_sub(read),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            io::Result::Ok(())
        };
        // Whether the client took it is its own affair.
        let _ = tokio::time::timeout(LINGER, goodbye).await;
    }
}
