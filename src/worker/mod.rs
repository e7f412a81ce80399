//! The generation process: it holds the models and nothing else. No rooms, no store.
//!
//! Requests come over a Unix socket ([`crate::wire::worker`]), are checked and turned into
//! tokens (`job`), wait (`admission`), share the engine's slots (`batch`) and leave as text
//! (`writing`). Everything but `server` and the engines is pure.

mod adapters;
mod admission;
mod bank;
mod banned;
mod batch;
mod checks;
mod compact;
mod constraint;
pub mod deterministic;
mod door;
mod draft;
mod dry;
pub mod engine;
mod engine_thread;
#[cfg(test)]
mod fuzz;
mod job;
mod kernels;
#[cfg(test)]
mod laws;
mod library;
mod logprobs;
pub mod onnx_hub;
pub mod onnx_text;
mod pace;
mod phrases;
mod row;
mod runtime;
mod sampler;
mod scoring;
mod server;
mod softmax;
pub mod speech;
mod text;
mod tune;
mod window;
mod writing;

use std::path::PathBuf;

use clap::Args;

use crate::{
    config::{ConfigError, Device, ModelSettings, WorkerSettings},
    models::{self, Fetched, FetchedExport, Prepared, cli, speed::Speeds},
};
use engine::{Engine, EngineError};
use onnx_text::OpenError;

pub use server::run;

/// What a worker process is started with.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Unix socket to listen on; its folder must exist. Without one the worker joins a fleet
    #[arg(long)]
    pub socket: Option<PathBuf>,
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
    #[error("no socket to listen on is named")]
    NoSocket,
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
    #[error(transparent)]
    Model(#[from] models::ModelError),
    #[error(transparent)]
    Ear(#[from] speech::ear::EarError),
    #[error(transparent)]
    Mouth(#[from] speech::mouth::MouthError),
    #[error(transparent)]
    Interpreter(#[from] speech::interpreter::InterpreterError),
    #[error("an engine's thread ended")]
    EngineLost,
    #[error("cannot run: {0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What the commands about models need of the worker.
#[derive(Clone, Copy, Debug)]
pub struct Workshop {
    /// Threads that compute.
    pub threads: usize,
}

impl cli::Workshop for Workshop {
    fn open(&self, prepared: &Prepared) -> Result<(), String> {
        let smallest = onnx_text::Capacity {
            slots: 1,
            context: 1,
            adapters: 0,
            threads: self.threads,
        };
        onnx_text::OnnxText::load(prepared.into(), smallest)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn open_export(&self, export: &FetchedExport) -> Result<(), String> {
        onnx_hub::open(export, 1, 1, self.threads)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn measure(&self, files: &Fetched) -> Result<Speeds, String> {
        tune::measure(files, self.threads).map_err(|error| error.to_string())
    }
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
    let export = models::fetch_export(&options.model, &options.models);
    if let Some(export) = export.map_err(OpenError::from)? {
        if options.models.device == Device::Cuda {
            tracing::warn!("models that come as ONNX graphs run on the CPU");
        }
        return Ok(Box::new(onnx_hub::open(&export, slots, context, threads)?));
    }
    let capacity = onnx_text::Capacity {
        slots,
        context,
        adapters: options.settings.adapter_places as usize,
        threads,
    };
    Ok(onnx_text::open(&options.model, &options.models, capacity)?)
}
