//! PURE: beginnings of prompts that were read before, kept on shelves (slots of their own)
//! for requests that begin alike: few-shot examples, a character, a conversation so far.
//!
//! Only whole chunks are lent. A chunk's keys and values depend on the tokens up to its end
//! alone, so that what is lent is, bit for bit, what the borrower would have computed.

use std::ops::Range;

use super::batch::CHUNK;

/// What one shelf holds.
#[derive(Debug)]
struct Shelf {
    slot: usize,
    /// A whole number of chunks; empty at first.
    tokens: Vec<u32>,
    /// When it was last lent or filled.
    used: u64,
}

/// A beginning that can be copied instead of computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loan {
    pub(crate) slot: usize,
    /// Tokens, a whole number of chunks.
    pub(crate) length: usize,
}

/// The shelves.
#[derive(Debug)]
pub(crate) struct Library {
    shelves: Vec<Shelf>,
    clock: u64,
}

impl Library {
    pub(crate) fn new(slots: Range<usize>) -> Self {
        let shelf = |slot| Shelf {
            slot,
            tokens: Vec::new(),
            used: 0,
        };
        Self {
            shelves: slots.map(shelf).collect(),
            clock: 0,
        }
    }

    /// The longest shelved beginning of `tokens`.
    pub(crate) fn lend(&mut self, tokens: &[u32]) -> Option<Loan> {
        let (length, shelf) = self
            .shelves
            .iter_mut()
            .map(|shelf| (in_common(&shelf.tokens, tokens), shelf))
            .max_by_key(|(length, _)| *length)
            .filter(|(length, _)| *length > 0)?;
        self.clock += 1;
        shelf.used = self.clock;
        Some(Loan {
            slot: shelf.slot,
            length,
        })
    }

    /// The shelf that these tokens, cut to whole chunks, are to be copied to; none when
    /// they lie on one already. What was longest unused gives way.
    pub(crate) fn keep(&mut self, tokens: &[u32]) -> Option<Loan> {
        let length = whole_chunks(tokens.len());
        let tokens = &tokens[..length];
        if length == 0
            || self
                .shelves
                .iter()
                .any(|shelf| shelf.tokens.starts_with(tokens))
        {
            return None;
        }
        self.clock += 1;
        // A beginning of these tokens is of no more use beside them.
        let shelf = self
            .shelves
            .iter_mut()
            .min_by_key(|shelf| (!tokens.starts_with(&shelf.tokens), shelf.used))?;
        tokens.clone_into(&mut shelf.tokens);
        shelf.used = self.clock;
        Some(Loan {
            slot: shelf.slot,
            length,
        })
    }

    /// The engine failed: nobody knows what the slots hold.
    pub(crate) fn forget(&mut self) {
        for shelf in &mut self.shelves {
            shelf.tokens.clear();
        }
    }
}

/// How much of `length` tokens is whole chunks.
pub(crate) fn whole_chunks(length: usize) -> usize {
    length - length % CHUNK
}

fn in_common(shelved: &[u32], tokens: &[u32]) -> usize {
    let same = shelved.iter().zip(tokens).take_while(|(a, b)| a == b);
    whole_chunks(same.count())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(chunks: &[u32]) -> Vec<u32> {
        chunks.iter().flat_map(|&chunk| [chunk; CHUNK]).collect()
    }

    #[test]
    fn whole_chunks_in_common_are_lent_and_no_token_more() {
        let mut library = Library::new(7..9);
        let kept = Loan {
            slot: 7,
            length: 2 * CHUNK,
        };
        let mut prompt = text(&[1, 2]);
        prompt.push(3);
        assert_eq!(library.keep(&prompt), Some(kept));
        assert_eq!(library.lend(&text(&[1, 2, 9])), Some(kept));
        let mut half = text(&[1, 2]);
        half[CHUNK + 5] = 9;
        assert_eq!(
            library.lend(&half),
            Some(Loan {
                slot: 7,
                length: CHUNK
            })
        );
        assert_eq!(library.lend(&text(&[2, 1])), None);
        assert_eq!(library.keep(&text(&[1])), None);
    }

    #[test]
    fn a_longer_prompt_takes_the_shelf_of_its_own_beginning() {
        let mut library = Library::new(0..2);
        library.keep(&text(&[1]));
        library.keep(&text(&[5]));
        assert_eq!(library.keep(&text(&[5, 6])).map(|loan| loan.slot), Some(1));
        assert_eq!(library.lend(&text(&[1, 1])).map(|loan| loan.slot), Some(0));
    }

    #[test]
    fn what_was_longest_unused_gives_way() {
        let mut library = Library::new(0..2);
        library.keep(&text(&[1]));
        library.keep(&text(&[2]));
        library.lend(&text(&[1]));
        assert_eq!(library.keep(&text(&[3])).map(|loan| loan.slot), Some(1));
        assert_eq!(library.lend(&text(&[2])), None);
    }

    #[test]
    fn a_house_without_shelves_lends_nothing() {
        let mut library = Library::new(3..3);
        assert_eq!(library.keep(&text(&[1])), None);
        assert_eq!(library.lend(&text(&[1])), None);
    }

    proptest! {
        #[test]
        fn what_is_lent_is_what_was_kept(
            prompts in prop::collection::vec(
                (prop::collection::vec(0u32..3, 0..5), 0..CHUNK, any::<bool>()), 1..60)
        ) {
            let mut library = Library::new(10..13);
            let mut slots = std::collections::HashMap::new();
            for (chunks, more, keeps) in prompts {
                let mut tokens = text(&chunks);
                tokens.extend(std::iter::repeat_n(99, more));
                if keeps {
                    if let Some(Loan { slot, length }) = library.keep(&tokens) {
                        prop_assert!((10..13).contains(&slot));
                        slots.insert(slot, tokens[..length].to_vec());
                    }
                } else if let Some(Loan { slot, length }) = library.lend(&tokens) {
                    prop_assert_eq!(&slots[&slot][..length], &tokens[..length]);
                }
            }
        }
    }
}
