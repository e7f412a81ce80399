//! Adapters by name: one folder each, in PEFT's format, read when somebody asks for it.
//!
//! What was read is kept, and read again when a file has changed: an adapter that was tuned
//! anew speaks from the next request on, under a new id. Requests that wait or run keep the
//! one that they came with. Reading blocks; it happens where requests are prepared, never on
//! the engine's thread.

use std::{
    collections::HashMap,
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use crate::{
    models::peft::{self, Adapter, AdapterShape, CONFIG_FILE, WEIGHTS_FILE},
    wire::worker::Refusal,
};

/// Bytes of adapters that are kept though nobody uses them.
const KEPT_BYTES: usize = 256 << 20;
/// Names of which anything is remembered.
const KEPT_NAMES: usize = 4096;
/// How often an adapter is read again because its files changed meanwhile.
const ATTEMPTS: usize = 3;
/// Characters of an unknown name that are repeated in the answer.
const TOLD: usize = 64;

/// The adapters of one folder, for one model.
#[derive(Debug)]
pub(crate) struct Adapters {
    folder: PathBuf,
    shape: AdapterShape,
    kept_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    names: HashMap<String, Entry>,
    /// Counts the requests, to tell what was longest unused.
    clock: u64,
}

#[derive(Debug, Default)]
struct Entry {
    used: u64,
    /// Held while the adapter is read: who asks for the same one waits for it.
    slot: Arc<Mutex<Option<Read>>>,
    /// The adapter, so that it stays; dropped when others need the memory.
    held: Option<Arc<Adapter>>,
}

/// What reading gave.
#[derive(Debug)]
struct Read {
    stamp: Stamp,
    result: Result<Loaned, String>,
}

/// An adapter that others hold; its id outlives it, for the same files are the same adapter.
#[derive(Debug)]
struct Loaned {
    id: u64,
    adapter: Weak<Adapter>,
}

/// Tells whether files are the ones that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp([Option<FileStamp>; 2]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileStamp {
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Moves also when a copy brings its old time of modification along.
    changed: (i64, i64),
}

impl Stamp {
    fn of(folder: &Path) -> Self {
        let file = |name| {
            let of = |file: Metadata| FileStamp {
                inode: file.ino(),
                size: file.size(),
                modified: (file.mtime(), file.mtime_nsec()),
                changed: (file.ctime(), file.ctime_nsec()),
            };
            folder.join(name).metadata().ok().map(of)
        };
        Self([CONFIG_FILE, WEIGHTS_FILE].map(file))
    }
}

impl Adapters {
    /// Adapters below `folder`, which need not exist, for a model of this shape.
    pub(crate) fn new(folder: PathBuf, shape: AdapterShape) -> Self {
        Self {
            folder,
            shape,
            kept_bytes: KEPT_BYTES,
            kept: Mutex::default(),
        }
    }

    /// The adapter of this name, as its files are now.
    ///
    /// # Errors
    /// [`Refusal::UnknownAdapter`] when there is none; [`Refusal::BadAdapter`] when it cannot
    /// be read, or means something that is not computed here.
    pub(crate) fn open(&self, name: &str) -> Result<Arc<Adapter>, Refusal> {
        let unknown = || Refusal::UnknownAdapter {
            adapter: name.chars().take(TOLD).collect(),
        };
        if !peft::is_name(name) {
            return Err(unknown());
        }
        let folder = self.folder.join(name);
        if !folder.is_dir() {
            self.kept().names.remove(name);
            return Err(unknown());
        }
        let slot = self.slot(name);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.read(&folder, &mut slot);
        if let Ok(adapter) = &result {
            self.hold(name, adapter);
        }
        result.map_err(|problem| Refusal::BadAdapter {
            adapter: name.into(),
            problem,
        })
    }

    /// Reads an adapter unless it is at hand.
    fn read(&self, folder: &Path, slot: &mut Option<Read>) -> Result<Arc<Adapter>, String> {
        let mut stamp = Stamp::of(folder);
        for _ in 0..ATTEMPTS {
            let known = slot.as_ref().filter(|read| read.stamp == stamp);
            let id = match known.map(|read| &read.result) {
                Some(Err(problem)) => return Err(problem.clone()),
                Some(Ok(loaned)) => match loaned.adapter.upgrade() {
                    Some(adapter) => return Ok(adapter),
                    None => Some(loaned.id),
                },
                None => None,
            };
            let read = peft::read(folder, &self.shape);
            let now = Stamp::of(folder);
            if now != stamp {
                stamp = now;
                continue;
            }
            let result = read.map_err(|error| error.to_string()).map(|mut adapter| {
                adapter.id = id.unwrap_or(adapter.id);
                Arc::new(adapter)
            });
            let loaned = |adapter: &Arc<Adapter>| Loaned {
                id: adapter.id,
                adapter: Arc::downgrade(adapter),
            };
            *slot = Some(Read {
                stamp,
                result: result.as_ref().map(loaned).map_err(Clone::clone),
            });
            return result;
        }
        Err("its files are being written".into())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, name: &str) -> Arc<Mutex<Option<Read>>> {
        let mut kept = self.kept();
        if !kept.names.contains_key(name) && kept.names.len() >= KEPT_NAMES {
            let oldest = kept.names.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                kept.names.remove(&oldest);
            }
        }
        kept.clock += 1;
        let clock = kept.clock;
        let entry = kept.names.entry(name.to_owned()).or_default();
        entry.used = clock;
        entry.slot.clone()
    }

    /// Keeps an adapter, at the cost of those that were longest unused.
    fn hold(&self, name: &str, adapter: &Arc<Adapter>) {
        let mut kept = self.kept();
        if let Some(entry) = kept.names.get_mut(name) {
            entry.held = Some(adapter.clone());
        }
        let mut held: Vec<&mut Entry> = kept
            .names
            .values_mut()
            .filter(|entry| entry.held.is_some())
            .collect();
        held.sort_by_key(|entry| std::cmp::Reverse(entry.used));
        let mut bytes = 0;
        for (at, entry) in held.into_iter().enumerate() {
            bytes += entry.held.as_ref().map_or(0, |adapter| adapter.bytes());
            // The latest is in use.
            if at > 0 && bytes > self.kept_bytes {
                entry.held = None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
