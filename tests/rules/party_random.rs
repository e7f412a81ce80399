//! Laws that hold at random tables of random people who do random things.

use std::collections::BTreeSet;

use parlour::play::{
    imitation::{Kind, Mode},
    party::{
        Act, Ballot, Bench, Chair, ChairScore, Command, Effect, Event, Finish, Machine, Member,
        Role, Setup, Vacancy, Viewer, Voter, VoterScore, Witness,
    },
};
use proptest::prelude::*;

use crate::party_table::{Party, opinion};

pub fn any_bench() -> impl Strategy<Value = Bench> {
    prop_oneof![
        Just(Bench::Machine),
        Just(Bench::Person),
        Just(Bench::Everybody)
    ]
}

pub fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![4 => Just(Role::Witness), 1 => Just(Role::Judge), 1 => Just(Role::Spectator)]
}

fn any_machine() -> impl Strategy<Value = Machine> {
    prop_oneof![
        Just(Machine::Model),
        Just(Machine::Eliza),
        Just(Machine::Persona {
            name: "homer".into()
        })
    ]
}

prop_compose! {
    pub fn any_setup()(
        inverse in any::<bool>(),
        blind in any::<bool>(),
        bench in any_bench(),
        people in 1u8..5,
        machines in prop::collection::vec(any_machine(), 1..4),
        rounds in 1u32..4,
        seconds in 1u32..5,
        close in any::<bool>(),
        line_limit in 5u32..30,
    ) -> Setup {
        Setup {
            kind: if inverse { Kind::Inverse } else { Kind::Direct },
            mode: if blind { Mode::Blind } else { Mode::Explanatory },
            vacancy: if close { Vacancy::Close } else { Vacancy::Machine },
            bench, people, machines, rounds, seconds, line_limit,
            listed: true,
            open_to_spectators: true,
        }
    }
}

/// What somebody tries; rounds are named relative to the true one.
#[derive(Clone, Debug)]
enum Try {
    Come(u32, Role),
    By(u32, Act),
    Question(i32, String),
    Answer(u32, i32, String),
    Reply(u8, i32, String),
    Weigh(i32, u8, u8),
    Away(u32),
    Tick,
    GiveUp,
    /// Something that the table waits for, so that games also get somewhere.
    Onward(String, usize),
}

fn any_act() -> impl Strategy<Value = Act> {
    let member = || (0u32..8).prop_map(Member);
    prop_oneof![
        any_role().prop_map(|role| Act::Take { role }),
        any_text().prop_map(|text| Act::Say { text }),
        Just(Act::Leave),
        (0u8..9, 0u8..=110).prop_map(|(chair, confidence)| Act::Vote {
            ballot: Ballot {
                human: Chair(chair),
                confidence
            }
        }),
        Just(Act::CallVote),
        any_setup().prop_map(|setup| Act::Setup { setup }),
        Just(Act::Start),
        Just(Act::Rematch),
        prop_oneof![3 => Just(Act::Start), 1 => Just(Act::Stop)],
        (member(), any::<bool>()).prop_map(|(member, muted)| Act::Mute { member, muted }),
        member().prop_map(|member| Act::Remove { member }),
        member().prop_map(|member| Act::HandOver { member }),
    ]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => "[a-z ]{1,20}\\?",
        1 => ".{0,40}",
        1 => "[ \\n\\t\\x00\\u{200b}\\u{202e}]{0,5}",
    ]
}

fn any_try() -> impl Strategy<Value = Try> {
    let off = || prop_oneof![5 => Just(0i32), 1 => -2i32..3];
    prop_oneof![
        2 => (0u32..8, any_role()).prop_map(|(key, role)| Try::Come(key, role)),
        4 => (0u32..8, any_act()).prop_map(|(by, act)| Try::By(by, act)),
        1 => (off(), any_text()).prop_map(|(r, t)| Try::Question(r, t)),
        3 => (0u32..8, off(), any_text()).prop_map(|(m, r, t)| Try::Answer(m, r, t)),
        2 => (0u8..9, off(), any_text()).prop_map(|(c, r, t)| Try::Reply(c, r, t)),
        1 => (off(), 0u8..9, any::<u8>()).prop_map(|(r, c, s)| Try::Weigh(r, c, s)),
        1 => (0u32..8).prop_map(Try::Away),
        2 => Just(Try::Tick),
        1 => prop_oneof![9 => Just(Try::Tick), 1 => Just(Try::GiveUp)],
        20 => (any_text(), 0usize..64).prop_map(|(t, n)| Try::Onward(t, n)),
    ]
}

fn command(attempt: Try, party: &Party) -> Command {
    let named = |off: i32| party.table.round().saturating_add_signed(off);
    match attempt {
        Try::Come(key, role) => Command::Come {
            name: "Ada".into(),
            key: format!("key-{key}"),
            role,
        },
        Try::By(member, act) => Command::By {
            member: Member(member),
            act,
        },
        Try::Question(off, text) => Command::Question {
            round: named(off),
            text,
        },
        Try::Answer(member, off, text) => Command::By {
            member: Member(member),
            act: Act::Answer {
                round: named(off),
                text,
            },
        },
        Try::Reply(chair, off, text) => Command::Reply {
            round: named(off),
            chair: Chair(chair),
            text,
        },
        Try::Weigh(off, chair, sure) => Command::Weigh {
            round: named(off),
            opinion: opinion(&party.table.open_chairs(), Chair(chair), sure.min(100)),
        },
        Try::Away(member) => Command::Away {
            member: Member(member),
            present: party.table.members().map(|(member, _)| member).collect(),
        },
        Try::GiveUp => Command::GiveUp,
        Try::Tick | Try::Onward(..) => Command::Tick,
    }
}

/// Checks everything that must hold after any command.
fn check_laws(party: &Party) -> Result<(), TestCaseError> {
    let table = &party.table;
    let replayed = party.replayed();
    prop_assert_eq!(&replayed, table, "replaying the log gives another table");
    prop_assert_eq!(replayed.effects(), table.effects());
    prop_assert_eq!(
        table.len() as usize,
        party.log.len(),
        "offsets have no gaps"
    );
    prop_assert_eq!(
        table.effects().is_empty(),
        !table.is_playing(),
        "a game always waits for somebody, and nothing else does"
    );
    prop_assert!(
        !table.effects().contains(&Effect::Wait { until: 0 }),
        "what belongs together was not decided together"
    );
    prop_assert_eq!(table.host().is_none(), table.is_abandoned());
    if let Some(host) = table.host() {
        prop_assert!(table.members().any(|(member, _)| member == host));
    }
    let names: BTreeSet<&str> = table.members().map(|(_, person)| &*person.name).collect();
    prop_assert_eq!(
        names.len(),
        table.members().count(),
        "two people of one name"
    );
    let judges = table
        .members()
        .filter(|(_, person)| person.role == Role::Judge);
    prop_assert!(judges.count() <= 1);
    let count = |is: fn(&Event) -> bool| party.log.iter().filter(|(_, e)| is(e)).count();
    let started = count(|event| matches!(event, Event::Started { .. }));
    let finished = count(|event| matches!(event, Event::Finished { .. }));
    prop_assert_eq!(started - finished, usize::from(table.is_playing()));
    Ok(())
}

/// The end of a game says who everybody was, and its figures are what the ballots say.
fn check_scores(
    party: &Party,
    finish: Finish,
    chairs: &[ChairScore],
    voters: &[VoterScore],
) -> Result<(), TestCaseError> {
    prop_assert_eq!(chairs.len(), usize::from(party.table.chairs()));
    prop_assert_eq!(finish == Finish::Played, !voters.is_empty());
    let is_person = |chair: Chair| {
        let score = &chairs[usize::from(chair.0)];
        matches!(score.witness, Witness::Person { .. })
    };
    for VoterScore {
        voter,
        ballot,
        right,
        score,
    } in voters
    {
        prop_assert_eq!(*right, is_person(ballot.human));
        let off = f64::from(ballot.confidence) / 100.0 - f64::from(u8::from(*right));
        let expected = 100.0 * (1.0 - off * off);
        prop_assert!((f64::from(*score) - expected).abs() <= 0.5 + 1e-9);
        if let Voter::Person { member } = voter {
            prop_assert_ne!(party.table.chair_of(*member), Some(ballot.human));
        }
    }
    let winners: Vec<&ChairScore> = chairs.iter().filter(|score| score.won).collect();
    prop_assert_eq!(winners.is_empty(), voters.is_empty());
    let inverse = party
        .table
        .setup()
        .is_some_and(|setup| setup.kind == Kind::Inverse);
    let open = party.table.open_chairs();
    for winner in winners {
        for other in chairs.iter().filter(|score| open.contains(&score.chair)) {
            let beaten = if inverse {
                other.taken_for_human < winner.taken_for_human
            } else {
                other.taken_for_human > winner.taken_for_human
            };
            prop_assert!(!beaten, "somebody did better than a winner");
        }
    }
    if let [
        VoterScore {
            voter: Voter::Machine,
            ..
        },
    ] = voters
    {
        // One ballot shares out a hundred percent, each part rounded.
        let total: i32 = chairs
            .iter()
            .map(|score| i32::from(score.taken_for_human))
            .sum();
        prop_assert!((total - 100).unsigned_abs() as usize <= chairs.len().div_ceil(2));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_table_where_people_do_anything_stays_lawful_and_can_be_rebuilt(
        setup in any_setup(),
        roles in prop::collection::vec(any_role(), 1..6),
        dice in any::<u64>(),
        tries in prop::collection::vec((any_try(), -2_000i64..3_000), 1..120),
    ) {
        let mut party = Party::open(setup.clone(), &[Role::Witness], dice);
        for (number, role) in (1..).zip(roles) {
            let key = format!("key-{number}");
            let _ = party.give(Command::Come { name: "Eve".into(), key, role });
        }
        for (attempt, jump) in tries {
            party.now = party.now.saturating_add_signed(jump);
            let before = party.table.clone();
            let outcome = match attempt {
                Try::Onward(text, which) => party.onward(&text, which),
                attempt => {
                    let command = command(attempt, &party);
                    party.give(command)
                }
            };
            match outcome {
                Err(_) => prop_assert_eq!(&party.table, &before, "a refusal changed the table"),
                Ok(events) => {
                    if events.is_empty() {
                        prop_assert_eq!(&party.table, &before);
                    }
                    for event in &events {
                        if let Event::Finished { finish, chairs, voters } = event {
                            check_scores(&party, *finish, chairs, voters)?;
                        }
                    }
                }
            }
            check_laws(&party)?;
        }
    }

    #[test]
    fn a_game_ends_when_only_machines_and_time_go_on(
        setup in any_setup(),
        roles in prop::collection::vec(any_role(), 0..6),
        dice in any::<u64>(),
        people_go_on in 0usize..40,
        machines_answer in any::<bool>(),
    ) {
        let mut party = Party::open(setup.clone(), &[Role::Witness], dice);
        for (number, role) in (1..).zip(roles) {
            let key = format!("key-{number}");
            let _ = party.give(Command::Come { name: "Eve".into(), key, role });
        }
        if party.try_act(0, Act::Start).is_err() {
            return Ok(());
        }
        for which in 0..people_go_on {
            if party.table.is_playing() {
                let _ = party.onward("well", which);
            }
        }
        let mut steps = 0;
        while party.table.is_playing() {
            match party.table.effects().first() {
                Some(Effect::AskMachine { .. }) if !machines_answer => { party.wait(); }
                Some(Effect::Wait { .. }) => { party.wait(); }
                _ => { party.onward("well", 0).expect("an effect may be done"); }
            }
            check_laws(&party)?;
            steps += 1;
            prop_assert!(steps <= 12 * setup.rounds + 4, "the game never ends");
        }
        let ended = matches!(party.log.last(), Some((_, Event::Finished { .. })));
        prop_assert!(ended);
    }

    #[test]
    fn before_the_end_nobody_sees_who_sits_where_or_what_is_still_veiled(
        setup in any_setup(),
        roles in prop::collection::vec(any_role(), 0..6),
        dice in any::<u64>(),
        steps in prop::collection::vec((0usize..64, 0u8..12), 0..40),
    ) {
        let mut party = Party::open(setup.clone(), &[Role::Witness], dice);
        for (number, role) in (1..).zip(roles) {
            let key = format!("key-{number}");
            let _ = party.give(Command::Come { name: "Eve".into(), key, role });
        }
        if party.try_act(0, Act::Start).is_err() {
            return Ok(());
        }
        for (number, (which, what)) in steps.into_iter().enumerate() {
            match what {
                0 => { party.wait(); }
                1 => { let _ = party.try_act(1 + which as u32 % 6, Act::Leave); }
                // Whoever answers, the line is like no other.
                _ => { let _ = party.onward(&format!("q{number}w"), which); }
            }
            if !party.table.is_playing() {
                break;
            }
            let revealed: BTreeSet<String> = party.log.iter().flat_map(|(_, event)| match event {
                Event::Revealed { answers, .. } =>
                    answers.iter().filter_map(|answer| answer.text.clone()).collect(),
                _ => Vec::new(),
            }).collect();
            for viewer in party.viewers() {
                for ((_, event), (_, shown)) in party.log.iter().zip(party.seen_by(viewer)) {
                    let own = |member: &Member| viewer == Viewer::Member(*member);
                    match shown {
                        Some(Event::Came { key, .. }) => prop_assert_eq!(key, None),
                        Some(Event::Started { chairs, seed, yours, .. }) => {
                            prop_assert_eq!((chairs, seed), (None, None));
                            let Event::Started { chairs: Some(drawn), .. } = event else {
                                panic!("a start without chairs");
                            };
                            let sits = yours.map(|chair| &drawn[usize::from(chair.0)]);
                            let is_own = |witness: &Witness|
                                matches!(witness, Witness::Person { member } if own(member));
                            prop_assert!(sits.is_none_or(is_own));
                        }
                        Some(Event::Replied { chair, text, .. }) => {
                            let Viewer::Member(member) = viewer else {
                                panic!("the public sees a veiled answer");
                            };
                            let holds = party.table.chair_of(member) == Some(chair);
                            // Of a chair that was lost, what was one's own and is past.
                            let was_own = party.log.iter().any(|(_, event)| {
                                let Event::Started { chairs: Some(drawn), .. } = event else {
                                    return false;
                                };
                                drawn[usize::from(chair.0)] == Witness::Person { member }
                            });
                            let past = text.is_none_or(|text| revealed.contains(&text));
                            prop_assert!(holds || was_own && past, "somebody else's answer");
                        }
                        Some(Event::Voted { voter, ballot: Some(_) }) => {
                            let is_own = matches!(voter, Voter::Person { member } if own(&member));
                            prop_assert!(is_own);
                        }
                        Some(Event::Weighed { .. }) =>
                            prop_assert_eq!(setup.mode, Mode::Explanatory),
                        _ => {}
                    }
                }
            }
        }
        if party.table.is_playing() {
            party.act(0, Act::Stop);
        }
        for viewer in party.viewers() {
            for ((_, event), (_, shown)) in party.log.iter().zip(party.seen_by(viewer)) {
                let shown = shown.expect("everything is shown at the end");
                if !matches!(event, Event::Came { .. } | Event::Started { .. }) {
                    prop_assert_eq!(&shown, event);
                }
            }
        }
    }
}
