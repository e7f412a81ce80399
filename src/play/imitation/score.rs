//! Who won, and how well the player did.

use super::{Kind, Outcome, Seat, Verdict, Winner};

/// The seat that the player wants the judge to take for the person's.
///
/// In a direct game that is the player's own; in an inverse game the bot's.
pub(super) fn wanted(kind: Kind, player_seat: Seat) -> Seat {
    match kind {
        Kind::Direct => player_seat,
        Kind::Inverse => player_seat.other(),
    }
}

/// The result of a game whose rounds were judged as `verdicts`, the last one decisive.
///
/// None when nothing was judged.
pub(super) fn outcome(
    kind: Kind,
    player_seat: Seat,
    verdicts: &[&Verdict],
    abstained: bool,
) -> Option<Outcome> {
    let last = verdicts.last()?;
    let wanted = wanted(kind, player_seat);
    let winner = match (abstained, last.decision == wanted) {
        (true, _) => Winner::Nobody,
        (false, true) => Winner::Player,
        (false, false) => Winner::Bot,
    };
    Some(Outcome {
        winner,
        player_score: mean_belief(wanted, verdicts),
    })
}

/// Mean belief, percent, that the person sits at `seat`. Half percents round up.
fn mean_belief(seat: Seat, verdicts: &[&Verdict]) -> u8 {
    let total: u64 = verdicts
        .iter()
        .map(|verdict| u64::from(belief(seat, verdict)))
        .sum();
    let rounds = verdicts.len() as u64;
    u8::try_from((2 * total + rounds) / (2 * rounds)).expect("a mean of percents is a percent")
}

fn belief(seat: Seat, verdict: &Verdict) -> u8 {
    let confidence = verdict.confidence.min(100);
    if verdict.decision == seat {
        confidence
    } else {
        100 - confidence
    }
}
