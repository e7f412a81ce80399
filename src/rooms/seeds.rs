//! Where every random draw of a game's models comes from: the room's seed, which turn it
//! is, and which try. Same game, same tokens.

use crate::play::{Dice, party::Chair};

/// What a turn is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    Question,
    Answer,
    Verdict,
}

/// What a seed is drawn for: a turn's text, or what goes on beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Draw {
    Text(Purpose),
    /// The subject that the judge asks about.
    Subject,
    /// The pace of the bot's typing.
    Pace,
    /// Who the machine on a chair pretends to be.
    Character,
}

impl Draw {
    // Part of what makes a game repeatable: never reuse or renumber.
    fn tag(self) -> u64 {
        match self {
            Self::Text(Purpose::Question) => 1,
            Self::Text(Purpose::Answer) => 2,
            Self::Text(Purpose::Verdict) => 3,
            Self::Subject => 4,
            Self::Pace => 5,
            Self::Character => 6,
        }
    }
}

/// The seed of one draw. `attempt` counts the texts of this turn that were thrown back, from
/// 0; a text that was lost with its worker is drawn again with the seed it had.
///
/// The four numbers are absorbed one by one with the finaliser of SplitMix64 (Steele, Lea,
/// Flood: Fast Splittable Pseudorandom Number Generators, 2014), which is a bijection: two
/// turns of one game can only share a seed if the state collides in 64 bits.
pub(crate) fn derive(room: u32, round: u32, draw: Draw, attempt: u32) -> u64 {
    [
        u64::from(room),
        u64::from(round),
        draw.tag(),
        u64::from(attempt),
    ]
    .into_iter()
    .fold(0, |state, word| mix(state ^ word))
}

/// As [`derive()`] where several machines play: one more number for whose turn it is, so that
/// two of them do not say the same. Without a chair it is [`derive()`].
pub(crate) fn derive_for(
    chair: Option<Chair>,
    room: u32,
    round: u32,
    draw: Draw,
    attempt: u32,
) -> u64 {
    let seed = derive(room, round, draw, attempt);
    chair.map_or(seed, |chair| mix(seed ^ (u64::from(chair.0) + 1)))
}

/// Where 32 bits are enough.
pub(crate) fn low_half(seed: u64) -> u32 {
    (seed & u64::from(u32::MAX)) as u32
}

/// SplitMix64: the golden-ratio increment, then the finaliser.
fn mix(word: u64) -> u64 {
    let z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Dice of the operating system, for what must not be foreseen: seats and seeds.
#[derive(Debug, Default)]
pub(crate) struct OsDice;

impl Dice for OsDice {
    fn throw(&mut self, sides: u32) -> u32 {
        rand::random_range(0..sides.max(1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_seeds_of_a_recorded_game_stay_what_they_were() {
        assert_eq!(
            derive(7, 1, Draw::Text(Purpose::Answer), 0),
            derive(7, 1, Draw::Text(Purpose::Answer), 0)
        );
        assert_eq!(
            derive_for(None, 7, 1, Draw::Text(Purpose::Answer), 0),
            derive(7, 1, Draw::Text(Purpose::Answer), 0)
        );
        assert_eq!(
            mix(0),
            0xe220_a839_7b1d_cdaf,
            "first output of SplitMix64 seeded with 0"
        );
    }

    #[test]
    fn no_two_draws_of_a_game_share_a_seed() {
        let draws = [
            Draw::Text(Purpose::Question),
            Draw::Text(Purpose::Answer),
            Draw::Text(Purpose::Verdict),
            Draw::Subject,
            Draw::Pace,
            Draw::Character,
        ];
        let chairs: Vec<Option<Chair>> = (0..8).map(|chair| Some(Chair(chair))).collect();
        let mut seen = HashSet::new();
        for room in [0, 1, u32::MAX] {
            for round in 1..=50 {
                for draw in draws {
                    for attempt in 0..8 {
                        for chair in std::iter::once(None).chain(chairs.iter().copied()) {
                            assert!(seen.insert(derive_for(chair, room, round, draw, attempt)));
                        }
                    }
                }
            }
        }
    }
}
