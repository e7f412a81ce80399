//! From a model's name to everything that its engine opens.

use std::path::PathBuf;

use super::{
    ModelError,
    catalogue::Catalogue,
    download::{self, Installed},
    import::{self, Form, Precision},
};
use crate::config::ModelSettings;

/// A chat model's files, here and checked.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The ONNX Runtime library.
    pub runtime: Installed,
    /// The GGUF file.
    pub weights: Installed,
    /// The model's own folder.
    pub folder: PathBuf,
    /// The precision that the operator or the catalogue insists on.
    pub precision: Option<Precision>,
    /// Longest prompt plus output that the catalogue allows, tokens.
    pub context: Option<u32>,
    /// Replaces the chat template of the GGUF file.
    pub chat_template: Option<String>,
}

/// A chat model that is here, whole, checked and imported.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub files: Fetched,
    /// The graph that was imported from it.
    pub graph: PathBuf,
    pub form: Form,
}

/// Downloads what is not here yet. Blocks, for minutes if there is much to do.
///
/// # Errors
/// When the name is unknown or something cannot be had; the message says what to do.
pub fn fetch(name: &str, settings: &ModelSettings) -> Result<Fetched, ModelError> {
    let catalogue = Catalogue::with_imported(settings)?;
    let entry = catalogue.chat_model(name)?;
    Ok(Fetched {
        runtime: download::ensure(catalogue.runtime()?, settings)?,
        weights: download::ensure(entry, settings)?,
        folder: download::folder(entry, settings)?,
        precision: settings.precision.or(entry.precision),
        context: entry.context,
        chat_template: entry.chat_template.clone(),
    })
}

impl Fetched {
    /// Imports the model in a form unless that is done already.
    ///
    /// # Errors
    /// When the file holds a model that cannot be imported.
    pub fn import(&self, form: impl Into<Form>) -> Result<Prepared, ModelError> {
        let form = form.into();
        let Installed { path, sha256 } = &self.weights;
        Ok(Prepared {
            graph: import::import(path, sha256, &self.folder, form)?,
            files: self.clone(),
            form,
        })
    }
}
