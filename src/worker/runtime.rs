//! The ONNX Runtime library: loaded once per process, from a file.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ort::{
    environment::Environment,
    ep,
    logging::LogLevel,
    operator::OperatorDomain,
    session::{
        Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
};

use super::engine::EngineError;
use crate::{config::Device, models::import::copies};

/// The runtime looks whether a domain of operators is known and then adds it, without a lock
/// of its own: two sessions that open at once would both add it.
static OPENING: Mutex<()> = Mutex::new(());

static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// Loads the library, or gives what was loaded before.
///
/// # Errors
/// When the file is no usable ONNX Runtime, or another file was loaded before.
pub(super) fn environment(library: &Path) -> Result<Environment, EngineError> {
    let failed = |problem: &dyn Display| EngineError(format!("{}: {problem}", library.display()));
    let mut loaded = LOADED
        .lock()
        .map_err(|_| failed(&"loading it panicked before"))?;
    if let Some((path, environment)) = &*loaded {
        if path == library {
            return Ok(environment.clone());
        }
        return Err(failed(&format_args!(
            "this process already runs {}",
            path.display()
        )));
    }
    let environment = ort::init_from(library)
        .map_err(|error| failed(&error))?
        .with_name("parlour")
        .build()
        .map_err(|error| failed(&error))?;
    // Its informative messages are about its own memory.
    environment.set_log_level(LogLevel::Warning);
    *loaded = Some((library.to_owned(), environment.clone()));
    Ok(environment)
}

/// Opens a graph on the CPU. `operators` computes what the house computes itself; it is
/// made once the library is there.
///
/// # Errors
/// When the library or the graph cannot be loaded.
pub(super) fn session(
    library: &Path,
    graph: &Path,
    threads: usize,
    operators: impl FnOnce() -> ort::Result<Option<OperatorDomain>>,
) -> Result<Session, EngineError> {
    let environment = environment(library)?;
    let failed = |error: &dyn Display| EngineError(format!("{}: {error}", graph.display()));
    let mut builder =
        builder(&environment, threads, Waiting::Spins).map_err(|error| failed(&error))?;
    let _opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(operators) = operators().map_err(|error| failed(&error))? {
        builder = builder
            .with_operators(operators)
            .map_err(|error| failed(&error))?;
    }
    builder
        .commit_from_file(graph)
        .map_err(|error| failed(&error))
}

/// Opens a graph of the runtime's own operators on a device.
///
/// # Errors
/// When the library or the graph cannot be loaded, or the device cannot be used.
pub(super) fn session_on(
    library: &Path,
    graph: &Path,
    threads: usize,
    device: Device,
) -> Result<Session, EngineError> {
    let environment = environment(library)?;
    let failed = |error: &dyn Display| EngineError(format!("{}: {error}", graph.display()));
    let builder = builder(&environment, threads, Waiting::Spins).map_err(|error| failed(&error))?;
    let mut builder = on(builder, library, device).map_err(|error| failed(&error))?;
    let _opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    builder
        .commit_from_file(graph)
        .map_err(|error| failed(&error))
}

/// [`session_on`] for a serialised graph, which is run as it is.
///
/// # Errors
/// As [`session_on`]'s.
pub(super) fn session_of(
    library: &Path,
    model: &[u8],
    device: Device,
) -> Result<Session, EngineError> {
    let environment = environment(library)?;
    let open = || -> ort::Result<Session> {
        let builder = builder(&environment, 1, Waiting::Spins)?
            .with_optimization_level(GraphOptimizationLevel::Disable)?;
        let mut builder = on(builder, library, device)?;
        let _opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        builder.commit_from_memory(model)
    };
    open().map_err(|error| EngineError(error.to_string()))
}

/// Opens a serialised graph on the CPU for a process whose sessions take turns on the same
/// cores: its threads never spin while they wait.
///
/// # Errors
/// As [`session_on`]'s.
pub(super) fn yielding_session_of(
    library: &Path,
    model: &[u8],
    threads: usize,
) -> Result<Session, EngineError> {
    let environment = environment(library)?;
    let open = || -> ort::Result<Session> {
        let mut builder = builder(&environment, threads, Waiting::Sleeps)?;
        let _opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        builder.commit_from_memory(model)
    };
    open().map_err(|error| EngineError(error.to_string()))
}

/// Tries whether a device can be used, by opening a graph there: a provider can be compiled
/// in, or even load, where there is no such device.
///
/// # Errors
/// Says why it cannot.
pub(super) fn usable(library: &Path, device: Device) -> Result<(), EngineError> {
    session_of(library, &copies::model(1), device).map(drop)
}

/// What threads do within a run, where they wait for each other hundreds of times,
/// microseconds each. Between runs they sleep: a worker shares its cores with the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Spins,
    Sleeps,
}

fn builder(
    environment: &Environment,
    threads: usize,
    waiting: Waiting,
) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads)?
        .with_intra_op_spinning(waiting == Waiting::Spins)?
        .with_config_entry("session.force_spinning_stop", "1")?)
}

/// Puts a session on a device, or fails: by itself the runtime would fall back silently.
fn on(builder: SessionBuilder, library: &Path, device: Device) -> ort::Result<SessionBuilder> {
    match device {
        Device::Cpu => Ok(builder),
        Device::Cuda => {
            preload(library);
            let provider = ep::CUDA::default()
                // The KV buffer is one block; the usual strategy rounds it up to a power
                // of two.
                .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
                .build()
                .error_on_failure();
            Ok(builder.with_execution_providers([provider])?)
        }
    }
}

/// NVIDIA's libraries as pip installs them, `nvidia/*/lib` beside `onnxruntime/capi`, where
/// the system's loader does not look. What is not there it may find by itself; if not, the
/// provider's own error names it.
fn preload(library: &Path) {
    let Some(packages) = library.ancestors().nth(3) else {
        return;
    };
    let Ok(entries) = std::fs::read_dir(packages.join("nvidia")) else {
        return;
    };
    let folders: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path().join("lib"))
        .collect();
    for name in ep::cuda::CUDA_DYLIBS.iter().chain(ep::cuda::CUDNN_DYLIBS) {
        let found = folders.iter().map(|folder| folder.join(name));
        for path in found.filter(|path| path.is_file()) {
            if let Err(error) = ort::util::preload_dylib(&path) {
                tracing::warn!(library = %path.display(), %error, "cannot be loaded");
            }
        }
    }
}
