//! Makes an export that the user brought known by a name.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::Path,
};

use super::HubExport;
use crate::{
    config::ModelSettings,
    models::{
        ModelError,
        catalogue::{Catalogue, ExportFile, ModelEntry},
        download,
        lock::Lock,
        tokenizer_json::HubTokenizer,
    },
};

/// Copies what an export needs of `from` into the house's folder of weights. Where the
/// catalogue has an entry of this name that waits for one, its parameters hold.
///
/// # Errors
/// When it is none that can be run, or a file cannot be copied; then nothing is known by
/// the name that was not before.
pub(crate) fn import(
    from: &Path,
    name: &str,
    graph: Option<&str>,
    settings: &ModelSettings,
) -> Result<(), ModelError> {
    // Everything that can be refused is refused before a byte is copied.
    let export = HubExport::open(from, graph)?;
    let knows_chats = HubTokenizer::of(&export, None)?.knows_chats();

    let family = &export.config.family;
    let waiting = Catalogue::builtin()
        .models()
        .iter()
        .find_map(|entry| (entry.name == name && entry.is_to_import()).then(|| entry.clone()));
    let wanted = waiting
        .as_ref()
        .and_then(|entry| entry.architecture.as_ref());
    if let Some(wanted) = wanted.filter(|wanted| *wanted != family) {
        return Err(ModelError::OtherFamily {
            name: name.to_owned(),
            wanted: wanted.clone(),
            found: family.clone(),
        });
    }

    let weights = settings.dir()?;
    let _lock = Lock::acquire(&weights)?;
    let (folder, staging) = (weights.join(name), weights.join(format!(".{name}.part")));
    remove(&staging)?;
    let (mut files, mut size) = (Vec::new(), 0);
    for path in &export.files {
        let target = staging.join(path);
        size += copy(&from.join(path), &target)?;
        files.push(ExportFile {
            path: path.clone(),
            sha256: download::sha256_of(&target)?,
        });
    }
    // What had the name before goes as a whole: a graph left over would be taken for this
    // export's own.
    remove(&folder)?;
    fs::rename(&staging, &folder).map_err(|error| ModelError::io(&folder, error))?;
    let entry = match waiting {
        Some(waiting) => waiting.brought(files, size),
        None => ModelEntry::export(name, family, files, size, knows_chats),
    };
    entry.write(&folder)
}

fn remove(folder: &Path) -> Result<(), ModelError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(ModelError::io(folder, error)),
        _ => Ok(()),
    }
}

/// Gives the file's length, bytes.
fn copy(from: &Path, to: &Path) -> Result<u64, ModelError> {
    if let Some(place) = to.parent() {
        fs::create_dir_all(place).map_err(|error| ModelError::io(place, error))?;
    }
    fs::copy(from, to)
        .and_then(|length| File::open(to)?.sync_all().map(|()| length))
        .map_err(|error| ModelError::io(from, error))
}
