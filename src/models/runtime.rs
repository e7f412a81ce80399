//! The ONNX Runtime library: loaded once per process, from a file.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use ort::{
    environment::Environment,
    logging::LogLevel,
    session::{Session, builder::GraphOptimizationLevel},
};

use crate::models::ModelError;

static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// Loads the library, or gives what was loaded before.
///
/// # Errors
/// When the file is no usable ONNX Runtime, or another file was loaded before.
pub fn environment(library: &Path) -> Result<Environment, ModelError> {
    let failed = |problem: String| ModelError::Runtime(format!("{}: {problem}", library.display()));
    let mut loaded = LOADED
        .lock()
        .map_err(|_| failed("loading it panicked before".into()))?;
    if let Some((path, environment)) = &*loaded {
        if path == library {
            return Ok(environment.clone());
        }
        return Err(failed(format!(
            "this process already runs {}",
            path.display()
        )));
    }
    let environment = ort::init_from(library)
        .map_err(|error| failed(error.to_string()))?
        .with_name("parlour")
        .build()
        .map_err(|error| failed(error.to_string()))?;
    // Its informative messages are about its own memory.
    environment.set_log_level(LogLevel::Warning);
    *loaded = Some((library.to_owned(), environment.clone()));
    Ok(environment)
}

/// Opens an imported graph on the CPU.
///
/// # Errors
/// When the library or the graph cannot be loaded.
pub fn session(library: &Path, graph: &Path, threads: usize) -> Result<Session, ModelError> {
    let environment = environment(library)?;
    let failed = |error: &dyn std::fmt::Display| {
        ModelError::Runtime(format!("{}: {error}", graph.display()))
    };
    Session::builder(&environment)
        .map_err(|error| failed(&error))?
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(|error| failed(&error))?
        .with_intra_threads(threads)
        .map_err(|error| failed(&error))?
        // A worker shares its cores with the server: waiting threads must sleep.
        .with_intra_op_spinning(false)
        .map_err(|error| failed(&error))?
        .commit_from_file(graph)
        .map_err(|error| failed(&error))
}
