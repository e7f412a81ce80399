//! GGUF to ONNX: writes a graph that the runtime executes, and the weights beside it.

pub(crate) mod copies;
mod family;
mod graph;
pub mod house;
mod linear;
pub(in crate::models) mod onnx;
pub(crate) mod packed;
mod shape;
mod weight;
pub(in crate::models) mod writer;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use prost::Message;
use serde::{Deserialize, Serialize};

pub use self::{
    graph::names,
    shape::{Activation, AttentionTables, DecoderShape, Pairs, Sliding},
};
use crate::models::{ModelError, gguf::Gguf, lock::Lock};

/// Changes whenever the same GGUF file would give other bytes.
pub const IMPORTER: u32 = 2;
/// Name of the graph in its folder.
pub const GRAPH_FILE: &str = "model.onnx";
const WEIGHTS_FILE: &str = "weights.bin";

/// How the weights of linear layers are held and multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32-bit floats: the reference.
    Fp32,
    /// 16-bit floats, for GPUs.
    Fp16,
    /// 16-bit floats with the range of 32-bit ones, for GPUs.
    Bf16,
    /// Bytes, one scale per output; inputs as bytes, one scale per row. The fastest for
    /// many rows where the processor multiplies matrices of bytes.
    Int8Row,
    /// Bytes in blocks of 32 by the runtime's own operator, one scale per block, for
    /// weights and inputs.
    Nbits8,
    /// The blocks of the GGUF file as they are, by the house's own kernels; inputs as bytes
    /// with a scale per 32, as llama.cpp has them.
    #[default]
    Blocks,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Fp32,
        Self::Fp16,
        Self::Bf16,
        Self::Int8Row,
        Self::Nbits8,
        Self::Blocks,
    ];

    /// The name that folders and `EngineInfo` carry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
            Self::Int8Row => "int8-row",
            Self::Nbits8 => "nbits8",
            Self::Blocks => "blocks",
        }
    }

    /// What hidden states, keys and values are made of.
    pub fn element(self) -> Element {
        match self {
            Self::Fp16 => Element::Fp16,
            Self::Bf16 => Element::Bf16,
            Self::Fp32 | Self::Int8Row | Self::Nbits8 | Self::Blocks => Element::Fp32,
        }
    }

    /// The one that [`Self::name`] gives.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A kind of float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    Fp32,
    Fp16,
    Bf16,
}

impl Element {
    /// Bytes of one.
    pub fn size(self) -> usize {
        match self {
            Self::Fp32 => 4,
            Self::Fp16 | Self::Bf16 => 2,
        }
    }
}

/// Who computes attention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Attention {
    /// The house's own kernel, on the CPU: any mix of rows and chunks in one run.
    #[default]
    Ragged,
    /// The runtime's `GroupQueryAttention`, which GPUs have: rows of one length each.
    Grouped,
}

/// Which of the graphs that a file can become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Form {
    pub precision: Precision,
    pub attention: Attention,
}

impl From<Precision> for Form {
    fn from(precision: Precision) -> Self {
        let attention = match precision.element() {
            Element::Fp32 => Attention::Ragged,
            Element::Fp16 | Element::Bf16 => Attention::Grouped,
        };
        Self {
            precision,
            attention,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attention {
            Attention::Ragged => write!(f, "{}", self.precision),
            Attention::Grouped => write!(f, "{}-grouped", self.precision),
        }
    }
}

/// The folder that an import of a file goes to, under the model's own folder.
pub fn folder(model_dir: &Path, gguf_sha256: &str, form: Form) -> PathBuf {
    let digest = gguf_sha256.get(..16).unwrap_or(gguf_sha256);
    model_dir.join(format!("onnx-v{IMPORTER}-{form}-{digest}"))
}

/// Imports a GGUF file unless that is done already. Gives the path of the graph.
///
/// The folder appears whole or not at all. The same file, form and
/// [`IMPORTER`] give the same bytes.
///
/// # Errors
/// When the file is malformed or holds a model that the graph does not compute.
pub fn import(
    gguf: &Path,
    gguf_sha256: &str,
    model_dir: &Path,
    form: impl Into<Form>,
) -> Result<PathBuf, ModelError> {
    let form = form.into();
    let folder = folder(model_dir, gguf_sha256, form);
    let graph_path = folder.join(GRAPH_FILE);
    if graph_path.is_file() {
        return Ok(graph_path);
    }
    let _lock = Lock::acquire(model_dir)?;
    if graph_path.is_file() {
        return Ok(graph_path);
    }
    tracing::info!(gguf = %gguf.display(), %form, "importing the model; this is done once");
    let staging = folder.with_extension("part");
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(|error| ModelError::io(&staging, error))?;
    }
    fs::create_dir_all(&staging).map_err(|error| ModelError::io(&staging, error))?;
    let written = write(gguf, &staging, form).and_then(|()| {
        fs::rename(&staging, &folder).map_err(|error| ModelError::io(&folder, error))
    });
    if let Err(error) = written {
        // The first error is the one to tell; what is left is overwritten next time.
        let _ = fs::remove_dir_all(&staging);
        return Err(error);
    }
    Ok(graph_path)
}

fn write(gguf_path: &Path, folder: &Path, form: Form) -> Result<(), ModelError> {
    let mut gguf = Gguf::open(gguf_path).map_err(|error| ModelError::gguf(gguf_path, error))?;
    let shape = DecoderShape::of(&gguf)?;
    let graph = graph::build(&mut gguf, &shape, form, folder, WEIGHTS_FILE)?;
    save(graph, IMPORTER, &folder.join(GRAPH_FILE))
}

/// Writes a graph to the disk; `importer` is the version of what made it.
pub(in crate::models) fn save(
    graph: onnx::GraphProto,
    importer: u32,
    path: &Path,
) -> Result<(), ModelError> {
    let opset = |domain: &str, version| onnx::OperatorSetIdProto {
        domain: Some(domain.to_owned()),
        version: Some(version),
    };
    let model = onnx::ModelProto {
        ir_version: Some(8),
        opset_import: vec![
            opset("", 18),
            opset(writer::MICROSOFT, 1),
            opset(house::DOMAIN, 1),
        ],
        producer_name: Some("parlour".into()),
        producer_version: Some(importer.to_string()),
        graph: Some(graph),
        metadata_props: Vec::new(),
    };
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(path)?;
        std::io::Write::write_all(&mut file, &model.encode_to_vec())?;
        file.sync_all()
    };
    write().map_err(|error| ModelError::io(path, error))
}

#[cfg(test)]
mod tests;
