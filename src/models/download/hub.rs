//! Files of a hub, over HTTP: `{hub}/{repository}/resolve/{revision}/{file}`.
//!
//! The hub states the SHA-256 of large files, and of small ones the name that git has for
//! their content.
//!
//! An interrupted download leaves `<file>.part`, and the next attempt asks for the rest
//! by a `Range` (RFC 9110, section 14).

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use futures_util::StreamExt;
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{CONTENT_RANGE, ETAG, LOCATION, RANGE},
    redirect,
};
use tokio::{fs::File, io::AsyncWriteExt};

use super::{
    progress::Progress,
    verify::{compare, git_blob_of, sha256_of},
};
use crate::models::ModelError;

/// Attempts in a row that bring no byte before the download is given up.
const ATTEMPTS: u32 = 4;
/// Wait after the first such attempt; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// Longest silence within a download.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
const REDIRECTS: u32 = 8;
/// The hub's own statement of a file's checksum, on the answer before the redirect to where
/// the bytes lie. Where the hub sends the bytes itself, its `ETag` says the same.
const LINKED_ETAG: &str = "x-linked-etag";
/// Bytes that a download leaves free on the disk.
const SPARE: u64 = 64 << 20;

/// What the hub states of a file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Checksum {
    Sha256(String),
    /// See [`git_blob_of`].
    GitBlob(String),
}

impl Checksum {
    /// Of an entity tag, by its length.
    fn of(tag: &str) -> Option<Self> {
        let value = tag.trim_start_matches("W/").trim_matches('"');
        let value = value.to_ascii_lowercase();
        let is_digest = value.bytes().all(|byte| byte.is_ascii_hexdigit());
        match value.len() {
            64 if is_digest => Some(Self::Sha256(value)),
            40 if is_digest => Some(Self::GitBlob(value)),
            _ => None,
        }
    }
}

/// Downloads a file to its `.part`. Gives where it lies for now, and its SHA-256.
pub(super) fn fetch(
    url: &str,
    target: &Path,
    sha256: Option<&str>,
    size: Option<u64>,
) -> Result<(PathBuf, String), ModelError> {
    let url = Url::parse(url).map_err(|error| ModelError::Source(format!("{url}: {error}")))?;
    let mut download = Download {
        url,
        part: part_of(target),
        expected: sha256.map(|sha256| Checksum::Sha256(sha256.to_owned())),
        total: size,
        progress: Progress::new(
            &target.file_name().unwrap_or_default().to_string_lossy(),
            size,
        ),
    };
    // The caller may be on a thread that drives a runtime, which cannot block on another.
    let result = thread::scope(|scope| {
        let download = &mut download;
        scope
            .spawn(move || {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|error| ModelError::Source(format!("no async runtime: {error}")))?
                    .block_on(download.run())
            })
            .join()
    });
    result.unwrap_or_else(|_| Err(ModelError::Source("the download panicked".into())))?;
    let found = sha256_of(&download.part)?;
    let Some(expected) = &download.expected else {
        remove(&download.part);
        return Err(ModelError::Source(
            "neither the catalogue nor the hub states a checksum".into(),
        ));
    };
    let compared = match expected {
        Checksum::Sha256(expected) => compare(&download.part, Some(expected), &found),
        Checksum::GitBlob(expected) => git_blob_of(&download.part).and_then(|found| {
            if found == *expected {
                return Ok(());
            }
            Err(ModelError::Source(format!(
                "its content is {found} to git instead of {expected}"
            )))
        }),
    };
    if let Err(error) = compared {
        // These bytes are wrong: resuming after them would never come right.
        remove(&download.part);
        return Err(error);
    }
    Ok((download.part, found))
}

struct Download {
    url: Url,
    part: PathBuf,
    expected: Option<Checksum>,
    total: Option<u64>,
    progress: Progress,
}

/// Why an attempt ended early.
enum Setback {
    /// Another attempt may do better.
    Passing(String),
    /// It will not.
    Lasting(String),
}

impl From<reqwest::Error> for Setback {
    fn from(error: reqwest::Error) -> Self {
        Self::Passing(chain(&error))
    }
}

impl From<std::io::Error> for Setback {
    fn from(error: std::io::Error) -> Self {
        Self::Lasting(format!("cannot write the file: {error}"))
    }
}

/// An error with its causes, which say more than reqwest's first line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl Download {
    async fn run(&mut self) -> Result<(), ModelError> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(SILENCE_LIMIT)
            .user_agent(concat!("parlour/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ModelError::Source(chain(&error)))?;
        let mut fruitless = 0;
        loop {
            let before = self.have();
            let problem = match self.attempt(&client).await {
                Ok(()) => return Ok(()),
                Err(Setback::Lasting(problem)) => return Err(ModelError::Source(problem)),
                Err(Setback::Passing(problem)) => problem,
            };
            fruitless = if self.have() > before {
                0
            } else {
                fruitless + 1
            };
            if fruitless == ATTEMPTS {
                return Err(ModelError::Source(problem));
            }
            tracing::warn!(%problem, have = self.have(), "the download stopped; trying again");
            if fruitless > 0 {
                tokio::time::sleep(FIRST_WAIT * 2_u32.pow(fruitless - 1)).await;
            }
        }
    }

    /// Bytes that are here.
    fn have(&self) -> u64 {
        fs::metadata(&self.part).map_or(0, |metadata| metadata.len())
    }

    /// The checksum that an answer states. An `ETag` counts from the hub alone: elsewhere it
    /// may be anything.
    fn stated(&self, response: &Response) -> Option<Checksum> {
        let tag = |name: &str| response.headers().get(name)?.to_str().ok();
        tag(LINKED_ETAG).and_then(Checksum::of).or_else(|| {
            let from_hub = response.url().origin() == self.url.origin();
            let succeeded = response.status().is_success();
            let stated = Checksum::of(tag(ETAG.as_str())?)?;
            (from_hub && succeeded && matches!(stated, Checksum::GitBlob(_))).then_some(stated)
        })
    }

    async fn attempt(&mut self, client: &Client) -> Result<(), Setback> {
        let have = self.have();
        if have > 0 && self.total == Some(have) && self.expected.is_some() {
            return Ok(());
        }
        let response = self.request(client, have).await?;
        let start = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT => range_start(&response)
                .filter(|start| *start == have)
                .ok_or_else(|| Setback::Lasting("the hub sent another range than asked".into()))?,
            StatusCode::RANGE_NOT_SATISFIABLE => {
                remove(&self.part);
                return Err(Setback::Passing(
                    "what was here is no part of the file".into(),
                ));
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(Setback::Passing(format!("the hub answers {status}")));
            }
            status => return Err(Setback::Lasting(format!("the hub answers {status}"))),
        };
        if let Some(length) = response.content_length() {
            self.total = Some(start + length);
            self.progress.set_total(start + length);
        }
        if let Some(total) = self.total {
            room(&self.part, total - start.min(total)).map_err(Setback::Lasting)?;
        }
        let mut file = File::options()
            .create(true)
            .append(start > 0)
            .truncate(start == 0)
            .write(true)
            .open(&self.part)
            .await?;
        let mut here = start;
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    // What came so far is kept for the next attempt.
                    file.flush().await?;
                    return Err(error.into());
                }
            };
            file.write_all(&chunk).await?;
            here += chunk.len() as u64;
            self.progress.at(here);
        }
        file.sync_all().await?;
        match self.total {
            Some(total) if here < total => Err(Setback::Passing(format!(
                "the hub sent {here} of {total} bytes"
            ))),
            _ => Ok(()),
        }
    }

    /// Asks for everything after the first `have` bytes, following redirects by hand:
    /// the hub states the checksum on the first of them.
    async fn request(&mut self, client: &Client, have: u64) -> Result<Response, Setback> {
        let mut url = self.url.clone();
        for _ in 0..REDIRECTS {
            let mut request = client.get(url.clone());
            if have > 0 {
                request = request.header(RANGE, format!("bytes={have}-"));
            }
            let response = request.send().await?;
            if self.expected.is_none() {
                self.expected = self.stated(&response);
            }
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let next = response
                .headers()
                .get(LOCATION)
                .and_then(|location| location.to_str().ok())
                .and_then(|location| url.join(location).ok())
                .filter(|next| url.scheme() != "https" || next.scheme() == "https");
            match next {
                Some(next) => url = next,
                None => return Err(Setback::Lasting("the hub redirects to nowhere".into())),
            }
        }
        Err(Setback::Lasting("the hub redirects without end".into()))
    }
}

/// Refuses when the disk has not the room for this many more bytes at a path.
fn room(path: &Path, more: u64) -> Result<(), String> {
    let folder = path.parent().unwrap_or(path);
    let Ok(disk) = rustix::fs::statvfs(folder) else {
        // Writing will tell.
        return Ok(());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if more.saturating_add(SPARE) <= free {
        return Ok(());
    }
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    Err(format!(
        "{} MB are still to come, and the disk has {} MB free",
        megabytes(more),
        megabytes(free)
    ))
}

/// The first byte's index in `Content-Range: bytes FIRST-LAST/TOTAL`.
fn range_start(response: &Response) -> Option<u64> {
    let value = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    value
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .parse()
        .ok()
}

/// Refuses when the disk has not the room for all of these files. What is already here of
/// one counts as well.
pub(super) fn room_for_all<'a>(
    files: impl Iterator<Item = (PathBuf, Option<u64>)> + 'a,
) -> Result<(), ModelError> {
    let mut folder = None;
    let mut more = 0_u64;
    for (path, size) in files {
        let part = part_of(&path);
        let have = [&path, &part]
            .into_iter()
            .find_map(|path| fs::metadata(path).ok())
            .map_or(0, |metadata| metadata.len());
        more = more.saturating_add(size.unwrap_or(0).saturating_sub(have));
        folder.get_or_insert(part);
    }
    folder.map_or(Ok(()), |part| room(&part, more).map_err(ModelError::Source))
}

fn part_of(target: &Path) -> PathBuf {
    let mut part = target.as_os_str().to_owned();
    part.push(".part");
    part.into()
}

fn remove(path: &Path) {
    // What is not there need not be removed, and what cannot be is overwritten later.
    let _ = fs::remove_file(path);
}
