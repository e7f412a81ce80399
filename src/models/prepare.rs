//! From a model's name to everything that its engine opens.

use std::path::PathBuf;

use super::{
    ModelError,
    catalogue::Catalogue,
    download::{self, Installed},
    import::{self, Precision},
};
use crate::config::ModelSettings;

/// A chat model that is here, whole, checked and imported.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The ONNX Runtime library.
    pub runtime: Installed,
    /// The GGUF file.
    pub weights: Installed,
    /// The graph that was imported from it.
    pub graph: PathBuf,
    pub precision: Precision,
    /// Longest prompt plus output that the catalogue allows, tokens.
    pub context: Option<u32>,
    /// Replaces the chat template of the GGUF file.
    pub chat_template: Option<String>,
}

/// Downloads and imports what is not here yet. Blocks, for minutes if there is much to do.
///
/// # Errors
/// When the name is unknown or something cannot be had; the message says what to do.
pub fn prepare(name: &str, settings: &ModelSettings) -> Result<Prepared, ModelError> {
    let catalogue = Catalogue::with_imported(settings)?;
    let entry = catalogue.chat_model(name)?;
    let runtime = download::ensure(catalogue.runtime()?, settings)?;
    let weights = download::ensure(entry, settings)?;
    let precision = entry.precision;
    let folder = download::folder(entry, settings)?;
    let graph = import::import(&weights.path, &weights.sha256, &folder, precision)?;
    Ok(Prepared {
        runtime,
        weights,
        graph,
        precision,
        context: entry.context,
        chat_template: entry.chat_template.clone(),
    })
}
