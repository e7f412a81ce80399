//! PURE: what each slot of the engine holds, and which of it a new request can go on from.
//!
//! A slot keeps what was computed in it when its request has ended, until the slot is
//! needed: the longest unused gives way. So a request that begins like an earlier one, or
//! like one that is still under way, copies that beginning or takes the slot over, and
//! computes the rest alone. What an adapter computed serves requests with that adapter.
//!
//! On engines that are uniform all that a slot holds can be lent. On others a token's state
//! depends on whether it was computed singly: there, only whole chunks of prompts are lent,
//! which everybody computes the same way.

/// What engines that are not uniform compute prompts in, and lend: tokens.
pub(crate) const CHUNK: usize = 64;

/// Copying less than this is not worth a copy.
const WORTH: usize = 16;

/// So much of a slot's contents may be lost where a request takes the slot over instead of
/// copying from it: an end that the next turn of a conversation says differently.
const SPARE: usize = 64;

/// The first `length` tokens of slot `from` replace what slot `to` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotCopy {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) length: usize,
}

/// Which slot a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) slot: usize,
    /// Tokens of its prompt that the slot holds, once the copy is made.
    pub(crate) length: usize,
    pub(crate) copy: Option<SlotCopy>,
}

/// One slot of the engine.
#[derive(Clone, Debug, Default)]
struct Slot {
    tokens: Vec<u32>,
    /// Id of the adapter that computed them.
    adapter: Option<u64>,
    /// How many of them may be lent.
    lendable: usize,
    /// Whether a row sits here.
    taken: bool,
    /// When it was last lent from, taken or left.
    used: u64,
}

impl Slot {
    fn in_common(&self, tokens: &[u32], adapter: Option<u64>) -> usize {
        if self.adapter != adapter {
            return 0;
        }
        in_common(&self.tokens[..self.lendable], tokens)
    }

    fn cut(&mut self, length: usize) {
        self.tokens.truncate(length);
        self.lendable = self.lendable.min(length);
    }
}

/// What of a slot's contents may be lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lending {
    All,
    /// Whole chunks of prompts.
    Chunks,
    Nothing,
}

/// All slots, as the engine holds them after the plans that were made so far.
#[derive(Debug)]
pub(crate) struct Library {
    slots: Vec<Slot>,
    lending: Lending,
    /// Slots before this one are overwritten soon: rows are moved there to decode.
    first_quiet: usize,
    clock: u64,
}

impl Library {
    pub(crate) fn new(slots: usize, lending: Lending, first_quiet: usize) -> Self {
        Self {
            slots: vec![Slot::default(); slots],
            lending,
            first_quiet,
            clock: 0,
        }
    }

    /// How much of a length can be lent or borrowed.
    pub(crate) fn whole(&self, length: usize) -> usize {
        match self.lending {
            Lending::All => length,
            Lending::Chunks => length - length % CHUNK,
            Lending::Nothing => 0,
        }
    }

    /// Slots that no row sits in.
    pub(crate) fn free(&self) -> usize {
        self.slots.iter().filter(|slot| !slot.taken).count()
    }

    /// The slot with the longest beginning of `tokens`, and its length. Of equals a free one.
    fn longest(&self, tokens: &[u32], adapter: Option<u64>) -> (usize, usize) {
        let length = |slot: &Slot| self.whole(slot.in_common(tokens, adapter));
        (0..)
            .zip(&self.slots)
            .map(|(at, slot)| (at, length(slot)))
            .max_by_key(|&(at, length)| (length, !self.slots[at].taken))
            .unwrap_or_default()
    }

    /// How much of `tokens` need not be computed.
    pub(crate) fn known(&self, tokens: &[u32], adapter: Option<u64>) -> usize {
        self.longest(tokens, adapter).1
    }

    /// The free slot whose contents are missed least.
    fn least_missed(&self, tokens: &[u32], adapter: Option<u64>) -> Option<usize> {
        let missed = |slot: &Slot| slot.in_common(tokens, adapter) < slot.tokens.len();
        (0..)
            .zip(&self.slots)
            .filter(|(_, slot)| !slot.taken)
            .min_by_key(|(at, slot)| (missed(slot), *at < self.first_quiet, slot.used))
            .map(|(at, _)| at)
    }

    /// Gives a request, whose prompt may be borrowed as far as `tokens` goes, a free slot;
    /// none when there is no free one.
    pub(crate) fn settle(&mut self, tokens: &[u32], adapter: Option<u64>) -> Option<Settled> {
        let free = self.least_missed(tokens, adapter)?;
        let (from, length) = self.longest(tokens, adapter);
        self.clock += 1;
        let source = &mut self.slots[from];
        let lost = source.tokens.len() - length;
        let settled = if !source.taken && (from == free || (length > 0 && lost <= SPARE)) {
            Settled {
                slot: from,
                length,
                copy: None,
            }
        } else if length < WORTH {
            Settled {
                slot: free,
                length: 0,
                copy: None,
            }
        } else {
            source.used = self.clock;
            let copy = SlotCopy {
                from,
                to: free,
                length,
            };
            self.copied(copy);
            Settled {
                slot: free,
                length,
                copy: Some(copy),
            }
        };
        let slot = &mut self.slots[settled.slot];
        slot.cut(settled.length);
        slot.adapter = adapter;
        slot.taken = true;
        slot.used = self.clock;
        Some(settled)
    }

    fn copied(&mut self, copy: SlotCopy) {
        let from = &self.slots[copy.from];
        let tokens = from.tokens[..copy.length].to_vec();
        let (adapter, lendable) = (from.adapter, from.lendable.min(copy.length));
        let to = &mut self.slots[copy.to];
        to.tokens = tokens;
        to.adapter = adapter;
        to.lendable = lendable;
    }

    /// Moves a row that holds `length` tokens to another slot, which no row sits in; what it
    /// leaves behind can be lent. Gives what the engine has to copy.
    pub(crate) fn relocate(&mut self, from: usize, to: usize, length: usize) -> Option<SlotCopy> {
        let copy = SlotCopy { from, to, length };
        self.copied(copy);
        self.slots[to].taken = true;
        self.release(from);
        (length > 0).then_some(copy)
    }

    /// A free slot for a row that is in the way of those who decode in the first ones.
    pub(crate) fn aside(&self) -> Option<usize> {
        self.slots.iter().rposition(|slot| !slot.taken)
    }

    /// The engine has computed these tokens after the first `past` of the slot.
    pub(crate) fn wrote(&mut self, slot: usize, past: usize, tokens: &[u32]) {
        let uniform = self.lending == Lending::All;
        let slot = &mut self.slots[slot];
        slot.cut(past);
        slot.tokens.extend_from_slice(tokens);
        let whole = slot.lendable == past && tokens.len() == CHUNK && past.is_multiple_of(CHUNK);
        if uniform || whole {
            slot.lendable = slot.tokens.len();
        }
    }

    /// The slot's row has ended.
    pub(crate) fn release(&mut self, slot: usize) {
        self.clock += 1;
        let slot = &mut self.slots[slot];
        slot.taken = false;
        slot.used = self.clock;
    }

    /// The engine failed: nobody knows what the slots hold, and no row is left.
    pub(crate) fn forget(&mut self) {
        self.slots.fill(Slot::default());
    }
}

/// How long two texts are the same.
pub(crate) fn in_common(one: &[u32], other: &[u32]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(letters: &[u32]) -> Vec<u32> {
        letters.iter().flat_map(|&letter| [letter; CHUNK]).collect()
    }

    /// Gives a request a slot, lets it be computed, and ends it.
    fn read(library: &mut Library, tokens: &[u32], adapter: Option<u64>) -> Settled {
        let settled = library.settle(tokens, adapter).expect("a free slot");
        let mut past = settled.length;
        for chunk in tokens[past..].chunks(CHUNK) {
            library.wrote(settled.slot, past, chunk);
            past += chunk.len();
        }
        library.release(settled.slot);
        settled
    }

    #[test]
    fn a_conversation_goes_on_in_its_own_slot() {
        let mut library = Library::new(3, Lending::All, 0);
        let slot = read(&mut library, &text(&[1, 2]), None).slot;
        let next = read(&mut library, &text(&[1, 2, 3]), None);
        let wanted = Settled {
            slot,
            length: 2 * CHUNK,
            copy: None,
        };
        assert_eq!(next, wanted);
    }

    #[test]
    fn a_shared_beginning_is_copied_and_stays_where_it_was() {
        let mut library = Library::new(3, Lending::All, 0);
        let first = read(&mut library, &text(&[1, 2, 3]), None);
        let mut other = text(&[1, 5, 5]);
        other[CHUNK] = 2;
        let second = read(&mut library, &other, None);
        assert_eq!(second.length, CHUNK + 1);
        assert_eq!(second.copy.map(|copy| copy.from), Some(first.slot));
        assert_eq!(library.known(&text(&[1, 2, 3]), None), 3 * CHUNK);
        assert_eq!(library.known(&other, None), 3 * CHUNK);
    }

    #[test]
    fn what_one_adapter_computed_is_nothing_to_another() {
        let mut library = Library::new(3, Lending::All, 0);
        read(&mut library, &text(&[1, 2]), Some(7));
        assert_eq!(library.known(&text(&[1, 2]), None), 0);
        assert_eq!(library.known(&text(&[1, 2]), Some(8)), 0);
        assert_eq!(read(&mut library, &text(&[1, 2]), Some(8)).length, 0);
        assert_eq!(library.known(&text(&[1, 2]), Some(7)), 2 * CHUNK);
    }

    #[test]
    fn what_was_longest_unused_gives_way() {
        let mut library = Library::new(2, Lending::All, 0);
        read(&mut library, &text(&[1]), None);
        read(&mut library, &text(&[2]), None);
        read(&mut library, &text(&[1]), None);
        read(&mut library, &text(&[3]), None);
        assert_eq!(library.known(&text(&[1]), None), CHUNK);
        assert_eq!(library.known(&text(&[2]), None), 0);
    }

    #[test]
    fn a_slot_in_use_is_lent_from_but_never_given_away() {
        let mut library = Library::new(2, Lending::All, 0);
        let first = library.settle(&text(&[1]), None).expect("free");
        library.wrote(first.slot, 0, &text(&[1]));
        let second = library.settle(&text(&[1]), None).expect("free");
        assert_ne!(second.slot, first.slot);
        assert_eq!(second.length, CHUNK);
        assert_eq!(library.settle(&text(&[1]), None), None);
    }

    #[test]
    fn engines_that_are_not_uniform_lend_whole_chunks_of_prompts_alone() {
        let mut library = Library::new(2, Lending::Chunks, 0);
        let slot = library.settle(&[], None).expect("free").slot;
        library.wrote(slot, 0, &text(&[1]));
        library.wrote(slot, CHUNK, &text(&[1])[..40]);
        for past in 104..200 {
            library.wrote(slot, past, &[1]);
        }
        assert_eq!(library.known(&text(&[1, 1, 1]), None), CHUNK);
        let mut half = text(&[1]);
        half[CHUNK - 1] = 9;
        assert_eq!(library.known(&half, None), 0);
    }

    proptest! {
        /// A model engine runs along: whatever is settled holds what it is said to hold.
        #[test]
        fn what_is_lent_is_what_the_engine_holds(
            uniform in any::<bool>(),
            moves in prop::collection::vec(
                (prop::collection::vec(0u32..3, 0..4), 0..CHUNK, prop::option::of(0u64..2), 0usize..6),
                1..60,
            ),
        ) {
            let mut library = Library::new(4, if uniform { Lending::All } else { Lending::Chunks }, 0);
            let mut engine: Vec<Vec<(u32, Option<u64>)>> = vec![Vec::new(); 4];
            let mut rows: Vec<(usize, usize)> = Vec::new();
            for (letters, more, adapter, end) in moves {
                let mut tokens = text(&letters);
                tokens.extend(std::iter::repeat_n(9, more));
                if end < rows.len() {
                    library.release(rows.remove(end).0);
                    continue;
                }
                let free = library.free();
                let Some(settled) = library.settle(&tokens, adapter) else {
                    prop_assert_eq!(free, 0);
                    continue;
                };
                let Settled { slot, length, copy } = settled;
                prop_assert!(rows.iter().all(|row| row.0 != slot), "two rows in a slot");
                if let Some(copy) = copy {
                    prop_assert_eq!((copy.to, copy.length), (slot, length));
                    engine[slot] = engine[copy.from][..length].to_vec();
                }
                engine[slot].truncate(length);
                let wanted: Vec<_> = tokens[..length].iter().map(|t| (*t, adapter)).collect();
                prop_assert_eq!(&engine[slot], &wanted);
                if !uniform {
                    prop_assert_eq!(length % CHUNK, 0);
                }
                let mut past = length;
                for chunk in tokens[length..].chunks(CHUNK) {
                    library.wrote(slot, past, chunk);
                    past += chunk.len();
                    engine[slot].extend(chunk.iter().map(|t| (*t, adapter)));
                }
                rows.push((slot, past));
            }
        }
    }
}
