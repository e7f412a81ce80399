//! From a model's name to everything that its engine opens.

use std::{fs, path::PathBuf};

use super::{
    ModelError,
    catalogue::{Catalogue, Format, ModelEntry},
    download::{self, Installed},
    hub_export::HubExport,
    import::{self, Form, Precision},
};
use crate::config::{Device, ModelSettings};

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
    if entry.format != Format::Gguf {
        return Err(ModelError::Unsupported(
            "graphs already, which are run as they are".into(),
        ));
    }
    Ok(Fetched {
        runtime: runtime(&catalogue, settings)?,
        weights: download::ensure(entry, settings)?,
        folder: download::folder(entry, settings)?,
        precision: insisted(settings, entry),
        context: entry.context,
        chat_template: entry.chat_template.clone(),
    })
}

/// The operator's own ONNX Runtime library, or the catalogue's.
pub(super) fn runtime(
    catalogue: &Catalogue,
    settings: &ModelSettings,
) -> Result<Installed, ModelError> {
    match &settings.ort {
        Some(path) => {
            // Where it lies counts: its providers and their libraries are found from there.
            let path = fs::canonicalize(path).map_err(|error| ModelError::io(path, error))?;
            let sha256 = download::sha256_of(&path)?;
            Ok(Installed { path, sha256 })
        }
        None => download::ensure(catalogue.runtime()?, settings),
    }
}

/// What the catalogue says is meant for the CPU.
fn insisted(settings: &ModelSettings, entry: &ModelEntry) -> Option<Precision> {
    match settings.device {
        Device::Cpu => settings.precision.or(entry.precision),
        Device::Cuda => settings.precision.or(Some(Precision::Fp16)),
    }
}

/// An export that is here, whole and checked.
#[derive(Clone, Debug)]
pub struct FetchedExport {
    /// The ONNX Runtime library.
    pub runtime: Installed,
    pub export: HubExport,
    /// Longest prompt plus output that the catalogue allows, tokens.
    pub context: Option<u32>,
    /// Replaces the chat template of the export.
    pub chat_template: Option<String>,
}

/// The export of this name and the runtime, which are downloaded if need be. None where the
/// name is that of something else.
///
/// # Errors
/// When a part is missing or not what it should be.
pub fn fetch_export(
    name: &str,
    settings: &ModelSettings,
) -> Result<Option<FetchedExport>, ModelError> {
    let catalogue = Catalogue::with_imported(settings)?;
    let entry = catalogue.chat_model(name)?;
    if entry.format != Format::Onnx {
        return Ok(None);
    }
    let folder = download::ensure_export(entry, settings)?;
    Ok(Some(FetchedExport {
        runtime: runtime(&catalogue, settings)?,
        export: HubExport::open(&folder, entry.graph())?,
        context: entry.context,
        chat_template: entry.chat_template.clone(),
    }))
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
