//! Weights: the catalogue of models, their download, and the import from GGUF and
//! CTranslate2 to ONNX.

pub mod catalogue;
pub mod cli;
pub mod clone;
pub mod ct2;
pub mod download;
pub mod ear;
#[cfg(test)]
mod fuzz;
pub mod gguf;
pub mod hub_export;
pub mod import;
mod listing;
pub(crate) mod lock;
pub mod peft;
mod prepare;
pub mod prompts;
pub(crate) mod specials;
pub mod speed;
pub(crate) mod template;
pub(crate) mod tokenizer;
pub(crate) mod tokenizer_json;
pub mod translation;
pub mod voice;

pub use self::clone::{FetchedClone, fetch_clone};
pub use self::ear::{EarFiles, fetch_ear};
pub use self::prepare::{Fetched, FetchedExport, Prepared, fetch, fetch_export};
pub use self::translation::{FetchedTranslation, fetch_translation};
pub use self::voice::{FetchedVoice, fetch_voice};

use std::path::{Path, PathBuf};

use self::{ct2::Ct2Error, download::ByHand, gguf::GgufError, hub_export::ExportError};
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
    #[error("{}: {error}", path.display())]
    Ct2File { path: PathBuf, error: Ct2Error },
    #[error("the GGUF file cannot be used: {0}")]
    Gguf(#[from] GgufError),
    #[error("this model cannot be imported: it has {0}")]
    Unsupported(String),
    #[error("{}: {error}", path.display())]
    Export { path: PathBuf, error: ExportError },
    #[error("the model's chat template refuses: {0}")]
    Template(String),
    #[error("no model is called {name:?}; known are {known}")]
    UnknownModel { name: String, known: String },
    #[error("{0:?} is no name for a model: letters, digits, `-`, `_` and `.` make one")]
    Name(String),
    #[error("{0:?} is taken by the house itself: choose another name")]
    Taken(String),
    #[error("{0} of the installed files or models cannot be used")]
    Damaged(usize),
    #[error("{}: {problem}", path.display())]
    Entry { path: PathBuf, problem: String },
    #[error("{} has the SHA-256 {found} instead of {expected}: delete it and pull it again", path.display())]
    Checksum {
        path: PathBuf,
        expected: String,
        found: String,
    },
    #[error(
        "{name} comes under the licence {licence} ({terms}): read it, and if you agree say \
         `--accept-licence {licence}` or set PARLOUR_ACCEPT_LICENCE={licence}"
    )]
    Terms {
        name: String,
        licence: String,
        terms: String,
    },
    #[error("there is no {name} for this kind of machine")]
    NoSource { name: String },
    #[error("{name} is not here, and PARLOUR_OFFLINE forbids downloading it: {by_hand}")]
    Offline { name: String, by_hand: Box<ByHand> },
    #[error("{name} is not here and could not be downloaded ({problems}): {by_hand}")]
    Unavailable {
        name: String,
        problems: String,
        by_hand: Box<ByHand>,
    },
    #[error(
        "{name} is not here, and nobody is known to give an export of it. Make one: \
         `pip install \"optimum[onnxruntime]\"`, then `optimum-cli export onnx --model {weights} \
         --task text-generation-with-past {name}`, then `parlour model import {name} --name {name}`"
    )]
    ToImport { name: String, weights: String },
    #[error("{name} is a model of the family {wanted}, and this folder holds one of {found}")]
    OtherFamily {
        name: String,
        wanted: String,
        found: String,
    },
    /// One source of several failed.
    #[error("{0}")]
    Source(String),
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
