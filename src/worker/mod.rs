//! The generation process: it holds the models and nothing else. No rooms, no store.
//!
//! Requests come over a Unix socket ([`crate::wire::worker`]), are checked and turned into
//! tokens (`job`), wait (`admission`), share the engine's slots (`batch`) and leave as text
//! (`writing`). Everything but `server` and the engines is pure.

mod admission;
mod bank;
mod batch;
mod constraint;
pub mod deterministic;
mod draft;
pub mod engine;
mod engine_thread;
mod job;
mod kernels;
#[cfg(test)]
mod laws;
mod library;
pub mod onnx_text;
mod pace;
mod row;
mod sampler;
mod server;
mod text;
mod window;
mod writing;

use std::path::PathBuf;

use clap::Args;

use crate::config::{ModelSettings, WorkerSettings};
use engine::{Engine, EngineError};
use onnx_text::OpenError;

pub use server::run;

/// What a worker process is started with.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Unix socket to listen on; its folder must exist
    #[arg(long)]
    pub socket: PathBuf,
    /// Model of the catalogue, or `deterministic`, or `deterministic:20ms` for a toy whose
    /// steps take that long
    #[arg(long)]
    pub model: String,
    #[command(flatten)]
    pub models: ModelSettings,
    #[command(flatten)]
    pub settings: WorkerSettings,
}

/// Why the worker cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("the socket's path {path:?} has {bytes} bytes; the system allows {limit}")]
    SocketPath {
        path: PathBuf,
        bytes: usize,
        limit: usize,
    },
    #[error("cannot listen at {path:?}: {error}")]
    Listen {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("cannot run: {0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Opens the engine of a model.
fn open_engine(options: &Options) -> Result<Box<dyn Engine>, WorkerError> {
    let slots = (options.settings.slots + options.settings.shelves) as usize;
    let context = options.settings.context as usize;
    if let Some(delay) = deterministic::Deterministic::delay_of(&options.model) {
        return Ok(Box::new(deterministic::Deterministic::new(
            slots, context, delay,
        )));
    }
    let threads = options.settings.threads() as usize;
    Ok(onnx_text::open(
        &options.model,
        &options.models,
        slots,
        context,
        threads,
    )?)
}
