//! A worker that writes by the clock: so many streams at a time get a token each beat, all
//! in the same instant, as the steps of an engine give them that computes rows together. It
//! computes nothing, so that what is measured is the way of its tokens. Further requests wait
//! in line.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt as _};
use tokio::{
    net::{UnixListener, UnixStream},
    time::MissedTickBehavior,
};
use tokio_util::{
    bytes::{Bytes, BytesMut},
    codec::{Framed, LengthDelimitedCodec},
};

use super::clock::{Clock, word};
use crate::wire::worker::{
    Finish, FromWorker, Load, MAX_FRAME, ModelInfo, PROTOCOL, RequestId, ToWorker, Usage,
};

/// Tokens of context that it claims to have.
const CONTEXT: u32 = 1 << 16;

/// What is written while nothing is measured.
const IDLE_WORD: &str = "so";

struct Shared {
    clock: Clock,
    pace: Duration,
    slots: usize,
    stamping: AtomicBool,
    stamped: AtomicU64,
    streams: AtomicUsize,
}

/// The worker.
#[derive(Clone)]
pub(super) struct Writer(Arc<Shared>);

/// A text that is being written.
struct Stream {
    id: RequestId,
    /// Tokens to come.
    left: u32,
    written: u32,
}

type Wire = Framed<UnixStream, LengthDelimitedCodec>;

impl Writer {
    /// Listens on `socket` and writes for whoever connects, `slots` texts at a time, a token
    /// of each every `pace`.
    pub fn start(
        socket: &Path,
        clock: Clock,
        slots: usize,
        pace: Duration,
    ) -> anyhow::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let writer = Self(Arc::new(Shared {
            clock,
            pace,
            slots,
            stamping: AtomicBool::new(false),
            stamped: AtomicU64::new(0),
            streams: AtomicUsize::new(0),
        }));
        let serving = writer.clone();
        tokio::spawn(async move {
            while let Ok((server, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move {
                    if let Err(error) = serving.serve(server).await {
                        tracing::warn!(%error, "a server has left the worker");
                    }
                });
            }
        });
        Ok(writer)
    }

    /// Texts that are being written now.
    pub fn streams(&self) -> usize {
        self.0.streams.load(Ordering::Relaxed)
    }

    /// Puts the time into every token from now on, or no longer.
    pub fn stamp(&self, stamping: bool) {
        self.0.stamping.store(stamping, Ordering::Relaxed);
    }

    /// Tokens so far that tell when they were written.
    pub fn stamped(&self) -> u64 {
        self.0.stamped.load(Ordering::Relaxed)
    }

    async fn serve(&self, server: UnixStream) -> anyhow::Result<()> {
        let codec = LengthDelimitedCodec::builder()
            .max_frame_length(MAX_FRAME)
            .new_codec();
        let mut wire = Framed::new(server, codec);
        let mut line: VecDeque<Stream> = VecDeque::new();
        let mut streams: Vec<Stream> = Vec::new();
        let mut beat = tokio::time::interval(self.0.pace);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let frame = tokio::select! {
                frame = wire.next() => frame,
                _ = beat.tick() => {
                    while streams.len() < self.0.slots && let Some(next) = line.pop_front() {
                        streams.push(next);
                    }
                    self.0.streams.store(streams.len(), Ordering::Relaxed);
                    self.step(&mut streams, &mut wire).await?;
                    continue;
                }
            };
            let Some(frame) = frame else { return Ok(()) };
            match self.answer(&frame?, &mut line, &mut streams)? {
                Some(answer) => wire.send(encode(&answer)?).await?,
                None => continue,
            }
        }
    }

    /// A token for each stream.
    async fn step(&self, streams: &mut Vec<Stream>, wire: &mut Wire) -> anyhow::Result<()> {
        let stamping = self.0.stamping.load(Ordering::Relaxed);
        for stream in streams.iter_mut() {
            stream.left = stream.left.saturating_sub(1);
            stream.written += 1;
            let text = if stamping {
                self.0.stamped.fetch_add(1, Ordering::Relaxed);
                format!(" {}", word(self.0.clock.now()))
            } else {
                format!(" {IDLE_WORD}")
            };
            let piece = FromWorker::Piece {
                id: stream.id,
                text,
                tokens: vec![stream.written],
                logprobs: Vec::new(),
            };
            wire.feed(encode(&piece)?).await?;
        }
        for stream in streams.extract_if(.., |stream| stream.left == 0) {
            wire.feed(encode(&done(&stream, Finish::Length))?).await?;
        }
        Ok(SinkExt::<Bytes>::flush(wire).await?)
    }

    fn answer(
        &self,
        frame: &BytesMut,
        line: &mut VecDeque<Stream>,
        streams: &mut Vec<Stream>,
    ) -> anyhow::Result<Option<FromWorker>> {
        Ok(match serde_json::from_slice(frame)? {
            ToWorker::Hello { .. } => Some(FromWorker::Hello {
                protocol: PROTOCOL,
                version: env!("CARGO_PKG_VERSION").into(),
                models: vec![ModelInfo {
                    name: "deterministic".into(),
                    context: CONTEXT,
                    slots: u32::try_from(self.0.slots)?,
                    precision: "none".into(),
                }],
            }),
            ToWorker::Generate { id, request } => {
                line.push_back(Stream {
                    id,
                    left: request.sampling.max_tokens,
                    written: 0,
                });
                None
            }
            ToWorker::Weigh { id, .. } | ToWorker::Score { id, .. } => Some(FromWorker::Failed {
                id,
                message: "this worker writes and does nothing else".into(),
            }),
            ToWorker::Cancel { id } => {
                let waiting = line.iter().position(|stream| stream.id == id);
                let written = streams.iter().position(|stream| stream.id == id);
                let stream = waiting
                    .and_then(|at| line.remove(at))
                    .or_else(|| written.map(|at| streams.remove(at)));
                stream.map(|stream| done(&stream, Finish::Cancelled))
            }
            ToWorker::Ping { nonce } => Some(FromWorker::Pong {
                nonce,
                load: Load::default(),
            }),
        })
    }
}

fn done(stream: &Stream, finish: Finish) -> FromWorker {
    FromWorker::Done {
        id: stream.id,
        finish,
        usage: Usage {
            output_tokens: stream.written,
            ..Usage::default()
        },
    }
}

fn encode(message: &FromWorker) -> anyhow::Result<Bytes> {
    Ok(serde_json::to_vec(message)?.into())
}
