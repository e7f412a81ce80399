//! Weights: the catalogue of models, their download, and the import from GGUF to ONNX.

pub mod gguf;
pub mod import;
pub(crate) mod lock;
pub mod runtime;
pub(crate) mod template;
pub(crate) mod tokenizer;

use std::path::{Path, PathBuf};

use self::gguf::GgufError;
use crate::config::ConfigError;

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{}: {error}", path.display())]
    Io {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{}: {error}", path.display())]
    GgufFile { path: PathBuf, error: GgufError },
    #[error("the GGUF file cannot be used: {0}")]
    Gguf(#[from] GgufError),
    #[error("this model cannot be imported: it has {0}")]
    Unsupported(String),
    #[error("the model's chat template refuses: {0}")]
    Template(String),
    #[error("ONNX Runtime failed: {0}")]
    Runtime(String),
}

impl ModelError {
    pub(crate) fn io(path: &Path, error: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            error,
        }
    }

    pub(crate) fn gguf(path: &Path, error: GgufError) -> Self {
        Self::GgufFile {
            path: path.to_owned(),
            error,
        }
    }
}
