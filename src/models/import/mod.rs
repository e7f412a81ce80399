//! GGUF to ONNX: writes a graph that the runtime executes, and the weights beside it.

mod graph;
mod linear;
mod onnx;
pub(crate) mod packed;
mod shape;
mod writer;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use prost::Message;
use serde::{Deserialize, Serialize};

pub use self::{graph::names, shape::DecoderShape};
use crate::models::{ModelError, gguf::Gguf, lock::Lock};

/// Changes whenever the same GGUF file would give other bytes.
pub const IMPORTER: u32 = 1;
/// Name of the graph in its folder.
pub const GRAPH_FILE: &str = "model.onnx";
const WEIGHTS_FILE: &str = "weights.bin";

/// How the weights of linear layers are held and multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32-bit floats: the reference.
    Fp32,
    /// Bytes, one scale per output; inputs as bytes, one scale per row. The fastest for
    /// many rows, at several percent of perplexity.
    Int8Row,
    /// Bytes in blocks of 32, one scale per block, for weights and inputs: about as
    /// near to floats as llama.cpp is on the same file.
    #[default]
    Nbits8,
}

impl Precision {
    /// The name that folders and `EngineInfo` carry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Int8Row => "int8-row",
            Self::Nbits8 => "nbits8",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The folder that an import of a file goes to, under the model's own folder.
pub fn folder(model_dir: &Path, gguf_sha256: &str, precision: Precision) -> PathBuf {
    let digest = gguf_sha256.get(..16).unwrap_or(gguf_sha256);
    model_dir.join(format!("onnx-v{IMPORTER}-{precision}-{digest}"))
}

/// Imports a GGUF file unless that is done already. Gives the path of the graph.
///
/// The folder appears whole or not at all. The same file, precision and
/// [`IMPORTER`] give the same bytes.
///
/// # Errors
/// When the file is malformed or holds a model that the graph does not compute.
pub fn import(
    gguf: &Path,
    gguf_sha256: &str,
    model_dir: &Path,
    precision: Precision,
) -> Result<PathBuf, ModelError> {
    let folder = folder(model_dir, gguf_sha256, precision);
    let graph_path = folder.join(GRAPH_FILE);
    if graph_path.is_file() {
        return Ok(graph_path);
    }
    let _lock = Lock::acquire(model_dir)?;
    if graph_path.is_file() {
        return Ok(graph_path);
    }
    tracing::info!(gguf = %gguf.display(), %precision, "importing the model; this is done once");
    let staging = folder.with_extension("part");
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(|error| ModelError::io(&staging, error))?;
    }
    fs::create_dir_all(&staging).map_err(|error| ModelError::io(&staging, error))?;
    let written = write(gguf, &staging, precision).and_then(|()| {
        fs::rename(&staging, &folder).map_err(|error| ModelError::io(&folder, error))
    });
    if let Err(error) = written {
        // The first error is the one to tell; what is left is overwritten next time.
        let _ = fs::remove_dir_all(&staging);
        return Err(error);
    }
    Ok(graph_path)
}

fn write(gguf_path: &Path, folder: &Path, precision: Precision) -> Result<(), ModelError> {
    let mut gguf = Gguf::open(gguf_path).map_err(|error| ModelError::gguf(gguf_path, error))?;
    let shape = DecoderShape::of(&gguf)?;
    let graph = graph::build(&mut gguf, &shape, precision, folder, WEIGHTS_FILE)?;
    let opset = |domain: &str, version| onnx::OperatorSetIdProto {
        domain: Some(domain.to_owned()),
        version: Some(version),
    };
    let model = onnx::ModelProto {
        ir_version: Some(8),
        opset_import: vec![opset("", 18), opset(writer::MICROSOFT, 1)],
        producer_name: Some("parlour".into()),
        producer_version: Some(IMPORTER.to_string()),
        graph: Some(graph),
        metadata_props: Vec::new(),
    };
    let path = folder.join(GRAPH_FILE);
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&path)?;
        std::io::Write::write_all(&mut file, &model.encode_to_vec())?;
        file.sync_all()
    };
    write().map_err(|error| ModelError::io(&path, error))
}

#[cfg(test)]
mod tests;
