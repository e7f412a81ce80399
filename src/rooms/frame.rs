//! A message as it goes over the wire. Written once, shared by all who hear the same.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use crate::wire::browser::ToClient;

/// The text of one frame.
#[derive(Clone, Debug)]
pub(crate) struct Frame(Arc<str>);

impl Frame {
    pub(crate) fn of(message: &ToClient) -> Self {
        let text = serde_json::to_string(message).expect("a message has string keys only");
        Self(text.into())
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// What was written for one watcher and may be said to others.
pub(crate) struct Frames<K>(HashMap<K, Frame>);

impl<K: Eq + Hash> Frames<K> {
    pub(crate) fn new() -> Self {
        Self(HashMap::new())
    }

    /// The frame for `key`, written if it is the first time.
    pub(crate) fn get(&mut self, key: K, write: impl FnOnce() -> ToClient) -> Frame {
        self.0
            .entry(key)
            .or_insert_with(|| Frame::of(&write()))
            .clone()
    }
}
