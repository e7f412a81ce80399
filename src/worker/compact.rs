//! PURE: for engines that compute decoding rows together only where they sit side by side.

use std::collections::HashSet;

use super::{
    library::{Library, SlotCopy},
    row::Row,
};

/// Moves decoding rows so that they sit in slots `0..n`; gives what the engine has to copy.
///
/// A prompt's row may be in the way and has to move too. Then a slot must be free: all may
/// be taken only while the one prompt sits in the last slot.
pub(crate) fn compact(rows: &mut [Row], library: &mut Library) -> Vec<SlotCopy> {
    let mut copies = Vec::new();
    let n = rows.iter().filter(|row| row.decodes()).count();
    let in_place: HashSet<usize> = rows
        .iter()
        .filter(|row| row.decodes() && row.slot < n)
        .map(|row| row.slot)
        .collect();
    let mut holes = (0..n).filter(|slot| !in_place.contains(slot));
    for at in 0..rows.len() {
        if !rows[at].decodes() || rows[at].slot < n {
            continue;
        }
        let hole = holes
            .next()
            .expect("as many rows sit beyond n as slots before n lack one");
        if let Some(prompt) = rows.iter_mut().find(|row| row.slot == hole) {
            let free = library
                .aside()
                .expect("a slot is free while a prompt may have to move");
            copies.extend(library.relocate(hole, free, prompt.past()));
            prompt.slot = free;
        }
        let row = &mut rows[at];
        copies.extend(library.relocate(row.slot, hole, row.past()));
        row.slot = hole;
    }
    copies
}
