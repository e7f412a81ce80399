//! Sits on the Unix socket between server and worker, passes every byte on, and notes
//! when each piece of text went by.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use crate::wire::worker::{FromWorker, MAX_FRAME, RequestId};

/// A piece of a request's text: where it ends (characters), and when it went by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed {
    pub end: usize,
    pub at: Instant,
}

/// One request's text so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub text: String,
    pub pieces: Vec<Passed>,
}

/// What went by, by request.
#[derive(Clone, Default)]
pub(super) struct Tap(Arc<Mutex<HashMap<RequestId, Request>>>);

impl Tap {
    /// Listens on `front` and connects to `back` for each caller, until dropped with the runtime.
    pub fn start(front: &std::path::Path, back: PathBuf) -> anyhow::Result<Self> {
        let listener = UnixListener::bind(front)?;
        let tap = Self::default();
        let passing = tap.clone();
        tokio::spawn(async move {
            while let Ok((server, _)) = listener.accept().await {
                match UnixStream::connect(&back).await {
                    Ok(worker) => drop(tokio::spawn(passing.clone().pass(server, worker))),
                    Err(error) => tracing::warn!(%error, "no worker behind the tap"),
                }
            }
        });
        Ok(tap)
    }

    async fn pass(self, server: UnixStream, worker: UnixStream) {
        let framed = |stream| {
            let codec = LengthDelimitedCodec::builder()
                .max_frame_length(MAX_FRAME)
                .new_codec();
            Framed::new(stream, codec)
        };
        let (mut to_server, from_server) = framed(server).split();
        let (to_worker, mut from_worker) = framed(worker).split();
        tokio::spawn(async move {
            from_server
                .map(|f| f.map(|b| b.freeze()))
                .forward(to_worker)
                .await
        });
        while let Some(Ok(frame)) = from_worker.next().await {
            if let Ok(FromWorker::Piece { id, text, .. }) = serde_json::from_slice(&frame) {
                self.note(id, &text);
            }
            if to_server.send(frame.freeze()).await.is_err() {
                return;
            }
        }
    }

    fn note(&self, id: RequestId, text: &str) {
        let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let request = requests.entry(id).or_default();
        request.text.push_str(text);
        let end = request.text.chars().count();
        request.pieces.push(Passed {
            end,
            at: Instant::now(),
        });
    }

    /// Everything that went by.
    pub fn requests(&self) -> Vec<Request> {
        let requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        requests.values().cloned().collect()
    }
}
