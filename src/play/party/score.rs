//! Who won, and how well people and machines were told apart.

use super::{
    Ballot, Belief, Chair, ChairScore, Finish, Voter, VoterScore, Witness,
    ballots::least_confidence, game::Game,
};
use crate::play::imitation::Kind;

/// The AI's ballot, from its last opinion: the open chair that is likeliest a person's, the
/// first of them if several are, as sure as it was, but no less than guessing.
pub(super) fn machines_ballot(game: &Game) -> Ballot {
    let beliefs: &[Belief] = game
        .rounds
        .iter()
        .rev()
        .find_map(|round| round.opinion.as_ref())
        .map_or(&[], |opinion| &opinion.beliefs);
    let believed = |chair: Chair| {
        beliefs
            .iter()
            .find(|belief| belief.chair == chair)
            .map_or(0, |belief| belief.human)
    };
    let least = least_confidence(game.open_chairs().count());
    // Of equals `max_by_key` takes the last.
    let chairs: Vec<Chair> = game.open_chairs().collect();
    let human = chairs
        .into_iter()
        .rev()
        .max_by_key(|chair| believed(*chair));
    let human = human.unwrap_or(Chair(0));
    Ballot {
        human,
        confidence: believed(human).clamp(least, 100),
    }
}

/// How chairs and voters did. Without ballots, and when the game was not played to its end,
/// the chairs are revealed and nothing is scored.
pub(super) fn scores(game: &Game, finish: Finish) -> (Vec<ChairScore>, Vec<VoterScore>) {
    let ballots: Vec<(Voter, Ballot)> = if finish == Finish::Played {
        game.ballots.given().collect()
    } else {
        Vec::new()
    };
    (chairs(game, &ballots), voters(game, &ballots))
}

fn chairs(game: &Game, ballots: &[(Voter, Ballot)]) -> Vec<ChairScore> {
    let mut scores: Vec<ChairScore> = game
        .places()
        .map(|(chair, place)| ChairScore {
            chair,
            witness: place.witness(),
            taken_for_human: taken_for_human(game, chair, ballots),
            won: false,
        })
        .collect();
    if ballots.is_empty() {
        return scores;
    }
    let open: Vec<Chair> = game.open_chairs().collect();
    let taken = |score: &ChairScore| open.contains(&score.chair).then_some(score.taken_for_human);
    let best = match game.setup.kind {
        Kind::Direct => scores.iter().filter_map(taken).max(),
        // People and machines alike want to be taken for machines.
        Kind::Inverse => scores.iter().filter_map(taken).min(),
    };
    for score in &mut scores {
        score.won = best.is_some() && taken(score) == best;
    }
    scores
}

/// Mean over the ballots of all but the chair's own person, percent; half percents round up.
fn taken_for_human(game: &Game, chair: Chair, ballots: &[(Voter, Ballot)]) -> u8 {
    let own = game
        .place(chair)
        .filter(|place| place.is_open())
        .map(|place| place.sitter());
    let Some(sitter) = own else {
        return 0;
    };
    let given: Vec<f64> = ballots
        .iter()
        .filter(|(voter, _)| sitter.is_none_or(|member| *voter != Voter::Person { member }))
        .map(|(voter, ballot)| belief(game, *voter, *ballot, chair))
        .collect();
    if given.is_empty() {
        return 0;
    }
    let mean = given.iter().sum::<f64>() / given.len() as f64;
    // In range by the clamp, so the cast is exact.
    (mean + 0.5).floor().clamp(0.0, 100.0) as u8
}

/// The probability, percent, that a ballot gives to `chair`: its confidence to the chair that
/// it names, and what is left in equal parts to the other open chairs that the voter could
/// have named.
fn belief(game: &Game, voter: Voter, ballot: Ballot, chair: Chair) -> f64 {
    let confidence = f64::from(ballot.confidence.min(100));
    if ballot.human == chair {
        return confidence;
    }
    let own = match voter {
        Voter::Machine => None,
        Voter::Person { member } => game.drawn_for(member),
    };
    let others = game
        .open_chairs()
        .filter(|other| Some(*other) != own && *other != ballot.human)
        .count();
    (100.0 - confidence) / others.max(1) as f64
}

fn voters(game: &Game, ballots: &[(Voter, Ballot)]) -> Vec<VoterScore> {
    ballots
        .iter()
        .map(|(voter, ballot)| {
            let named = game.place(ballot.human);
            let right =
                named.is_some_and(|place| matches!(place.witness(), Witness::Person { .. }));
            VoterScore {
                voter: *voter,
                ballot: *ballot,
                right,
                score: brier(ballot.confidence, right),
            }
        })
        .collect()
}

/// 100 · (1 − (p − o)²), where p is the probability that was stated and o is 1 if it came
/// true, else 0: Brier, "Verification of forecasts expressed in terms of probability"
/// (Monthly Weather Review 78(1), 1950), for one event. Half points round up.
pub fn brier(confidence: u8, right: bool) -> u8 {
    let stated = u32::from(confidence.min(100));
    let off = if right { 100 - stated } else { stated };
    // In hundredths: 100 · 100 − off², at most 10,000.
    u8::try_from((10_000 - off * off + 50) / 100).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certainty_is_worth_everything_or_nothing() {
        assert_eq!((brier(100, true), brier(100, false)), (100, 0));
        assert_eq!((brier(50, true), brier(50, false)), (75, 75));
        assert_eq!((brier(80, true), brier(80, false)), (96, 36));
    }

    #[test]
    fn telling_the_truth_about_ones_confidence_pays_best() {
        // Expected score of stating p when it comes true with 70 %.
        let expected =
            |stated| 0.7 * f64::from(brier(stated, true)) + 0.3 * f64::from(brier(stated, false));
        let best = (50..=100).max_by(|a, b| expected(*a).total_cmp(&expected(*b)));
        assert!((65..=75).contains(&best.expect("not empty")));
    }
}
