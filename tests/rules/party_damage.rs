//! A damaged log brings nothing down.

use parlour::play::party::{
    Act, Answer, Ballot, Chair, Command, Effect, Event, Finish, Machine, Member, Role, Table,
    Vacancy, Viewer, Voter, Witness,
};
use proptest::prelude::*;

use crate::{
    party_random::{any_role, any_setup},
    party_table::{Party, Rolling, opinion},
};

fn any_event() -> impl Strategy<Value = Event> {
    let member = || (0u32..4).prop_map(Member);
    let chair = || (0u8..5).prop_map(Chair);
    let witness = prop_oneof![
        member().prop_map(|member| Witness::Person { member }),
        Just(Witness::Machine {
            machine: Machine::Eliza
        })
    ];
    let vacancy = prop_oneof![Just(Vacancy::Machine), Just(Vacancy::Close)];
    prop_oneof![
        any_setup().prop_map(|setup| Event::TableOpened { setup }),
        any_setup().prop_map(|setup| Event::SetupChanged { setup }),
        (member(), any_role(), prop::option::of("[a-c]")).prop_map(|(member, role, key)| {
            Event::Came {
                member,
                name: "x".into(),
                role,
                key,
            }
        }),
        (member(), any::<bool>()).prop_map(|(member, removed)| Event::Went { member, removed }),
        member().prop_map(|member| Event::HostChanged { member }),
        (member(), any_role()).prop_map(|(member, role)| Event::RoleChanged { member, role }),
        (
            prop::option::of(prop::collection::vec(witness, 0..5)),
            any::<u8>(),
            prop::option::of(member())
        )
            .prop_map(|(chairs, count, judge)| Event::Started {
                game: 1,
                chairs,
                count,
                yours: None,
                judge,
                seed: Some(1),
            }),
        (0u32..4).prop_map(|round| Event::Questioned {
            round,
            text: "?".into()
        }),
        (0u32..4, chair(), prop::option::of("[a-z]{1,3}"))
            .prop_map(|(round, chair, text)| Event::Replied { round, chair, text }),
        (0u32..4, chair()).prop_map(|(round, chair)| Event::Revealed {
            round,
            answers: vec![Answer { chair, text: None }],
        }),
        (chair(), vacancy).prop_map(|(chair, vacancy)| Event::Vacated { chair, vacancy }),
        (0u32..4, chair(), any::<u8>()).prop_map(|(round, chair, sure)| Event::Weighed {
            round,
            opinion: opinion(&[chair], chair, sure.min(100)),
        }),
        Just(Event::BallotsOpened),
        (prop::option::of(member()), chair(), any::<u8>()).prop_map(
            |(member, human, confidence)| Event::Voted {
                voter: member.map_or(Voter::Machine, |member| Voter::Person { member }),
                ballot: Some(Ballot { human, confidence }),
            }
        ),
        Just(Event::Finished {
            finish: Finish::Stopped,
            chairs: Vec::new(),
            voters: Vec::new(),
        }),
    ]
}

/// Everything that may be asked of a table is answered, and what it wants can be done.
fn looked_at(table: &Table) {
    let mut table = table.clone();
    for chair in (0..6).map(Chair) {
        let _ = (table.witness(chair), table.machine_on(chair));
    }
    for member in (0..5).map(Member) {
        let _ = (
            table.awaits(member),
            table.chair_of(member),
            table.person(member),
        );
        for viewer in [Viewer::Member(member), Viewer::Public] {
            let event = Event::Replied {
                round: 1,
                chair: Chair(2),
                text: None,
            };
            let _ = table.shown(viewer, member.0, &event);
        }
    }
    let _ = (
        table.least_confidence(),
        table.people_drawn(),
        table.rounds().len(),
    );
    for _ in 0..300 {
        let effects = table.effects();
        assert_eq!(effects.is_empty(), !table.is_playing());
        let Some(effect) = effects.last() else { return };
        let command = match effect {
            Effect::Wait { .. } => Command::Tick,
            _ => Command::GiveUp,
        };
        let events = table
            .decide(command, u64::MAX, &mut Rolling(1))
            .expect("what the effects say may be done");
        for event in events {
            table.apply(u64::MAX, &event);
        }
    }
    panic!("the game never ends");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_log_of_arbitrary_events_never_panics_and_its_game_still_ends(
        setup in any_setup(),
        events in prop::collection::vec((any_event(), any::<u64>()), 0..60),
    ) {
        let mut table = Table::default();
        table.apply(0, &Event::TableOpened { setup });
        for (event, at) in &events {
            table.apply(*at, event);
        }
        looked_at(&table);
    }

    #[test]
    fn a_log_with_gaps_repetitions_and_swaps_can_still_be_played(
        setup in any_setup(),
        steps in 0usize..40,
        damage in prop::collection::vec((0u8..3, any::<usize>(), any::<usize>()), 0..6),
    ) {
        let mut party = Party::open(setup, &[Role::Witness, Role::Witness, Role::Spectator], 5);
        let _ = party.try_act(1, Act::Take { role: Role::Judge });
        for which in 0..steps {
            let _ = party.onward("well", which);
        }
        let mut log = party.log;
        for (what, one, other) in damage {
            if log.is_empty() {
                break;
            }
            let (one, other) = (one % log.len(), other % log.len());
            match what {
                0 => { log.remove(one); }
                1 => log.insert(other, log[one].clone()),
                _ => log.swap(one, other),
            }
        }
        looked_at(&parlour::play::party::rebuild(log.iter().map(|(at, event)| (*at, event))));
    }

    #[test]
    fn a_log_that_was_cut_anywhere_goes_on_to_the_same_laws(
        setup in any_setup(),
        steps in 0usize..60,
        cut in any::<usize>(),
    ) {
        let mut party = Party::open(setup, &[Role::Witness, Role::Witness], 11);
        for which in 0..steps {
            let _ = party.onward("well", which);
        }
        let kept = cut % (party.log.len() + 1);
        let table = parlour::play::party::rebuild(
            party.log[..kept].iter().map(|(at, event)| (*at, event)));
        prop_assert_eq!(table.len() as usize, kept);
        looked_at(&table);
    }
}
