//! The folder that the embedded store lives in: one server at a time.

use std::{
    fs::{self, File, TryLockError},
    io::Write as _,
    path::{Path, PathBuf},
};

use super::StoreError;

const SECRET_BYTES: usize = 32;

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

    /// The secret that this house signs with: random, made at the first start, and kept
    /// beside the store for its user alone.
    ///
    /// # Errors
    /// When it cannot be read or made.
    pub fn secret(&self) -> Result<Vec<u8>, StoreError> {
        let path = self.dir.join("secret");
        let failed =
            |error: std::io::Error| StoreError::Failed(format!("{}: {error}", path.display()));
        match fs::read(&path) {
            Ok(secret) if secret.len() == SECRET_BYTES => return Ok(secret),
            Ok(_) => {
                let why = "it is damaged; move it away, and seats of before are forgotten";
                return Err(StoreError::Failed(format!("{}: {why}", path.display())));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let secret = rand::random::<[u8; SECRET_BYTES]>();
        // Whole or not at all, also if the power fails meanwhile.
        let mut file = tempfile::NamedTempFile::new_in(&self.dir).map_err(failed)?;
        file.write_all(&secret).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(secret.to_vec())
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
    fn a_house_keeps_its_secret_and_shows_it_to_nobody() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let home = Home::take(dir.path()).unwrap();
        let secret = home.secret().unwrap();
        assert_eq!(home.secret().unwrap(), secret);
        let path = dir.path().join("secret");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
        fs::write(&path, b"short").unwrap();
        assert!(home.secret().is_err());
        let other = tempfile::tempdir().unwrap();
        let other = Home::take(other.path()).unwrap().secret().unwrap();
        assert_ne!(other, secret);
    }

    #[test]
    fn two_servers_never_share_a_store() {
        let dir = tempfile::tempdir().unwrap();
        let first = Home::take(dir.path()).unwrap();
        assert!(Home::take(dir.path()).is_err());
        drop(first);
        assert!(Home::take(dir.path()).is_ok());
    }
}
