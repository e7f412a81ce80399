//! What lies between the lines of a log: told once to who is there, and forgotten.

use std::collections::VecDeque;

use super::frame::Frame;
use crate::wire::browser::ToClient;

/// What is told of lines besides the log and is soon forgotten. Numbered, so that nobody is
/// told twice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asides {
    /// Number of the first of `said`.
    first: u64,
    said: VecDeque<(u32, Frame)>,
}

impl Asides {
    /// Says something about a line.
    pub(crate) fn say(&mut self, line: u32, message: &ToClient) {
        self.said.push_back((line, Frame::of(message)));
    }

    /// Forgets what is over.
    pub(crate) fn keep(&mut self, wanted: impl Fn(u32) -> bool) {
        // What is behind one that is wanted stays with it: numbers have no gaps.
        while self.said.front().is_some_and(|(line, _)| !wanted(*line)) {
            self.said.pop_front();
            self.first += 1;
        }
    }

    /// Number of the oldest that is not forgotten.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Number of the one that will be said next.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.said.len() as u64
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Frame> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.said.get(at).map(|(_, frame)| frame)
    }
}
