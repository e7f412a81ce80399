//! The folder that the embedded store lives in: one server at a time.

use std::{
    fs::{self, File, TryLockError},
    io::Write as _,
    path::{Path, PathBuf},
};

use super::StoreError;

/// A folder that is ours as long as this lives.
#[derive(Debug)]
pub struct Home {
    dir: PathBuf,
    /// Locked; holds our process id for `make stop`.
    _lock: File,
}

impl Home {
    /// Creates the folder if need be (readable by its user alone) and takes it.
    ///
    /// # Errors
    /// When it cannot be written, or another server has it.
    pub fn take(dir: &Path) -> Result<Self, StoreError> {
        let failed =
            |error: std::io::Error| StoreError::Failed(format!("{}: {error}", dir.display()));
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(dir).map_err(failed)?;
        let mut lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join("parlour.pid"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Failed(format!(
                    "another server uses {}; stop it, or name another folder in PARLOUR_DATA",
                    dir.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        lock.set_len(0).map_err(failed)?;
        write!(lock, "{}", std::process::id()).map_err(failed)?;
        Ok(Self {
            dir: dir.to_owned(),
            _lock: lock,
        })
    }

    /// The store's file.
    pub fn database(&self) -> PathBuf {
        self.dir.join("parlour.sqlite")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_servers_never_share_a_store() {
        let dir = tempfile::tempdir().unwrap();
        let first = Home::take(dir.path()).unwrap();
        assert!(Home::take(dir.path()).is_err());
        drop(first);
        assert!(Home::take(dir.path()).is_ok());
    }
}
