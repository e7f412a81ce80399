//! From the name of a timbre converter to its graphs.

use std::path::PathBuf;

use super::{
    ModelError,
    catalogue::{Catalogue, Kind},
    download::{self, Installed},
    prepare,
};
use crate::config::ModelSettings;

/// Who makes converters that can be run.
const FAMILY: &str = "openvoice";

/// What tells timbres, and what gives them, as exports on the hub call these graphs.
pub(crate) const GRAPHS: [&str; 2] = ["tone_color_extract_model.onnx", "tone_clone_model.onnx"];

/// A timbre converter that is here, whole and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedClone {
    /// The ONNX Runtime library.
    pub runtime: Installed,
    /// Where its files are.
    pub folder: PathBuf,
    /// The graph that tells the timbre of a sound.
    pub extractor: PathBuf,
    /// The graph that gives a sound another timbre.
    pub converter: PathBuf,
}

/// Downloads what is not here yet. Blocks.
///
/// # Errors
/// When the name is unknown, nothing here can run such a model, or something cannot be had;
/// the message says what to do.
pub fn fetch_clone(name: &str, settings: &ModelSettings) -> Result<FetchedClone, ModelError> {
    let catalogue = Catalogue::with_imported(settings)?;
    let entry = catalogue.of_kind(Kind::Clone, name)?;
    let family = entry.architecture.as_deref().unwrap_or_default();
    if family != FAMILY {
        return Err(ModelError::Unsupported(format!(
            "the family {family:?}, and only {FAMILY} lends timbres here"
        )));
    }
    let runtime = prepare::runtime(&catalogue, settings)?;
    let folder = download::ensure_export(entry, settings)?;
    let [extractor, converter] = GRAPHS.map(|name| folder.join(name));
    for graph in [&extractor, &converter] {
        if !graph.is_file() {
            return Err(ModelError::Unsupported(format!(
                "no graph {}",
                graph.display()
            )));
        }
    }
    Ok(FetchedClone {
        runtime,
        folder,
        extractor,
        converter,
    })
}
