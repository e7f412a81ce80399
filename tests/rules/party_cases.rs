//! Laws shown at the tables where they matter.

use parlour::play::{
    imitation::{Kind, Mode},
    party::{
        Act, Ballot, Bench, Chair, Command, Effect, Event, Finish, MISSES, Machine, Member,
        Refusal, Role, Setup, Step, Table, Vacancy, Viewer, Voter, Witness,
    },
};

use crate::party_table::{Party, Rolling, setup};

const W: Role = Role::Witness;
const J: Role = Role::Judge;
const S: Role = Role::Spectator;

fn finish(events: &[Event]) -> Option<Finish> {
    events.iter().find_map(|event| match event {
        Event::Finished { finish, .. } => Some(*finish),
        _ => None,
    })
}

fn chair_of(party: &Party, member: u32) -> Chair {
    party
        .table
        .chair_of(Member(member))
        .expect("sits on a chair")
}

fn come(party: &mut Party, name: &str, key: &str, role: Role) -> Result<Vec<Event>, Refusal> {
    party.give(Command::Come {
        name: name.into(),
        key: key.into(),
        role,
    })
}

#[test]
fn a_table_that_nobody_opened_does_nothing() {
    let table = Table::default();
    let told = table.decide(Command::Tick, 0, &mut Rolling(1));
    assert_eq!(told, Err(Refusal::NotOpen));
    assert!(table.is_empty() && table.is_abandoned() && table.effects().is_empty());
}

#[test]
fn setups_that_nobody_can_play_are_refused() {
    let mut party = Party::open(setup(Bench::Machine, 2, 2), &[W], 1);
    let good = setup(Bench::Machine, 4, 4);
    let bad = [
        Setup {
            people: 0,
            ..good.clone()
        },
        Setup {
            people: 5,
            ..good.clone()
        },
        Setup {
            people: 255,
            ..good.clone()
        },
        Setup {
            machines: Vec::new(),
            ..good.clone()
        },
        Setup {
            machines: vec![Machine::Persona {
                name: String::new(),
            }],
            ..good.clone()
        },
        Setup {
            rounds: 0,
            ..good.clone()
        },
        Setup {
            rounds: 51,
            ..good.clone()
        },
        Setup {
            seconds: 0,
            ..good.clone()
        },
        Setup {
            line_limit: 0,
            ..good.clone()
        },
        Setup {
            line_limit: 4001,
            ..good.clone()
        },
    ];
    for setup in bad {
        let told = party.try_act(
            0,
            Act::Setup {
                setup: setup.clone(),
            },
        );
        assert!(matches!(told, Err(Refusal::BadSetup(_))), "{setup:?}");
    }
    party.act(
        0,
        Act::Setup {
            setup: good.clone(),
        },
    );
    assert_eq!(party.table.setup(), Some(&good));
}

#[test]
fn only_the_host_sets_up_starts_stops_mutes_removes_and_hands_over() {
    let mut party = Party::open(setup(Bench::Machine, 2, 2), &[W, W], 1);
    for act in [
        Act::Setup {
            setup: setup(Bench::Everybody, 2, 2),
        },
        Act::Start,
        Act::Stop,
        Act::Rematch,
        Act::Mute {
            member: Member(0),
            muted: true,
        },
        Act::Remove { member: Member(0) },
        Act::HandOver { member: Member(1) },
    ] {
        assert_eq!(party.try_act(1, act), Err(Refusal::NotHost));
    }
    assert_eq!(party.try_act(7, Act::Start), Err(Refusal::NoSuchMember));
}

#[test]
fn with_fewer_people_than_chairs_the_table_plays_with_whoever_is_here() {
    let mut party = Party::started(setup(Bench::Machine, 4, 2), &[W, W, S], 3);
    assert_eq!(party.table.chairs(), 4 - 2 + 2);
    assert_eq!(party.table.people_drawn(), 2);
    assert_eq!(party.try_act(0, Act::Start), Err(Refusal::Playing));
}

#[test]
fn without_a_witness_or_a_judge_it_cannot_start() {
    let mut party = Party::open(setup(Bench::Person, 2, 2), &[S], 1);
    assert!(matches!(
        party.try_act(0, Act::Start),
        Err(Refusal::CannotStart(_))
    ));
    party.act(0, Act::Take { role: J });
    assert!(matches!(
        party.try_act(0, Act::Start),
        Err(Refusal::CannotStart(_))
    ));
    come(&mut party, "Eve", "e", W).expect("there is room");
    party.act(0, Act::Start);
    assert_eq!(party.table.judge(), Some(Member(0)));
    assert_eq!(party.table.chair_of(Member(0)), None);
}

#[test]
fn when_more_want_chairs_than_there_are_the_dice_choose_and_the_others_watch() {
    let mut seated = [0u32; 4];
    for dice in 0..200 {
        let party = Party::started(setup(Bench::Everybody, 1, 1), &[W; 4], dice * 31 + 7);
        for (member, times) in (0..4).zip(&mut seated) {
            *times += u32::from(party.table.chair_of(Member(member)).is_some());
        }
    }
    assert_eq!(seated.iter().sum::<u32>(), 200);
    assert!(seated.iter().all(|times| *times > 20), "{seated:?}");
}

#[test]
fn one_bench_has_one_judge_and_only_where_a_person_judges() {
    let mut party = Party::open(setup(Bench::Person, 2, 2), &[J, W], 1);
    assert_eq!(
        party.try_act(1, Act::Take { role: J }),
        Err(Refusal::NoBench)
    );
    let told = party.act(
        0,
        Act::Setup {
            setup: setup(Bench::Machine, 2, 2),
        },
    );
    assert_eq!(
        told[1],
        Event::RoleChanged {
            member: Member(0),
            role: W
        }
    );
    assert_eq!(
        party.try_act(1, Act::Take { role: J }),
        Err(Refusal::NoBench)
    );
}

#[test]
fn names_are_cleaned_and_told_apart() {
    let mut party = Party::open(setup(Bench::Machine, 2, 2), &[W], 1);
    for (key, name) in [
        ("a", " Ada\u{202e}\n"),
        ("b", "ADA"),
        ("c", "\u{200b}"),
        ("d", ""),
    ] {
        come(&mut party, name, key, W).expect("there is room");
    }
    let names: Vec<&str> = party
        .table
        .members()
        .map(|(_, person)| &*person.name)
        .collect();
    assert_eq!(names, ["P0", "Ada", "ADA 2", "Guest", "Guest 2"]);
}

#[test]
fn a_key_has_one_place_at_the_table() {
    let mut party = Party::open(setup(Bench::Machine, 2, 2), &[W, W], 1);
    assert_eq!(come(&mut party, "Again", "key-1", S), Ok(Vec::new()));
    assert_eq!(party.table.member_of("key-1"), Some(Member(1)));
    party.act(1, Act::Leave);
    assert_eq!(party.table.member_of("key-1"), None);
    come(&mut party, "P1", "key-1", W).expect("one may come back");
    let name = party.table.person(Member(2)).map(|person| &*person.name);
    assert_eq!(
        name,
        Some("P1"),
        "a number is never used twice, a name may be"
    );
}

#[test]
fn who_was_removed_stays_away_and_who_was_muted_stays_quiet() {
    let mut party = Party::open(setup(Bench::Machine, 2, 2), &[W, W, W], 1);
    party.act(0, Act::Remove { member: Member(1) });
    assert_eq!(come(&mut party, "New", "key-1", W), Err(Refusal::Removed));
    party.act(
        0,
        Act::Mute {
            member: Member(2),
            muted: true,
        },
    );
    let hello = || Act::Say {
        text: "hello".into(),
    };
    assert_eq!(party.try_act(2, hello()), Err(Refusal::Muted));
    party.act(2, Act::Leave);
    come(&mut party, "New", "key-2", W).expect("may come back");
    assert_eq!(party.try_act(3, hello()), Err(Refusal::Muted));
    party.act(
        0,
        Act::Mute {
            member: Member(3),
            muted: false,
        },
    );
    party.act(3, hello());
}

#[test]
fn the_table_passes_to_the_next_when_the_host_leaves_or_stays_away() {
    let mut party = Party::open(setup(Bench::Machine, 2, 2), &[W, S, W], 1);
    let away = |member, present: &[u32]| Command::Away {
        member: Member(member),
        present: present.iter().copied().map(Member).collect(),
    };
    assert_eq!(
        party.must(away(2, &[0, 1])),
        [],
        "only a host's absence matters"
    );
    assert_eq!(party.must(away(0, &[])), [], "nobody is there to take it");
    party.must(away(0, &[1]));
    assert_eq!(party.table.host(), Some(Member(1)));
    party.act(1, Act::Leave);
    assert_eq!(
        party.table.host(),
        Some(Member(0)),
        "players before spectators, in order"
    );
    party.act(0, Act::Leave);
    party.act(2, Act::Leave);
    assert!(party.table.is_abandoned() && party.table.host().is_none());
    come(&mut party, "New", "n", S).expect("anybody may come");
    assert_eq!(
        party.table.host(),
        Some(Member(3)),
        "whoever finds an empty table has it"
    );
}

#[test]
fn the_host_hands_the_office_to_whom_they_choose_also_during_a_game() {
    let mut party = Party::open(setup(Bench::Machine, 2, 2), &[W, W, S], 1);
    let hand_over = |member| Act::HandOver {
        member: Member(member),
    };
    assert_eq!(
        party.act(0, hand_over(2)),
        [Event::HostChanged { member: Member(2) }]
    );
    assert_eq!(party.try_act(0, hand_over(0)), Err(Refusal::NotHost));
    assert_eq!(party.try_act(0, Act::Start), Err(Refusal::NotHost));
    party.act(2, Act::Start);
    assert_eq!(
        party.act(2, hand_over(1)),
        [Event::HostChanged { member: Member(1) }]
    );
    assert_eq!(party.act(1, hand_over(1)), [], "it is theirs already");
    // Whoever is gone cannot have it.
    party.act(0, Act::Leave);
    assert_eq!(party.try_act(1, hand_over(0)), Err(Refusal::NoSuchMember));
    assert_eq!(party.try_act(1, hand_over(9)), Err(Refusal::NoSuchMember));
    assert_eq!(party.table.host(), Some(Member(1)));
}

#[test]
fn people_talk_between_games_and_not_during_them() {
    let mut party = Party::open(setup(Bench::Machine, 2, 2), &[W, S], 1);
    let say = |text: &str| Act::Say { text: text.into() };
    let told = party.act(1, say(" hi\n\u{200b}there "));
    assert_eq!(
        told,
        [Event::Said {
            member: Member(1),
            text: "hi there".into()
        }]
    );
    let offset = party.table.len() - 1;
    assert_eq!(party.table.shown(Viewer::Public, offset, &told[0]), None);
    assert_eq!(party.try_act(1, say("\n")), Err(Refusal::Empty));
    let long = party.try_act(1, say(&"é".repeat(41)));
    assert_eq!(long, Err(Refusal::TooLong { limit: 40, got: 41 }));
    party.act(0, Act::Start);
    assert_eq!(party.try_act(1, say("psst")), Err(Refusal::Playing));
    party.act(0, Act::Stop);
    party.act(1, say("well played"));
}

#[test]
fn answers_are_revealed_together_and_in_the_order_of_the_chairs() {
    let mut party = Party::started(setup(Bench::Machine, 2, 2), &[W, W], 9);
    party.ask("What is in your pockets?");
    let mut chairs = party.table.open_chairs();
    chairs.reverse();
    for chair in &chairs[..3] {
        assert_eq!(party.say(*chair, &format!("{}", chair.0)).len(), 1);
    }
    let [_, Event::Revealed { answers, .. }] = &party.say(chairs[3], "0")[..] else {
        panic!("the last answer reveals all");
    };
    let texts: Vec<&str> = answers.iter().filter_map(|a| a.text.as_deref()).collect();
    assert_eq!(texts, ["0", "1", "2", "3"]);
}

#[test]
fn the_clock_is_one_for_people_and_machines() {
    let mut party = Party::started(setup(Bench::Machine, 1, 2), &[W], 9);
    party.ask("What is in your pockets?");
    let effects = party.table.effects();
    let until = party.now + 10_000;
    assert_eq!(effects.last(), Some(&Effect::Wait { until }));
    assert_eq!(effects.len(), 3, "both machines are asked");
    party.now = until - 1;
    assert_eq!(party.must(Command::Tick), []);
    let told = party.wait();
    assert_eq!(told.len(), 4, "three that said nothing, and the reveal");
    assert!(matches!(party.table.step(), Step::Weighing { round: 1 }));
}

#[test]
fn a_chair_whose_person_misses_twice_in_a_row_is_taken_over_in_secret() {
    let setup = Setup {
        rounds: 4,
        ..setup(Bench::Machine, 2, 1)
    };
    let mut party = Party::started(setup, &[W, W, S], 4);
    let lazy = chair_of(&party, 0);
    for round in 1..=MISSES {
        assert!(party.table.machine_on(lazy).is_none(), "{round}");
        party.ask("Where were you?");
        for chair in party
            .table
            .open_chairs()
            .into_iter()
            .filter(|chair| *chair != lazy)
        {
            party.say(chair, "here");
        }
        party.wait();
        party.weigh(Chair(0), 60);
    }
    assert_eq!(party.table.machine_on(lazy), Some(Machine::Model));
    assert_eq!(party.table.chair_of(Member(0)), None);
    party.ask("And now?");
    party.say(lazy, "a machine says so");
    let bytes = |member| format!("{:?}", party.seen_by(Viewer::Member(Member(member))));
    assert!(!bytes(1).contains("Vacated") && !bytes(2).contains("Vacated"));
    assert!(
        bytes(0).contains("Vacated"),
        "one is told that one's own chair is gone"
    );
    assert!(
        !bytes(0).contains("a machine says so"),
        "what it says there is not one's own"
    );
}

#[test]
fn an_answer_in_between_is_forgiven() {
    let setup = Setup {
        rounds: 4,
        ..setup(Bench::Machine, 2, 1)
    };
    let mut party = Party::started(setup, &[W, W], 4);
    for round in 0..4 {
        party.ask("Where were you?");
        if round % 2 == 1 {
            party.all_say("here");
        } else {
            party.wait();
        }
        if party.table.is_playing() {
            party.weigh(Chair(0), 60);
        }
    }
    assert!(
        !party
            .log
            .iter()
            .any(|(_, event)| matches!(event, Event::Vacated { .. }))
    );
}

#[test]
fn a_chair_that_is_closed_is_closed_for_all_to_see() {
    let setup = Setup {
        vacancy: Vacancy::Close,
        ..setup(Bench::Machine, 2, 1)
    };
    let mut party = Party::started(setup, &[W, W, S], 4);
    let closed = chair_of(&party, 1);
    party.ask("Where were you?");
    for chair in party
        .table
        .open_chairs()
        .into_iter()
        .filter(|chair| *chair != closed)
    {
        party.say(chair, "here");
    }
    let told = party.act(1, Act::Leave);
    assert!(matches!(
        told[1],
        Event::Vacated {
            vacancy: Vacancy::Close,
            ..
        }
    ));
    assert!(
        matches!(told[2], Event::Revealed { .. }),
        "nobody is waited for in vain"
    );
    assert!(!party.table.open_chairs().contains(&closed));
    for viewer in party.viewers() {
        let bytes = format!("{:?}", party.seen_by(viewer));
        assert!(bytes.contains("Vacated"));
    }
}

#[test]
fn when_the_last_person_leaves_a_chair_the_game_is_over() {
    for vacancy in [Vacancy::Machine, Vacancy::Close] {
        let setup = Setup {
            vacancy,
            ..setup(Bench::Machine, 2, 1)
        };
        let mut party = Party::started(setup, &[S, W, W], 4);
        assert_eq!(finish(&party.act(1, Act::Leave)), None);
        let told = party.act(0, Act::Remove { member: Member(2) });
        assert_eq!(finish(&told), Some(Finish::Deserted));
    }
}

#[test]
fn who_leaves_after_the_last_answer_keeps_the_chair() {
    let setup = Setup {
        rounds: 1,
        ..setup(Bench::Everybody, 1, 1)
    };
    let mut party = Party::started(setup, &[W, W], 4);
    party.round();
    assert_eq!(party.table.step(), Step::Voting);
    let sitter = if party.table.chair_of(Member(0)).is_some() {
        0
    } else {
        1
    };
    let chair = chair_of(&party, sitter);
    party.act(sitter, Act::Leave);
    let told = party.vote(1 - sitter, chair, 90);
    let Some(Event::Finished {
        finish: Finish::Played,
        voters,
        ..
    }) = told.last()
    else {
        panic!("everybody who is here has voted: {told:?}");
    };
    assert!(
        voters
            .iter()
            .any(|v| v.ballot.human == chair && v.right && v.score == 99)
    );
}

#[test]
fn a_judge_who_leaves_or_does_not_ask_ends_the_game() {
    for leaves in [true, false] {
        let mut party = Party::started(setup(Bench::Person, 1, 1), &[J, W], 4);
        assert!(party.table.awaits(Member(0)));
        let told = if leaves {
            party.act(0, Act::Leave)
        } else {
            party.wait()
        };
        assert_eq!(finish(&told), Some(Finish::Deserted));
    }
}

#[test]
fn a_judge_may_call_the_vote_instead_of_asking_again() {
    let mut party = Party::started(setup(Bench::Person, 2, 2), &[J, W, W], 4);
    assert_eq!(
        party.try_act(0, Act::CallVote),
        Err(Refusal::NotYourTurn),
        "nothing was heard"
    );
    party.ask("What is in your pockets?");
    assert_eq!(party.try_act(0, Act::CallVote), Err(Refusal::NotYourTurn));
    party.all_say("nothing");
    assert_eq!(party.try_act(1, Act::CallVote), Err(Refusal::NotYourTurn));
    assert_eq!(party.act(0, Act::CallVote), [Event::BallotsOpened]);
    assert!(party.table.awaits(Member(0)) && !party.table.awaits(Member(1)));
    let told = party.vote(0, chair_of(&party, 1), 100);
    let Some(Event::Finished { voters, chairs, .. }) = told.last() else {
        panic!("the judge decides alone");
    };
    assert_eq!(
        (voters.len(), voters[0].right, voters[0].score),
        (1, true, 100)
    );
    let won: Vec<&Witness> = chairs
        .iter()
        .filter(|c| c.won)
        .map(|c| &c.witness)
        .collect();
    assert_eq!(won, [&Witness::Person { member: Member(1) }]);
}

#[test]
fn nobody_names_oneself_a_closed_chair_or_less_than_guessing() {
    let setup = Setup {
        rounds: 1,
        vacancy: Vacancy::Close,
        ..setup(Bench::Everybody, 3, 1)
    };
    let mut party = Party::started(setup, &[W, W, W, S], 6);
    let closed = chair_of(&party, 2);
    party.act(2, Act::Leave);
    party.round();
    let own = chair_of(&party, 0);
    let vote = |human, confidence| Act::Vote {
        ballot: Ballot { human, confidence },
    };
    for chair in [own, closed, Chair(8)] {
        assert_eq!(party.try_act(0, vote(chair, 70)), Err(Refusal::NoSuchChair));
    }
    let other = chair_of(&party, 1);
    let least = Refusal::BadConfidence { least: 33 };
    assert_eq!(party.table.least_confidence(), 33, "of three open chairs");
    assert_eq!(party.try_act(0, vote(other, 32)), Err(least.clone()));
    assert_eq!(party.try_act(0, vote(other, 101)), Err(least));
    party.act(0, vote(other, 33));
    assert_eq!(party.try_act(0, vote(other, 33)), Err(Refusal::AlreadyDone));
    assert_eq!(
        party.try_act(3, vote(other, 33)),
        Err(Refusal::NotYourTurn),
        "a spectator"
    );
}

#[test]
fn the_ai_votes_as_it_believed_last() {
    let setup = Setup {
        rounds: 2,
        ..setup(Bench::Machine, 2, 2)
    };
    let mut party = Party::started(setup, &[W, W], 6);
    party.ask("What is in your pockets?");
    party.all_say("nothing");
    party.weigh(Chair(0), 99);
    party.ask("And in your shoes?");
    party.all_say("nothing");
    let told = party.weigh(Chair(2), 80);
    let ballot = Some(Ballot {
        human: Chair(2),
        confidence: 80,
    });
    assert!(told.contains(&Event::Voted {
        voter: Voter::Machine,
        ballot
    }));
    assert_eq!(finish(&told), Some(Finish::Played));
}

#[test]
fn an_opinion_is_about_every_open_chair_and_in_their_order() {
    let mut party = Party::started(setup(Bench::Machine, 2, 2), &[W, W], 6);
    party.ask("What is in your pockets?");
    party.all_say("nothing");
    let mut opinion = crate::party_table::opinion(&party.table.open_chairs(), Chair(1), 80);
    opinion.beliefs.reverse();
    let missing = parlour::play::party::Opinion {
        beliefs: opinion.beliefs[1..].to_vec(),
        ..opinion.clone()
    };
    let told = party.give(Command::Weigh {
        round: 1,
        opinion: missing,
    });
    assert_eq!(told, Err(Refusal::NoSuchChair));
    let told = party.must(Command::Weigh { round: 1, opinion });
    let [Event::Weighed { opinion, .. }] = &told[..] else {
        panic!("it was weighed");
    };
    assert!(
        opinion
            .beliefs
            .iter()
            .map(|belief| belief.chair)
            .eq((0..4).map(Chair))
    );
}

#[test]
fn in_explanatory_mode_the_ais_opinion_is_seen_at_once_and_in_blind_mode_at_the_end() {
    for mode in [Mode::Blind, Mode::Explanatory] {
        let mut party = Party::started(
            Setup {
                mode,
                ..setup(Bench::Machine, 2, 2)
            },
            &[W, W, S],
            6,
        );
        party.round();
        for viewer in party.viewers() {
            let bytes = format!("{:?}", party.seen_by(viewer));
            assert_eq!(bytes.contains("umbrella"), mode == Mode::Explanatory);
        }
        party.act(0, Act::Stop);
        for viewer in party.viewers() {
            assert!(format!("{:?}", party.seen_by(viewer)).contains("umbrella"));
        }
    }
}

#[test]
fn in_an_inverse_game_the_least_human_wins() {
    let setup = Setup {
        rounds: 1,
        kind: Kind::Inverse,
        ..setup(Bench::Machine, 1, 1)
    };
    let mut party = Party::started(setup, &[W], 6);
    party.ask("What is in your pockets?");
    party.all_say("BEEP");
    let (person, other) = (chair_of(&party, 0), party.some_other_chair(Member(0), 0));
    let told = party.weigh(other, 90);
    let Some(Event::Finished { chairs, voters, .. }) = told.last() else {
        panic!("one round is all");
    };
    let own = &chairs[usize::from(person.0)];
    assert_eq!((own.won, own.taken_for_human), (true, 10));
    assert_eq!((voters[0].right, voters[0].score), (false, 19));
}

#[test]
fn who_comes_late_watches_and_sits_in_the_next_game() {
    let mut party = Party::started(setup(Bench::Machine, 2, 1), &[W], 6);
    come(&mut party, "Late", "late", W).expect("there is room");
    assert_eq!(party.table.chair_of(Member(1)), None);
    party.ask("What is in your pockets?");
    let answer = Act::Answer {
        round: 1,
        text: "me too".into(),
    };
    assert_eq!(party.try_act(1, answer), Err(Refusal::NotYourTurn));
    party.act(0, Act::Stop);
    party.act(0, Act::Rematch);
    assert!(party.table.chair_of(Member(1)).is_some());
    assert_eq!(party.table.game(), 2);
}

#[test]
fn a_rematch_draws_anew_and_keeps_the_old_game_open() {
    let mut party = Party::open(setup(Bench::Machine, 2, 2), &[W, W], 6);
    assert_eq!(party.try_act(0, Act::Rematch), Err(Refusal::NotPlaying));
    party.act(0, Act::Start);
    party.round();
    party.act(0, Act::Stop);
    let (seed, began) = (party.table.seed(), party.table.game_began());
    party.act(0, Act::Rematch);
    assert_ne!(party.table.seed(), seed);
    party.ask("What is in your shoes?");
    party.say(chair_of(&party, 0), "a stone, and it is a secret");
    let seen = party.seen_by(Viewer::Member(Member(1)));
    let (old, new) = seen.split_at(party.table.game_began().expect("started") as usize);
    assert!(began < party.table.game_began());
    assert!(
        old.iter().all(|(_, event)| event.is_some()),
        "the first game stays revealed"
    );
    let bytes = format!("{new:?}");
    assert!(!bytes.contains("a stone") && bytes.contains("chairs: None"));
}

#[test]
fn what_was_veiled_is_known_after_the_end() {
    let mut party = Party::started(setup(Bench::Machine, 2, 2), &[W, W], 6);
    party.round();
    party.act(0, Act::Stop);
    let viewer = Viewer::Member(Member(0));
    let unveiled = (0u32..).zip(&party.log).filter(|(offset, (_, event))| {
        Some(*offset) >= party.table.game_began()
            && party.table.lived(viewer, event) != party.table.shown(viewer, *offset, event)
    });
    let kinds: Vec<&Event> = unveiled.map(|(_, (_, event))| event).collect();
    assert!(matches!(kinds[0], Event::Started { .. }));
    let replied = kinds
        .iter()
        .filter(|e| matches!(e, Event::Replied { .. }))
        .count();
    assert_eq!(replied, 3, "all but one's own");
    assert!(matches!(kinds.last(), Some(Event::Weighed { .. })));
}

#[test]
fn a_machine_that_fails_for_good_breaks_the_game_only_when_it_is_needed() {
    let mut party = Party::started(setup(Bench::Person, 1, 1), &[J, W], 6);
    assert_eq!(party.give(Command::GiveUp), Err(Refusal::NotYourTurn));
    party.ask("What is in your pockets?");
    assert_eq!(finish(&party.must(Command::GiveUp)), Some(Finish::Broken));
    assert_eq!(party.give(Command::GiveUp), Err(Refusal::NotPlaying));
}

#[test]
fn a_machines_answer_is_cut_where_a_persons_would_be_refused() {
    let mut party = Party::started(setup(Bench::Machine, 1, 1), &[W], 6);
    party.ask("What is in your pockets?");
    let chair = party.some_other_chair(Member(0), 0);
    let told = party.say(chair, &"ab ".repeat(100));
    let [
        Event::Replied {
            text: Some(text), ..
        },
    ] = &told[..]
    else {
        panic!("it replied");
    };
    assert!(text.chars().count() <= 40 && !text.ends_with(' '));
}

#[test]
fn two_clicks_of_one_person_are_one_answer() {
    let mut party = Party::started(setup(Bench::Machine, 2, 1), &[W, W], 6);
    party.ask("What is in your pockets?");
    let answer = |round| Act::Answer {
        round,
        text: "lint".into(),
    };
    party.act(0, answer(1));
    assert_eq!(party.try_act(0, answer(1)), Err(Refusal::AlreadyDone));
    let told = party.try_act(0, answer(2));
    assert_eq!(told, Err(Refusal::WrongRound { now: 1, named: 2 }));
}

#[test]
fn a_spectator_is_let_in_where_spectators_are_welcome() {
    let closed = Setup {
        open_to_spectators: false,
        ..setup(Bench::Machine, 2, 1)
    };
    let mut party = Party::open(closed, &[W], 6);
    assert_eq!(come(&mut party, "Eve", "e", S), Err(Refusal::NoSpectators));
    assert_eq!(
        party.try_act(0, Act::Take { role: S }),
        Err(Refusal::NoSpectators)
    );
}

#[test]
fn a_table_has_room_for_sixty_four_players() {
    let mut party = Party::open(setup(Bench::Machine, 2, 1), &[W; 64], 6);
    assert_eq!(come(&mut party, "Eve", "e", W), Err(Refusal::Full));
    come(&mut party, "Eve", "e", S).expect("there is room to watch");
    assert_eq!(party.try_act(64, Act::Take { role: W }), Err(Refusal::Full));
    party.act(0, Act::Take { role: S });
    party.act(64, Act::Take { role: W });
}
