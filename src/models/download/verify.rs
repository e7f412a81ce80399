//! Checksums, and remembering that one was right.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::models::ModelError;

/// Copies, and gives (bytes, SHA-256) of what went through.
pub(super) fn copy_hashing(
    from: &mut impl Read,
    to: &mut impl Write,
    mut at: impl FnMut(u64),
) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut total = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
        total += count as u64;
        at(total);
    }
    Ok((total, hexadecimal(&hasher.finalize())))
}

/// SHA-256 of a file, lower-case hexadecimal.
pub(crate) fn sha256_of(path: &Path) -> Result<String, ModelError> {
    File::open(path)
        .and_then(|mut file| copy_hashing(&mut file, &mut io::sink(), |_| {}))
        .map(|(_, sha256)| sha256)
        .map_err(|error| ModelError::io(path, error))
}

/// How git names a file's content: SHA-1 of `blob LENGTH\0` and the bytes. Lower-case
/// hexadecimal.
pub(super) fn git_blob_of(path: &Path) -> Result<String, ModelError> {
    let digest = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let mut hasher = Sha1::new();
        hasher.update(format!("blob {}\0", file.metadata()?.len()));
        let mut buffer = vec![0; 1 << 18];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break Ok(hexadecimal(&hasher.finalize())),
                Ok(count) => hasher.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        }
    };
    digest().map_err(|error| ModelError::io(path, error))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Gives a file's SHA-256, from its stamp if that still fits. Where nobody else states a
/// checksum, the one that it once had is the expected one.
///
/// # Errors
/// When it is not the expected one.
pub(super) fn check(path: &Path, expected: Option<&str>) -> Result<String, ModelError> {
    let known = Stamp::read(path)?;
    let sha256 = match known.clone() {
        Some(sha256) => sha256,
        None => sha256_of(path)?,
    };
    let remembered = Stamp::remembered(path);
    compare(path, expected.or(remembered.as_deref()), &sha256)?;
    if known.is_none() {
        Stamp::write(path, &sha256)?;
    }
    Ok(sha256)
}

pub(super) fn compare(path: &Path, expected: Option<&str>, found: &str) -> Result<(), ModelError> {
    match expected {
        Some(expected) if !expected.eq_ignore_ascii_case(found) => Err(ModelError::Checksum {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// The memory of a check: `<file>.verified` with checksum, size and time of change.
pub(super) struct Stamp;

impl Stamp {
    fn path(of: &Path) -> PathBuf {
        let mut name = of.as_os_str().to_owned();
        name.push(".verified");
        name.into()
    }

    fn state(of: &Path) -> io::Result<String> {
        let metadata = fs::metadata(of)?;
        let changed = metadata
            .modified()?
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        Ok(format!("{} {changed}", metadata.len()))
    }

    /// The checksum that the file had when it was last checked, if it is unchanged.
    fn read(of: &Path) -> Result<Option<String>, ModelError> {
        let Ok(text) = fs::read_to_string(Self::path(of)) else {
            return Ok(None);
        };
        let state = Self::state(of).map_err(|error| ModelError::io(of, error))?;
        Ok(text
            .split_once(' ')
            .filter(|(_, then)| *then == state)
            .map(|(sha256, _)| sha256.to_owned()))
    }

    /// The checksum that the file once had, whatever it is now.
    fn remembered(of: &Path) -> Option<String> {
        let text = fs::read_to_string(Self::path(of)).ok()?;
        Some(text.split_once(' ')?.0.to_owned())
    }

    pub(super) fn write(of: &Path, sha256: &str) -> Result<(), ModelError> {
        Self::state(of)
            .and_then(|state| fs::write(Self::path(of), format!("{sha256} {state}")))
            .map_err(|error| ModelError::io(of, error))
    }
}

/// [`check`] of the bytes themselves, whatever the stamp says.
pub(super) fn check_anew(path: &Path, expected: Option<&str>) -> Result<String, ModelError> {
    let found = sha256_of(path)?;
    let remembered = Stamp::remembered(path);
    compare(path, expected.or(remembered.as_deref()), &found)?;
    Stamp::write(path, &found)?;
    Ok(found)
}
