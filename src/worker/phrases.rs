//! PURE: finds any of some phrases in a stream of bytes, one byte at a time.
//!
//! The automaton of Aho and Corasick (1975) with its failures resolved beforehand: a table
//! of states by bytes. Bytes that are in no phrase share a column, so that a table of a few
//! kilobytes of phrases stays below a few megabytes.

/// Where a stream stands: how much of which phrases it ends with.
pub(crate) type State = u16;

/// The state of an empty stream.
pub(crate) const START: State = 0;

/// A compiled set of phrases.
#[derive(Clone, Debug)]
pub(crate) struct Phrases {
    /// Column of each byte.
    columns: Box<[u8; 256]>,
    width: usize,
    /// By state and column.
    next: Vec<State>,
    /// Whether a phrase is complete, by state.
    complete: Vec<bool>,
}

impl Phrases {
    /// Of all phrases together at most 65,535 bytes are used; empty ones never occur.
    pub(crate) fn new(phrases: &[Vec<u8>]) -> Self {
        let mut columns = Box::new([0u8; 256]);
        let mut used = 0u8;
        for &byte in phrases.iter().flatten() {
            let column = &mut columns[usize::from(byte)];
            // Text has at most 243 different bytes (RFC 3629 rules out 13), so this fits.
            if *column == 0 && used < u8::MAX {
                used += 1;
                *column = used;
            }
        }
        let width = usize::from(used) + 1;
        let mut next: Vec<State> = vec![START; width];
        let mut complete = vec![false];
        for phrase in phrases.iter().filter(|phrase| !phrase.is_empty()) {
            let mut state = START;
            for &byte in phrase {
                let at = usize::from(state) * width + usize::from(columns[usize::from(byte)]);
                if next[at] == START {
                    let Ok(new) = State::try_from(complete.len()) else {
                        break;
                    };
                    next[at] = new;
                    next.resize(next.len() + width, START);
                    complete.push(false);
                }
                state = next[at];
            }
            complete[usize::from(state)] = true;
        }
        let mut made = Self {
            columns,
            width,
            next,
            complete,
        };
        made.resolve();
        made
    }

    /// Gives every state all its successors, shorter beginnings before longer ones.
    fn resolve(&mut self) {
        let width = self.width;
        let mut fallback = vec![START; self.complete.len()];
        let mut queue: std::collections::VecDeque<State> = self.next[..width]
            .iter()
            .copied()
            .filter(|&s| s != START)
            .collect();
        while let Some(state) = queue.pop_front() {
            let (at, back) = (
                usize::from(state),
                usize::from(fallback[usize::from(state)]),
            );
            self.complete[at] |= self.complete[back];
            for column in 0..width {
                let elsewhere = self.next[back * width + column];
                let next = &mut self.next[at * width + column];
                if *next == START {
                    *next = elsewhere;
                } else {
                    fallback[usize::from(*next)] = elsewhere;
                    queue.push_back(*next);
                }
            }
        }
    }

    pub(crate) fn step(&self, state: State, byte: u8) -> State {
        let column = usize::from(self.columns[usize::from(byte)]);
        self.next[usize::from(state) * self.width + column]
    }

    /// Whether a phrase ends where the stream stands.
    pub(crate) fn complete(&self, state: State) -> bool {
        self.complete[usize::from(state)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occurs_in(automaton: &Phrases, bytes: &[u8]) -> bool {
        let mut state = START;
        bytes.iter().any(|&byte| {
            state = automaton.step(state, byte);
            automaton.complete(state)
        })
    }

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_phrase_ends_exactly_where_searching_finds_it(
            text in "[abcß]{0,40}", phrases in proptest::collection::vec("[abcß]{0,4}", 0..6),
        ) {
            let bytes: Vec<Vec<u8>> = phrases.iter().map(|p| p.clone().into_bytes()).collect();
            let automaton = Phrases::new(&bytes);
            let mut state = START;
            for (end, &byte) in (1..).zip(text.as_bytes()) {
                state = automaton.step(state, byte);
                let wanted = bytes.iter().any(|p| !p.is_empty() && text.as_bytes()[..end].ends_with(p));
                prop_assert_eq!(automaton.complete(state), wanted);
            }
            let somewhere = phrases.iter().any(|p| !p.is_empty() && text.contains(p.as_str()));
            prop_assert_eq!(occurs_in(&automaton, text.as_bytes()), somewhere);
        }
    }
}
