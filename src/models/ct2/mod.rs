//! CTranslate2's whisper models to ONNX: two graphs that the runtime executes, and their
//! weights beside them.

#[cfg(test)]
pub(crate) mod fixture;
mod graph;
mod reader;
#[cfg(test)]
mod tests;
mod whisper;

use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

pub use self::{
    graph::GraphError,
    reader::{Ct2, Ct2Error},
    whisper::{Side, Tower, WhisperShape},
};
use super::{
    ModelError,
    import::{self, onnx::GraphProto},
    lock::Lock,
};

/// Changes whenever the same file would give other bytes.
pub const IMPORTER: u32 = 1;
/// Names of the graphs in their folder, as the hub has them.
pub const ENCODER_FILE: &str = "encoder_model.onnx";
pub const DECODER_FILE: &str = "decoder_model.onnx";

/// Where a model's graphs lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graphs {
    pub encoder: PathBuf,
    pub decoder: PathBuf,
}

/// Imports a file of this checksum unless that is done already.
///
/// The folder appears under `model_dir`, whole or not at all. The same file and
/// [`IMPORTER`] give the same bytes.
///
/// # Errors
/// When the file is malformed or holds another kind of model.
pub fn import(file: &Path, sha256: &str, model_dir: &Path) -> Result<Graphs, ModelError> {
    let digest = sha256.get(..16).unwrap_or(sha256);
    let folder = model_dir.join(format!("onnx-v{IMPORTER}-u8-{digest}"));
    let graphs = Graphs {
        encoder: folder.join(ENCODER_FILE),
        decoder: folder.join(DECODER_FILE),
    };
    if folder.is_dir() {
        return Ok(graphs);
    }
    let _lock = Lock::acquire(model_dir)?;
    if folder.is_dir() {
        return Ok(graphs);
    }
    tracing::info!(file = %file.display(), "importing the model; this is done once");
    let staging = folder.with_extension("part");
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(|error| ModelError::io(&staging, error))?;
    }
    fs::create_dir_all(&staging).map_err(|error| ModelError::io(&staging, error))?;
    let written = write(file, &staging).and_then(|()| {
        fs::rename(&staging, &folder).map_err(|error| ModelError::io(&folder, error))
    });
    if let Err(error) = written {
        // The first error is the one to tell; what is left is overwritten next time.
        let _ = fs::remove_dir_all(&staging);
        return Err(error);
    }
    Ok(graphs)
}

fn write(path: &Path, folder: &Path) -> Result<(), ModelError> {
    let wrong = |error| ModelError::Ct2File {
        path: path.to_owned(),
        error,
    };
    let graph_of = |result: Result<GraphProto, GraphError>| {
        result.map_err(|error| match error {
            GraphError::Ct2(error) => wrong(error),
            GraphError::Write(error) => error,
        })
    };
    let file = File::open(path).map_err(|error| ModelError::io(path, error))?;
    let mut file = Ct2::read(BufReader::new(file)).map_err(wrong)?;
    let shape = WhisperShape::of(&mut file).map_err(wrong)?;
    let encoder = graph_of(graph::encoder(&mut file, shape, folder, "encoder.bin"))?;
    import::save(encoder, IMPORTER, &folder.join(ENCODER_FILE))?;
    let decoder = graph_of(graph::decoder(&mut file, shape, folder, "decoder.bin"))?;
    import::save(decoder, IMPORTER, &folder.join(DECODER_FILE))
}
