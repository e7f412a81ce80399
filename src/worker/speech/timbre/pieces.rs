//! PURE: a long sound in pieces that overlap, each made with what is around it, and joined again.

use std::ops::Range;

/// Frames that a piece is made for, at most: 4 s. More takes more memory.
const PIECE: usize = 344;
/// Frames on each side that are made with it: further than the networks look, but for the
/// flow's last part in ten thousand.
const AROUND: usize = 32;

/// Part of a row of frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Frames that it is made from.
    pub(super) from: Range<usize>,
    /// Of these, those that are kept.
    pub(super) kept: Range<usize>,
}

/// Cuts so many frames into as few pieces as can be, all of about one length.
pub(super) fn cut(frames: usize) -> Vec<Piece> {
    let count = frames.div_ceil(PIECE).max(1);
    (0..count)
        .map(|index| {
            let start = index * frames / count;
            let end = (index + 1) * frames / count;
            Piece {
                from: start.saturating_sub(AROUND)..(end + AROUND).min(frames),
                kept: start..end,
            }
        })
        .collect()
}

/// Joins pieces of `hop` samples a frame, fading from one to the next over the hop before and
/// the hop behind their border.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    joined: Vec<f32>,
    /// What the last piece had behind its end.
    beyond: Vec<f32>,
}

impl Joiner {
    /// Adds what was made of the next piece, from the beginning of its `from`.
    pub(super) fn add(&mut self, piece: &Piece, made: &[f32], hop: usize) {
        let begin = (piece.kept.start - piece.from.start) * hop;
        let end = (piece.kept.end - piece.from.start) * hop;
        let fade = hop.min(begin).min(self.beyond.len());
        let border = self.joined.len();
        let length = 2 * fade;
        for offset in 0..length {
            let share = (offset as f32 + 0.5) / length as f32;
            let new = made[begin - fade + offset];
            if offset < fade {
                let old = &mut self.joined[border - fade + offset];
                *old += (new - *old) * share;
            } else {
                let old = self.beyond[offset - fade];
                self.joined.push(old + (new - old) * share);
            }
        }
        self.joined.extend(&made[begin + fade..end]);
        self.beyond = made[end..made.len().min(end + hop)].to_vec();
    }

    pub(super) fn finish(self) -> Vec<f32> {
        self.joined
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_frame_is_kept_once_and_made_with_what_is_around_it(frames in 1usize..4000) {
            let pieces = cut(frames);
            let mut at = 0;
            for piece in &pieces {
                prop_assert_eq!(piece.kept.start, at);
                prop_assert!(piece.kept.len() <= PIECE);
                prop_assert_eq!(piece.from.start, at.saturating_sub(AROUND));
                at = piece.kept.end;
                prop_assert_eq!(piece.from.end, (at + AROUND).min(frames));
            }
            prop_assert_eq!(at, frames);
        }

        #[test]
        fn what_every_piece_leaves_as_it_is_comes_back_as_it_was(frames in 1usize..2000) {
            let hop = 4;
            let sound: Vec<f32> = (0..frames * hop).map(|at| (at as f32 * 0.3).sin()).collect();
            let mut joiner = Joiner::default();
            for piece in cut(frames) {
                let made = &sound[piece.from.start * hop..piece.from.end * hop];
                joiner.add(&piece, made, hop);
            }
            let joined = joiner.finish();
            prop_assert_eq!(joined.len(), sound.len());
            for (is, was) in joined.iter().zip(&sound) {
                prop_assert!((is - was).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn where_two_pieces_differ_one_fades_into_the_other() {
        let pieces = cut(PIECE * 2);
        let hop = 8;
        let mut joiner = Joiner::default();
        for (piece, level) in pieces.iter().zip([0.0, 1.0]) {
            joiner.add(piece, &vec![level; piece.from.len() * hop], hop);
        }
        let joined = joiner.finish();
        let border = PIECE * hop;
        assert_eq!(joined[border - hop - 1], 0.0);
        assert_eq!(joined[border + hop], 1.0);
        let steps = joined.windows(2).map(|pair| pair[1] - pair[0]);
        let largest = steps.fold(0.0_f32, |largest, step| largest.max(step.abs()));
        assert!(largest < 0.07, "{largest}");
    }
}
