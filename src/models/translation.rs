//! From a pair of languages to the Marian model (Opus-MT) that translates between them.
//!
//! Texts are cut as Marian itself does it, by the model's own `source.spm` and `vocab.json`.
//! The `tokenizer.json` that exports on the hub carry besides is of no use: it mixes the
//! pieces of both languages, has no table of equal characters, and takes a piece of text for
//! what is unknown.

mod pieces;
mod spm;

use std::{fs, path::Path};

use serde_json::Value;

pub use self::pieces::Pieces;
use super::{
    ModelError,
    catalogue::{Catalogue, Kind, ModelEntry},
    download::{self, Installed},
    hub_export::{self, ExportError, HubExport},
    prepare,
};
use crate::config::ModelSettings;

/// What cuts a text into pieces.
const SOURCE: &str = "source.spm";
/// The tokens of both languages by their pieces.
const VOCABULARY: &str = "vocab.json";
const GENERATION: &str = "generation_config.json";

/// A translation model that is here, whole and checked.
#[derive(Debug)]
pub struct FetchedTranslation {
    /// The ONNX Runtime library.
    pub runtime: Installed,
    /// ISO 639-1.
    pub from: String,
    pub to: String,
    pub export: HubExport,
    pub pieces: Pieces,
    /// Tokens in a row that are never written.
    pub banned: Vec<Vec<u32>>,
}

/// What belongs to a pair.
fn entry<'a>(catalogue: &'a Catalogue, pair: &str) -> Result<&'a ModelEntry, ModelError> {
    let translates = |entry: &&ModelEntry| {
        entry.kind == Kind::Translation && (entry.name == pair || entry.languages.join("-") == pair)
    };
    match catalogue.models().iter().find(translates) {
        Some(entry) => Ok(entry),
        None => catalogue.of_kind(Kind::Translation, pair),
    }
}

/// Downloads what is not here yet of the model for a pair (`de-en`, or the model's name).
/// Blocks.
///
/// # Errors
/// When no model translates this pair or something cannot be had; the message says what to
/// do.
pub fn fetch_translation(
    pair: &str,
    settings: &ModelSettings,
) -> Result<FetchedTranslation, ModelError> {
    let catalogue = Catalogue::with_imported(settings)?;
    let entry = entry(&catalogue, pair)?;
    let runtime = prepare::runtime(&catalogue, settings)?;
    let folder = download::ensure_export(entry, settings)?;
    FetchedTranslation::open(entry, &folder, runtime)
}

impl FetchedTranslation {
    /// Reads what an entry's folder holds.
    ///
    /// # Errors
    /// When a part is missing, malformed, or of a kind that is not known.
    pub fn open(entry: &ModelEntry, folder: &Path, runtime: Installed) -> Result<Self, ModelError> {
        let of_export = |error| ModelError::Export {
            path: folder.to_owned(),
            error,
        };
        let [from, to] = entry.languages.as_slice() else {
            return Err(ModelError::Unsupported("not two languages".into()));
        };
        let needed = [SOURCE, VOCABULARY];
        let export = HubExport::open_with(folder, entry.graph(), &needed)?;
        if !export.config.encoder_decoder {
            let problem = "no encoder, which reads what is translated".into();
            return Err(of_export(ExportError::Layout(problem)));
        }
        let source = read(folder, SOURCE)?;
        let vocabulary = read(folder, VOCABULARY)?;
        let pieces = Pieces::of(&source, &vocabulary).map_err(|problem| ModelError::Entry {
            path: folder.to_owned(),
            problem,
        })?;
        Ok(Self {
            runtime,
            from: from.clone(),
            to: to.clone(),
            pieces,
            banned: banned(folder).map_err(of_export)?,
            export,
        })
    }
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, ModelError> {
    let path = folder.join(name);
    fs::read(&path).map_err(|error| ModelError::io(&path, error))
}

/// What `bad_words_ids` forbids: with Marian, the token that stands for nothing.
fn banned(folder: &Path) -> Result<Vec<Vec<u32>>, ExportError> {
    let mut said = Vec::new();
    for name in [GENERATION, hub_export::CONFIG] {
        // The first one need not be there.
        let Ok(text) = fs::read(folder.join(name)) else {
            continue;
        };
        let config = hub_export::config::object(name, &text)?;
        if let Value::Array(words) = &config["bad_words_ids"] {
            said = words.clone();
            break;
        }
    }
    let word = |word: &Value| -> Option<Vec<u32>> {
        let ids = word.as_array()?.iter();
        ids.map(|id| u32::try_from(id.as_u64()?).ok()).collect()
    };
    said.iter()
        .map(|it| {
            word(it)
                .filter(|word| !word.is_empty())
                .ok_or_else(|| ExportError::Config(format!("bad_words_ids with {it}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_found_by_its_languages_and_by_its_name() {
        let catalogue = Catalogue::builtin();
        for (pair, licence) in [
            ("de-en", "Apache-2.0"),
            ("en-de", "CC-BY-4.0"),
            ("ru-en", "CC-BY-4.0"),
            ("en-ru", "Apache-2.0"),
        ] {
            let found = entry(&catalogue, pair).unwrap();
            assert_eq!(found.languages.join("-"), pair);
            assert_eq!(found.licence, licence);
            let named = entry(&catalogue, &found.name).unwrap();
            assert_eq!(named, found);
        }
        let unknown = entry(&catalogue, "en-tlh").unwrap_err().to_string();
        assert!(unknown.contains("opus-mt-de-en"), "{unknown}");
    }

    #[test]
    fn what_is_banned_is_read_from_the_first_file_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(hub_export::CONFIG, "{\"bad_words_ids\": [[7]]}");
        assert_eq!(banned(folder.path()).unwrap(), [vec![7]]);
        write(GENERATION, "{\"bad_words_ids\": [[9], [1, 2]]}");
        assert_eq!(banned(folder.path()).unwrap(), [vec![9], vec![1, 2]]);
        for wrong in ["[[]]", "[7]", "[[-1]]", "[[\"a\"]]"] {
            write(GENERATION, &format!("{{\"bad_words_ids\": {wrong}}}"));
            assert!(banned(folder.path()).is_err(), "{wrong}");
        }
        write(GENERATION, "{\"bad_words_ids\": null}");
        assert_eq!(banned(folder.path()).unwrap(), [vec![7]]);
    }
}
