//! One process at a time fetches or imports a model.

use std::{
    fs::{self, File},
    path::Path,
};

use crate::models::ModelError;

/// Held while a model's folder is being filled. The operating system lets go of it when
/// the process ends, however it ends.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until no other process works on the folder, which is made if need be.
    pub(crate) fn acquire(model_dir: &Path) -> Result<Self, ModelError> {
        fs::create_dir_all(model_dir).map_err(|error| ModelError::io(model_dir, error))?;
        let path = model_dir.join(".lock");
        let open = || -> std::io::Result<File> {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => {
                    tracing::info!(folder = %model_dir.display(), "waiting for another process that works on this model");
                    file.lock()?;
                }
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
            Ok(file)
        };
        let file = open().map_err(|error| ModelError::io(&path, error))?;
        Ok(Self { _file: file })
    }
}
