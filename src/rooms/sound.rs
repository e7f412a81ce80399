//! The voice on its way to those who listen. Whoever cannot take it in time loses it up to the
//! end of a clause, so that what sounds next begins with a word.

use std::sync::Arc;

/// A frame of the voice.
#[derive(Clone, Debug)]
pub(crate) struct Sound {
    /// As it goes over the wire.
    pub(crate) frame: Arc<[u8]>,
    /// Whether a clause begins with it.
    pub(crate) begins: bool,
}

/// Whether the clause that sounds now was taken so far. Nobody hears one from its middle on,
/// neither who was too slow for what came before nor who has just come.
#[derive(Debug, Default)]
pub(crate) struct Clause {
    is_whole: bool,
}

impl Clause {
    /// Hands on the next frame of the room, unless something of its clause is missing. `give`
    /// says whether it was taken.
    pub(crate) fn take(&mut self, sound: &Sound, give: impl FnOnce() -> bool) {
        self.is_whole = (sound.begins || self.is_whole) && give();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_lost_to_the_end_of_its_clause() {
        // Clauses of three frames, and whether there was room for each frame.
        let room = [
            [true, true, true],
            [true, false, true],
            [false, true, true],
            [true, true, true],
        ];
        let mut clause = Clause::default();
        let mut taken = Vec::new();
        for (number, frames) in room.into_iter().enumerate() {
            for (place, has_room) in frames.into_iter().enumerate() {
                let sound = Sound {
                    frame: Arc::from([]),
                    begins: place == 0,
                };
                clause.take(&sound, || {
                    if has_room {
                        taken.push((number, place));
                    }
                    has_room
                });
            }
        }
        let whole = |number| [(number, 0), (number, 1), (number, 2)];
        assert_eq!(taken, [&whole(0)[..], &[(1, 0)], &whole(3)].concat());
    }

    #[test]
    fn who_comes_in_mid_clause_hears_from_the_next_one_on() {
        let mut clause = Clause::default();
        let mut taken = Vec::new();
        for begins in [false, false, true, false] {
            let frame = Arc::from([]);
            clause.take(&Sound { frame, begins }, || {
                taken.push(begins);
                true
            });
        }
        assert_eq!(taken, [true, false]);
    }
}
