//! From the name of a voice to its files.

use std::path::PathBuf;

use super::{
    ModelError,
    catalogue::{Catalogue, Kind},
    download::{self, Installed},
    prepare,
};
use crate::config::ModelSettings;

/// A voice that is here, whole and checked.
#[derive(Clone, Debug)]
pub struct FetchedVoice {
    pub name: String,
    /// Who makes such voices: `hibari`, `kokoro`, `pico` or `piper`.
    pub family: String,
    /// Languages that it speaks, ISO 639-1.
    pub languages: Vec<String>,
    /// Where its files are.
    pub folder: PathBuf,
    /// The ONNX Runtime library.
    pub runtime: Installed,
}

/// Downloads what is not here yet. Blocks.
///
/// # Errors
/// When the name is unknown or something cannot be had; the message says what to do.
pub fn fetch_voice(name: &str, settings: &ModelSettings) -> Result<FetchedVoice, ModelError> {
    let catalogue = Catalogue::with_imported(settings)?;
    let entry = catalogue.of_kind(Kind::Voice, name)?;
    let runtime = prepare::runtime(&catalogue, settings)?;
    Ok(FetchedVoice {
        name: name.to_owned(),
        family: entry.architecture.clone().unwrap_or_default(),
        languages: entry.languages.clone(),
        folder: download::ensure_export(entry, settings)?,
        runtime,
    })
}
