//! From the name of a whisper model to everything that listening opens.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    ModelError,
    catalogue::{Catalogue, Kind},
    ct2::{self, Graphs},
    download::{self, Installed},
    prepare,
};
use crate::config::ModelSettings;

/// The catalogue's entry that tells speech from its pauses.
const VAD: &str = "silero-vad";
/// What packages call the weights of CTranslate2.
const WEIGHTS: &str = "model.bin";
/// Where the hub's graphs lie, and what their names begin with.
const HUB_FOLDER: &str = "onnx";
const HUB_GRAPHS: [&str; 2] = ["encoder_model", "decoder_model_merged"];

/// A whisper model that is here, whole, checked and imported, and a graph that finds speech.
#[derive(Clone, Debug)]
pub struct EarFiles {
    /// The ONNX Runtime library.
    pub runtime: Installed,
    /// The model's own folder.
    pub folder: PathBuf,
    pub graphs: Graphs,
    pub tokenizer: PathBuf,
    pub suppressed: Suppressed,
    /// Languages that it understands, ISO 639-1.
    pub languages: Vec<String>,
    pub vad: PathBuf,
}

/// Tokens that a transcript never has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Suppressed {
    /// Anywhere. CTranslate2's name, then the hub's.
    #[serde(default, alias = "suppress_ids", alias = "suppress_tokens")]
    pub always: Vec<u32>,
    /// As its first.
    #[serde(default, alias = "suppress_ids_begin", alias = "begin_suppress_tokens")]
    pub at_start: Vec<u32>,
}

/// Downloads and imports what is not here yet. Blocks, for minutes if there is much to do.
///
/// # Errors
/// When the name is unknown or something cannot be had; the message says what to do.
pub fn fetch_ear(name: &str, settings: &ModelSettings) -> Result<EarFiles, ModelError> {
    let catalogue = Catalogue::with_imported(settings)?;
    let entry = catalogue.of_kind(Kind::Ear, name)?;
    let vad = catalogue.of_kind(Kind::Vad, VAD)?;
    let runtime = prepare::runtime(&catalogue, settings)?;
    let vad = download::ensure(vad, settings)?.path;
    let folder = download::ensure_export(entry, settings)?;
    let weights = folder.join(WEIGHTS);
    let (graphs, config) = if weights.is_file() {
        let sha256 = download::sha256_remembered(&weights)?;
        (ct2::import(&weights, &sha256, &folder)?, "config.json")
    } else {
        (hub_graphs(&folder)?, "generation_config.json")
    };
    Ok(EarFiles {
        runtime,
        graphs,
        suppressed: suppressed(&folder.join(config))?,
        tokenizer: folder.join("tokenizer.json"),
        languages: entry.languages.clone(),
        vad,
        folder,
    })
}

fn suppressed(path: &Path) -> Result<Suppressed, ModelError> {
    let text = fs::read(path).map_err(|error| ModelError::io(path, error))?;
    serde_json::from_slice(&text).map_err(|error| ModelError::Entry {
        path: path.to_owned(),
        problem: error.to_string(),
    })
}

/// The graphs of an export of the hub, whatever their weights are held as.
fn hub_graphs(folder: &Path) -> Result<Graphs, ModelError> {
    let folder = folder.join(HUB_FOLDER);
    let listing = fs::read_dir(&folder).map_err(|error| ModelError::io(&folder, error))?;
    let mut paths: Vec<PathBuf> = listing
        .map(|item| item.map(|item| item.path()))
        .collect::<Result<_, _>>()
        .map_err(|error| ModelError::io(&folder, error))?;
    paths.sort();
    let find = |start: &str| {
        let wanted = |path: &&PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(start) && name.ends_with(".onnx")
        };
        paths.iter().find(wanted).cloned().ok_or_else(|| {
            ModelError::Unsupported(format!("no graph {start} in {}", folder.display()))
        })
    };
    Ok(Graphs {
        encoder: find(HUB_GRAPHS[0])?,
        decoder: find(HUB_GRAPHS[1])?,
    })
}
