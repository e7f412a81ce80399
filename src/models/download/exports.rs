//! Exports: models of several files, of which each is fetched, resumed and checked as a
//! single one is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{ByHand, allow, describe, folder, hub, hub_url, settle, verify};
use crate::{
    config::ModelSettings,
    models::{
        ModelError,
        catalogue::{HubFile, ModelEntry, Place, Source},
        hub_export::scan::is_plain,
        lock::Lock,
    },
};

/// One file of an export, wherever it comes from.
struct Part<'a> {
    path: &'a str,
    sha256: Option<&'a str>,
    size: Option<u64>,
}

/// The source of an export, with its files.
struct Export<'a> {
    source: &'a Source,
    parts: Vec<Part<'a>>,
}

impl<'a> Export<'a> {
    fn of(entry: &'a ModelEntry) -> Result<Self, ModelError> {
        let parts = |source: &'a Source| -> Option<Vec<Part<'a>>> {
            let parts = match &source.place {
                Place::Export { files } => files
                    .iter()
                    .map(|file| Part {
                        path: &file.path,
                        sha256: Some(&file.sha256),
                        size: None,
                    })
                    .collect(),
                Place::HubExport { files, .. } => files
                    .iter()
                    .map(|HubFile { path, sha256, size }| Part {
                        path,
                        sha256: sha256.as_deref(),
                        size: *size,
                    })
                    .collect(),
                Place::ToImport { .. } => Vec::new(),
                _ => return None,
            };
            Some(parts)
        };
        let export = entry
            .sources
            .iter()
            .find_map(|source| parts(source).map(|parts| Self { source, parts }));
        let export = export.ok_or_else(|| ModelError::NoSource {
            name: entry.name.clone(),
        })?;
        match export.parts.iter().find(|part| !is_plain(part.path)) {
            Some(part) => Err(ModelError::Name(part.path.to_owned())),
            None => Ok(export),
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
            Place::HubExport { .. } => {
                let missing = |part: &Part| !folder.join(part.path).is_file();
                if self.parts.iter().any(missing) {
                    return Ok(false);
                }
            }
            // What the user brought cannot be fetched: that a file is gone is an error.
            _ => {}
        }
        for part in &self.parts {
            check(&folder.join(part.path), part.sha256)?;
        }
        Ok(true)
    }
}

/// The folder of an export, if all of its files are here; each is checked unless that was
/// done before, and read whole if `anew`.
///
/// # Errors
/// When the entry is none of an export, a file is not what it should be, or one that the
/// user brought is gone.
pub fn installed_export(
    entry: &ModelEntry,
    settings: &ModelSettings,
    anew: bool,
) -> Result<Option<PathBuf>, ModelError> {
    let folder = folder(entry, settings)?;
    let is_here = Export::of(entry)?.is_here(&folder, anew)?;
    Ok(is_here.then_some(folder))
}

/// The folder of an export, all files of which are here; those that are not are downloaded
/// first. Blocks; works on any thread, also one that drives an async runtime.
///
/// # Errors
/// When a file cannot be had whole, or the user has to bring the export; the error says how.
/// What came so far stays, and the next call goes on after it.
pub fn ensure_export(entry: &ModelEntry, settings: &ModelSettings) -> Result<PathBuf, ModelError> {
    let folder = folder(entry, settings)?;
    let export = Export::of(entry)?;
    if export.is_here(&folder, false)? {
        return Ok(folder);
    }
    let (repository, revision, place) = match &export.source.place {
        Place::HubExport {
            repository,
            revision,
            folder,
            ..
        } => (repository, revision, folder),
        Place::ToImport { weights } => {
            return Err(ModelError::ToImport {
                name: entry.name.clone(),
                weights: weights.clone(),
            });
        }
        _ => {
            return Err(ModelError::NoSource {
                name: entry.name.clone(),
            });
        }
    };
    let by_hand = ByHand::of(entry, export.source, &folder);
    allow(entry, settings, &by_hand)?;
    let _lock = Lock::acquire(&folder)?;
    // Another process may have fetched some of it while this one waited.
    let mut missing = Vec::new();
    for part in &export.parts {
        let path = folder.join(part.path);
        if path.is_file() {
            verify::check(&path, part.sha256)?;
        } else {
            missing.push((part, path));
        }
    }
    tracing::info!(model = %entry.name, source = %describe(export.source), files = missing.len(), "downloading");
    let unavailable = |error: &ModelError, file: Option<&str>| {
        let from = describe(export.source);
        let file = file.map_or(String::new(), |file| format!("/{file}"));
        ModelError::Unavailable {
            name: entry.name.clone(),
            problems: format!("{from}{file}: {error}"),
            by_hand: Box::new(by_hand.clone()),
        }
    };
    let sizes = missing.iter().map(|(part, path)| (path.clone(), part.size));
    hub::room_for_all(sizes).map_err(|error| unavailable(&error, None))?;
    for (part, path) in missing {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| ModelError::io(parent, error))?;
        }
        let file = match place {
            Some(place) => format!("{place}/{}", part.path),
            None => part.path.to_owned(),
        };
        let url = hub_url(settings, repository, revision, &file);
        let (ready, sha256) = hub::fetch(&url, &path, part.sha256, part.size)
            .map_err(|error| unavailable(&error, Some(part.path)))?;
        settle(&ready, path, sha256)?;
    }
    Ok(folder)
}
