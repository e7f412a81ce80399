//! The ONNX Runtime library: loaded once per process, from a file.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    sync::Mutex,
};

use ort::{
    environment::Environment,
    logging::LogLevel,
    operator::OperatorDomain,
    session::{Session, builder::GraphOptimizationLevel},
};

use super::engine::EngineError;

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
    let mut builder = Session::builder(&environment)
        .map_err(|error| failed(&error))?
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(|error| failed(&error))?
        .with_intra_threads(threads)
        .map_err(|error| failed(&error))?
        // Within a run threads wait for each other hundreds of times, microseconds each, so
        // they spin; between runs they sleep, for a worker shares its cores with the server.
        .with_intra_op_spinning(true)
        .map_err(|error| failed(&error))?
        .with_config_entry("session.force_spinning_stop", "1")
        .map_err(|error| failed(&error))?;
    if let Some(operators) = operators().map_err(|error| failed(&error))? {
        builder = builder
            .with_operators(operators)
            .map_err(|error| failed(&error))?;
    }
    builder
        .commit_from_file(graph)
        .map_err(|error| failed(&error))
}
