use super::*;
use crate::play::{
    imitation::{Ending, Grounds, Mode, Rules},
    party::{Ballot, Bench, ChairScore, Role, Setup, Vacancy, VoterScore},
};

fn said(outcomes: &[Outcome]) -> Vec<(Kind, &str, bool, i16)> {
    outcomes
        .iter()
        .map(|outcome| {
            let Outcome {
                kind,
                name,
                won,
                points,
                ..
            } = outcome;
            (*kind, name.as_str(), *won, *points)
        })
        .collect()
}

// ---- one person

fn game(
    kind: Aim,
    key: Option<&str>,
    decision: Seat,
    ending: Ending,
    outcome: Option<imitation::Outcome>,
) -> Vec<imitation::Event> {
    use imitation::Event;
    vec![
        Event::Opened {
            rules: Rules {
                kind,
                mode: Mode::Blind,
                round_cap: 3,
                confident_at: 80,
                abstain_below: 60,
                idle_limit_ms: 1000,
                answer_limit: 100,
            },
            player: "Ada".into(),
            player_seat: Seat::A,
            seed: None,
            key: key.map(str::to_owned),
        },
        Event::Judged {
            round: 1,
            verdict: Verdict {
                reasoning: "so".into(),
                decision,
                confidence: 80,
                grounds: Grounds::default(),
            },
        },
        Event::Ended { ending, outcome },
    ]
}

fn won_by(winner: Winner, player_score: u8) -> Option<imitation::Outcome> {
    Some(imitation::Outcome {
        winner,
        player_score,
    })
}

fn of_game(events: &[imitation::Event]) -> Vec<GameResults> {
    imitation::Game::results(&mut events.iter())
}

#[test]
fn a_judged_game_counts_for_the_person_the_bot_and_the_judge() {
    let outcome = won_by(Winner::Player, 80);
    let log = game(Aim::Direct, Some("k"), Seat::A, Ending::Convinced, outcome);
    let results = of_game(&log);
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].game, 1);
    assert_eq!(
        said(&results[0].outcomes),
        [
            (Kind::Person, "Ada", true, 80),
            (Kind::Bot, "The model", false, 20),
            (Kind::Judge, "The AI judge", true, 96),
        ]
    );
    let ids: Vec<_> = results[0].outcomes.iter().map(|o| o.id.as_str()).collect();
    assert_eq!(ids, [person_id("k").as_str(), MODEL, MODEL]);
}

#[test]
fn in_an_inverse_game_a_judge_who_is_wrong_is_what_the_person_wants() {
    let outcome = won_by(Winner::Player, 80);
    let log = game(
        Aim::Inverse,
        Some("k"),
        Seat::B,
        Ending::RoundsOver,
        outcome,
    );
    assert_eq!(
        said(&of_game(&log)[0].outcomes),
        [
            (Kind::Person, "Ada", true, 80),
            (Kind::Bot, "The model", false, 20),
            (Kind::Judge, "The AI judge", false, 36),
        ]
    );
}

#[test]
fn a_judge_that_abstains_has_not_won_and_nobody_else_has() {
    let outcome = won_by(Winner::Nobody, 55);
    let log = game(Aim::Direct, Some("k"), Seat::A, Ending::Abstained, outcome);
    let results = of_game(&log);
    assert!(results[0].outcomes.iter().all(|outcome| !outcome.won));
    assert_eq!(results[0].outcomes.len(), 3);
}

#[test]
fn what_was_not_judged_counts_for_nobody_and_what_goes_on_is_not_told() {
    for ending in [Ending::Stopped, Ending::Idle, Ending::Broken] {
        let log = game(Aim::Direct, Some("k"), Seat::A, ending, None);
        let empty = GameResults {
            game: 1,
            outcomes: vec![],
        };
        assert_eq!(of_game(&log), [empty]);
        assert_eq!(of_game(&log[..2]), []);
    }
}

#[test]
fn a_log_of_before_that_knows_no_key_counts_for_the_machines_alone() {
    let outcome = won_by(Winner::Bot, 10);
    let log = game(Aim::Direct, None, Seat::B, Ending::Convinced, outcome);
    let results = of_game(&log);
    let kinds: Vec<_> = results[0].outcomes.iter().map(|o| o.kind).collect();
    assert_eq!(kinds, [Kind::Bot, Kind::Judge]);
}

#[test]
fn who_gave_no_name_is_on_no_board() {
    for name in ["Guest", "Guest 2", "Guest 31"] {
        assert_eq!(person(Kind::Person, name, Some("k")), None, "{name}");
    }
    for name in ["Guestave", "Guest of honour", "guest"] {
        let outcome = person(Kind::Person, name, Some("k")).expect("a name");
        assert_eq!(outcome.name, name);
    }
}

// ---- a table

use party::Event;

fn setup(kind: Aim) -> Setup {
    Setup {
        kind,
        mode: Mode::Blind,
        bench: Bench::Everybody,
        people: 2,
        machines: vec![Machine::Eliza],
        rounds: 1,
        seconds: 60,
        vacancy: Vacancy::Machine,
        listed: true,
        open_to_spectators: true,
        line_limit: 100,
    }
}

fn came(member: u32, name: &str) -> Event {
    Event::Came {
        member: Member(member),
        name: name.into(),
        role: Role::Witness,
        key: Some(format!("key of {name}")),
    }
}

fn started(game: u32) -> Event {
    Event::Started {
        game,
        chairs: Some(vec![
            sits(0),
            Witness::Machine {
                machine: Machine::Eliza,
            },
            sits(1),
        ]),
        count: 3,
        yours: None,
        judge: None,
        seed: None,
    }
}

fn sits(member: u32) -> Witness {
    Witness::Person {
        member: Member(member),
    }
}

fn finished(finish: Finish, chairs: Vec<ChairScore>, voters: Vec<VoterScore>) -> Event {
    Event::Finished {
        finish,
        chairs,
        voters,
    }
}

fn chair(chair: u8, witness: Witness, taken_for_human: u8, won: bool) -> ChairScore {
    ChairScore {
        chair: Chair(chair),
        witness,
        taken_for_human,
        won,
    }
}

fn voter(voter: Voter, human: u8, right: bool, score: u8) -> VoterScore {
    VoterScore {
        voter,
        ballot: Ballot {
            human: Chair(human),
            confidence: 80,
        },
        right,
        score,
    }
}

fn chairs() -> Vec<ChairScore> {
    let eliza = Witness::Machine {
        machine: Machine::Eliza,
    };
    vec![
        chair(0, sits(0), 70, true),
        chair(1, eliza, 20, false),
        chair(2, sits(1), 10, false),
    ]
}

fn voters() -> Vec<VoterScore> {
    vec![
        voter(Voter::Machine, 1, false, 36),
        voter(Voter::Person { member: Member(1) }, 0, true, 96),
    ]
}

fn table(kind: Aim, more: Vec<Event>) -> Vec<Event> {
    let opened = Event::TableOpened { setup: setup(kind) };
    [opened, came(0, "Ada"), came(1, "Bob")]
        .into_iter()
        .chain(more)
        .collect()
}

fn of_table(events: &[Event]) -> Vec<GameResults> {
    party::Table::results(&mut events.iter())
}

#[test]
fn a_table_counts_every_witness_and_everybody_who_voted() {
    let log = table(
        Aim::Direct,
        vec![started(1), finished(Finish::Played, chairs(), voters())],
    );
    assert_eq!(
        said(&of_table(&log)[0].outcomes),
        [
            (Kind::Person, "Ada", true, 70),
            (Kind::Bot, "ELIZA", false, 20),
            (Kind::Person, "Bob", false, 10),
            (Kind::Judge, "The AI judge", false, 36),
            (Kind::Judge, "Bob", true, 96),
        ]
    );
}

#[test]
fn in_an_inverse_game_points_are_for_being_taken_for_a_machine() {
    let log = table(
        Aim::Inverse,
        vec![started(1), finished(Finish::Played, chairs(), voters())],
    );
    let results = of_table(&log);
    let points: Vec<_> = results[0].outcomes.iter().map(|o| o.points).collect();
    assert_eq!(points, [30, 80, 90, 36, 96]);
}

#[test]
fn every_rematch_has_its_number_and_only_what_was_played_counts() {
    let log = table(
        Aim::Direct,
        vec![
            started(1),
            finished(Finish::Played, chairs(), voters()),
            started(2),
            finished(Finish::Stopped, chairs(), vec![]),
            started(3),
            finished(Finish::Played, chairs(), voters()),
            started(4),
        ],
    );
    let counted: Vec<_> = of_table(&log)
        .iter()
        .map(|results| (results.game, results.outcomes.len()))
        .collect();
    assert_eq!(counted, [(1, 5), (2, 0), (3, 5)]);
}

#[test]
fn who_gives_the_chair_up_has_lost_and_its_machine_is_not_counted() {
    let vacated = Event::Vacated {
        chair: Chair(0),
        vacancy: Vacancy::Machine,
    };
    let mut scores = chairs();
    scores[0].witness = Witness::Machine {
        machine: Machine::Model,
    };
    let log = table(
        Aim::Direct,
        vec![
            started(1),
            vacated,
            finished(Finish::Played, scores, voters()),
            started(2),
            finished(Finish::Played, chairs(), voters()),
        ],
    );
    let results = of_table(&log);
    assert_eq!(
        said(&results[0].outcomes)[..2],
        [
            (Kind::Person, "Ada", false, 0),
            (Kind::Bot, "ELIZA", false, 20)
        ]
    );
    // A chair is given up for one game.
    assert_eq!(
        said(&results[1].outcomes)[0],
        (Kind::Person, "Ada", true, 70)
    );
}

#[test]
fn a_damaged_log_counts_what_it_can_and_never_fails() {
    let nobody = chair(7, sits(9), 50, true);
    let stray = voter(Voter::Person { member: Member(9) }, 0, true, 96);
    let log = vec![
        finished(Finish::Played, vec![nobody.clone()], vec![stray.clone()]),
        started(1),
        finished(Finish::Played, vec![nobody], vec![stray]),
    ];
    assert!(
        of_table(&log)
            .iter()
            .all(|results| results.outcomes.is_empty())
    );
}
