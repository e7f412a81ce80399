//! What is hidden changes nothing that anybody can see: of two tables that differ only in
//! that, one sees the same.

use parlour::play::{
    imitation::Mode,
    party::{
        Act, Ballot, Bench, Chair, Command, Event, Member, Role, Setup, Step, Viewer, Witness,
    },
};
use proptest::prelude::*;

use crate::{
    party_random::any_setup,
    party_table::{Party, opinion},
};

/// What both tables have in common, in terms of chairs.
#[derive(Clone, Debug)]
struct Script {
    setup: Setup,
    people: usize,
    /// Chairs that say nothing in the first round.
    silent: Vec<u8>,
    /// How many chairs have answered when one looks, in the last round.
    answered: usize,
    votes: usize,
}

/// What they do not have in common.
#[derive(Clone, Debug)]
struct Secrets {
    dice: u64,
    /// Which chair answers when.
    order: u64,
    /// Stands in every answer that is never revealed, and in what the AI thinks in blind mode.
    word: String,
    ballot: usize,
}

/// Other chairs in an order of their own; `own` always speaks first.
fn order(chairs: &[Chair], own: Option<Chair>, secret: u64) -> Vec<Chair> {
    let mut others: Vec<Chair> = chairs.to_vec();
    others.retain(|chair| Some(*chair) != own);
    if !others.is_empty() {
        let turn = secret as usize % others.len();
        others.rotate_left(turn);
    }
    own.into_iter().chain(others).collect()
}

fn weigh(party: &mut Party, secrets: &Secrets) {
    let Step::Weighing { round } = party.table.step() else {
        return;
    };
    let chairs = party.table.open_chairs();
    let blind = party
        .table
        .setup()
        .is_some_and(|setup| setup.mode == Mode::Blind);
    let human = if blind {
        chairs[secrets.ballot % chairs.len()]
    } else {
        chairs[0]
    };
    let mut opinion = opinion(&chairs, human, 70);
    if blind {
        opinion.reasoning.clone_from(&secrets.word);
    }
    party.must(Command::Weigh { round, opinion });
}

/// Plays the script; none when `viewer` was not drawn for `own`.
fn play(
    script: &Script,
    secrets: &Secrets,
    viewer: Viewer,
    own: Option<Option<Chair>>,
) -> Option<Party> {
    let mut roles = vec![Role::Witness; script.people];
    roles.push(Role::Spectator);
    if script.setup.bench == Bench::Person {
        roles.push(Role::Judge);
    }
    let mut party = Party::started(script.setup.clone(), &roles, secrets.dice);
    let seat = match viewer {
        Viewer::Member(member) => party.table.chair_of(member),
        Viewer::Public => None,
    };
    if own.is_some_and(|own| own != seat) {
        return None;
    }
    let chairs = party.table.open_chairs();
    for round in 1..=script.setup.rounds {
        party.now += 10;
        party.ask(&format!("question {round}?"));
        let last = round == script.setup.rounds;
        let mut spoken = 0;
        for chair in order(&chairs, seat, secrets.order) {
            if round == 1 && script.silent.contains(&chair.0) {
                continue;
            }
            if last && spoken == script.answered {
                // Of what is not revealed nothing may be the same but one's own.
                return Some(party);
            }
            let whole = !last || script.answered >= chairs.len();
            let text = if whole || Some(chair) == seat {
                format!("{round} {}", chair.0)
            } else {
                format!("{} {}", secrets.word, chair.0)
            };
            party.say(chair, &text);
            spoken += 1;
        }
        if matches!(party.table.step(), Step::Answering { .. }) {
            party.wait();
        }
        party.now += 10;
        weigh(&mut party, secrets);
    }
    let members: Vec<Member> = party.table.members().map(|(member, _)| member).collect();
    for member in members.into_iter().take(script.votes) {
        if !party.table.awaits(member) {
            continue;
        }
        let own = viewer == Viewer::Member(member);
        let which = if own { 0 } else { secrets.ballot };
        let ballot = Ballot {
            human: party.some_other_chair(member, which),
            confidence: if own { 70 } else { 60 + secrets.ballot as u8 },
        };
        let before = party.clone();
        party.act(member.0, Act::Vote { ballot });
        if !party.table.is_playing() {
            return Some(before);
        }
    }
    party.table.is_playing().then_some(party)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn tables_that_differ_in_what_is_hidden_look_the_same(
        setup in any_setup(),
        people in 1usize..5,
        silent in prop::collection::vec(0u8..7, 0..3),
        answered in prop_oneof![1 => 0usize..7, 1 => Just(99)],
        votes in 0usize..5,
        viewer in 0u32..7,
        dice in any::<[u64; 2]>(),
        orders in any::<[u64; 2]>(),
        ballots in [0usize..9, 0usize..9],
    ) {
        // Chairs are filled by as many people in both.
        let setup = Setup { rounds: setup.rounds.max(2), line_limit: 40, ..setup };
        let script = Script { setup, people, silent, answered, votes };
        let viewer = if viewer == 6 { Viewer::Public } else { Viewer::Member(Member(viewer)) };
        let [one, mut other] = [0, 1].map(|n| Secrets {
            dice: dice[n],
            order: orders[n],
            word: ["apple", "pear"][n].to_owned(),
            ballot: ballots[n],
        });
        let Some(here) = play(&script, &one, viewer, None) else {
            return Ok(());
        };
        let seat = match viewer {
            Viewer::Member(member) => here.table.chair_of(member),
            Viewer::Public => None,
        };
        let there = (0..200).find_map(|_| {
            other.dice = other.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
            play(&script, &other, viewer, Some(seat))
        });
        let there = there.expect("some dice put somebody on the same chair");
        prop_assert_eq!(here.seen_by(viewer), there.seen_by(viewer));
    }
}

#[test]
fn the_same_view_is_of_tables_that_are_not_the_same() {
    // The law above could hold because nothing ever differs.
    let drawn = |dice| {
        let party = Party::started(
            crate::party_table::setup(Bench::Machine, 2, 2),
            &[Role::Witness, Role::Witness],
            dice,
        );
        match &party
            .log
            .iter()
            .rev()
            .find(|(_, e)| matches!(e, Event::Started { .. }))
        {
            Some((
                _,
                Event::Started {
                    chairs: Some(chairs),
                    ..
                },
            )) => chairs.clone(),
            _ => panic!("it started"),
        }
    };
    let all: Vec<Vec<Witness>> = (0..64).map(|n| drawn(n * 7919)).collect();
    let distinct: std::collections::HashSet<String> =
        all.iter().map(|c| format!("{c:?}")).collect();
    assert!(
        distinct.len() > 8,
        "chairs are drawn at random: {}",
        distinct.len()
    );
}
