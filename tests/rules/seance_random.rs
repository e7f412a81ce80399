//! Laws that hold in random séances of random commands.

use std::collections::{BTreeMap, BTreeSet};

use parlour::play::seance::{
    AHEAD, Command, Effect, Event, Hush, Leaving, Member, Put, Seance, SeedFrom, Setup, Tongue,
    Viewer, words,
};
use proptest::prelude::*;

use crate::seance_room::Circle;

prop_compose! {
    fn any_setup()(
        sitters in prop_oneof![3 => Just(1u8), 1 => 2u8..4],
        idle_ms in 1_000u64..9_000,
        idle_while_waited_ms in 500u64..4_000,
        turn_ms in 2_000u64..20_000,
        listening_ms in 500u64..4_000,
        silences in 1u32..4,
        alone_lines in 0u32..4,
    ) -> Setup {
        Setup {
            sitters, idle_ms, idle_while_waited_ms, turn_ms, listening_ms, silences, alone_lines,
            question_limit: 40, silence_ms: 300, alone_pause_ms: 700,
        }
    }
}

#[derive(Clone, Debug)]
enum Try {
    Come(u8),
    Leave(u32),
    Away(u32),
    Listen(u32, u32),
    Unheard(u32, u32),
    Ask(u32, Option<u32>, String),
    /// Off the line that is due.
    Say(i32, String, Option<String>),
    /// Off the last line that was made.
    Heard(Option<u32>, i32, u32),
    Hush(u32),
    Tick,
    GiveUp,
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-z]{1,6}( [a-z]{1,6}){0,6}",
        1 => ".{0,50}",
        1 => "[ \\n\\x00\\u{200b}]{0,3}",
    ]
}

fn any_try() -> impl Strategy<Value = Try> {
    let member = || prop_oneof![4 => Just(u32::MAX), 1 => 0u32..6];
    let off = || prop_oneof![6 => Just(0i32), 1 => -2i32..2];
    prop_oneof![
        2 => (0u8..6).prop_map(Try::Come),
        1 => member().prop_map(Try::Leave),
        1 => (0u32..6).prop_map(Try::Away),
        2 => (member(), 0u32..3).prop_map(|(m, u)| Try::Listen(m, u)),
        1 => (member(), 0u32..3).prop_map(|(m, u)| Try::Unheard(m, u)),
        4 => (member(), prop::option::of(0u32..3), any_text()).prop_map(|(m, u, t)| Try::Ask(m, u, t)),
        9 => (off(), any_text(), prop::option::of(any_text())).prop_map(|(o, t, i)| Try::Say(o, t, i)),
        9 => (prop::option::of(member()), off(), 0u32..9).prop_map(|(m, o, w)| Try::Heard(m, o, w)),
        1 => member().prop_map(Try::Hush),
        4 => Just(Try::Tick),
        1 => Just(Try::GiveUp),
    ]
}

fn command(attempt: Try, circle: &Circle) -> Command {
    let seance = &circle.seance;
    // The largest number stands for whoever sits.
    let who = |number: u32| match seance.sitters().next() {
        Some(sitter) if number == u32::MAX => sitter,
        _ => Member(number),
    };
    let due = circle.due().map_or(1, |(line, ..)| line);
    let made = circle.log.iter().rev().find_map(|(_, event)| match event {
        Event::Said { line, .. } => Some(*line),
        _ => None,
    });
    match attempt {
        Try::Come(key) => Command::Come {
            key: key.to_string(),
        },
        Try::Leave(member) => Command::Leave {
            member: who(member),
        },
        Try::Away(member) => Command::Away {
            member: Member(member),
        },
        Try::Listen(member, utterance) => Command::Listen {
            member: who(member),
            utterance,
        },
        Try::Unheard(member, utterance) => Command::Unheard {
            member: who(member),
            utterance,
        },
        Try::Ask(member, utterance, text) => Command::Ask {
            member: who(member),
            utterance,
            text,
            language: "en".into(),
            inner: None,
            seed: None,
        },
        Try::Say(off, text, inner) => Command::Say {
            line: due.saturating_add_signed(off),
            text,
            language: "en".into(),
            inner,
            tongue: Tongue::Own,
        },
        Try::Heard(by, off, words) => Command::Heard {
            by: by.map(who),
            line: made.unwrap_or(1).saturating_add_signed(off),
            words,
        },
        Try::Hush(member) => Command::Hush {
            member: who(member),
        },
        Try::Tick => Command::Tick,
        Try::GiveUp => Command::GiveUp,
    }
}

/// What was heard, read from the log alone: line by line, the most words.
fn heard(log: &[(u64, Event)]) -> BTreeMap<u32, u32> {
    let mut texts = BTreeMap::new();
    let mut heard: BTreeMap<u32, u32> = BTreeMap::new();
    for (_, event) in log {
        match event {
            Event::Said { line, text, .. } => {
                texts.insert(*line, words(text).count());
            }
            Event::Heard { line, words } => {
                for (earlier, all) in texts.range(..*line) {
                    heard.insert(*earlier, u32::try_from(*all).expect("few words"));
                }
                let most = heard.entry(*line).or_default();
                *most = (*most).max(*words);
            }
            // What is silenced now is never heard any further.
            Event::Asked { .. } | Event::Listening { .. } | Event::Hushed { .. } => texts.clear(),
            _ => {}
        }
    }
    heard
}

fn check_laws(circle: &Circle) -> Result<(), TestCaseError> {
    let seance = &circle.seance;
    let replayed = circle.replayed();
    prop_assert_eq!(&replayed, seance, "replaying the log gives another séance");
    prop_assert_eq!(replayed.effects(), seance.effects());
    let snapshot = serde_json::to_string(seance).expect("json");
    let read: Seance = serde_json::from_str(&snapshot).expect("a séance");
    prop_assert_eq!(&read, seance, "a snapshot gives another séance");
    let setup = seance.setup().expect("it is open");
    let sitters: BTreeSet<Member> = seance.sitters().collect();
    prop_assert!(sitters.len() <= usize::from(setup.sitters), "too many sit");
    prop_assert_eq!(
        sitters.len(),
        seance.sitters().count(),
        "somebody sits twice"
    );
    let waiting: Vec<Member> = seance.waiting().collect();
    prop_assert!(waiting.is_sorted(), "the queue keeps the order of coming");
    prop_assert!(
        waiting.is_empty() || sitters.len() == usize::from(setup.sitters),
        "somebody waits beside a free seat"
    );
    prop_assert!(waiting.iter().all(|waits| !sitters.contains(waits)));
    let effects = seance.effects();
    let unheard = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Voice { .. }))
        .count();
    prop_assert!(unheard <= AHEAD, "more than two lines ahead");
    let wanted = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Speak { .. }))
        .count();
    prop_assert!(wanted + unheard <= AHEAD, "a line is wanted too early");
    if seance.listening().is_some() {
        prop_assert_eq!(wanted + unheard, 0, "it speaks over the sitter");
    }
    if sitters.is_empty() {
        prop_assert!(seance.memory().iter().all(|now| now.number == 0));
    } else {
        let waits = effects
            .iter()
            .any(|effect| matches!(effect, Effect::Wait { .. }));
        prop_assert!(waits, "a sitter has no limit");
    }
    check_memory(circle)?;
    check_sight(circle)
}

fn check_memory(circle: &Circle) -> Result<(), TestCaseError> {
    let heard = heard(&circle.log);
    for exchange in circle.seance.memory() {
        for line in exchange.lines() {
            let most = heard.get(&line.line).copied().unwrap_or(0);
            prop_assert_eq!(line.heard(), most);
            let original = circle.log.iter().find_map(|(_, event)| match event {
                Event::Said {
                    line: number,
                    text,
                    inner,
                    ..
                } if *number == line.line => Some((text, inner)),
                _ => None,
            });
            let (text, inner) = original.expect("only what was said is remembered");
            let remembered = line.remembered();
            match inner {
                None => {
                    let expected: Vec<&str> = words(text).take(most as usize).collect();
                    prop_assert_eq!(remembered, expected.join(" "));
                }
                Some(inner) => {
                    prop_assert!(inner.starts_with(&remembered) || most > 0);
                    if most == 0 {
                        prop_assert_eq!(remembered, "");
                    }
                }
            }
        }
    }
    Ok(())
}

/// Text is told to nobody who waits, and to nobody after its sitting.
fn check_sight(circle: &Circle) -> Result<(), TestCaseError> {
    let seance = &circle.seance;
    let begun = circle
        .log
        .iter()
        .enumerate()
        .rev()
        .find_map(|(place, (_, event))| match event {
            Event::Sat { .. } => Some(place),
            _ => None,
        });
    let waiting: Vec<Member> = seance.waiting().collect();
    for (place, (_, event)) in circle.log.iter().enumerate() {
        let is_text = matches!(event, Event::Asked { .. } | Event::Said { .. });
        let watched = seance.shown(Viewer::Watcher, event);
        prop_assert!(!is_text || seance.shown(Viewer::Public, event).is_none());
        if is_text && Some(place) < begun {
            prop_assert_eq!(&watched, &None, "of an earlier sitting");
        }
        let kept_out = seance.kept_out(event);
        for number in 0..8 {
            let shown = seance.shown(Viewer::Member(Member(number)), event);
            if is_text && waiting.contains(&Member(number)) {
                prop_assert_eq!(&shown, &None, "told to somebody who waits");
            }
            if shown != watched {
                prop_assert!(kept_out.contains(&Member(number)));
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_seance_of_any_commands_stays_lawful_and_can_be_rebuilt(
        setup in any_setup(),
        tries in prop::collection::vec((any_try(), -500i64..900), 1..90),
    ) {
        let mut circle = Circle { now: 10_000, ..Circle::default() };
        circle.must(Command::Open { setup });
        circle.come("0");
        for (attempt, jump) in tries {
            circle.now = circle.now.saturating_add_signed(jump);
            let before = circle.seance.clone();
            let command = command(attempt, &circle);
            match circle.give(command) {
                Err(_) => prop_assert_eq!(&circle.seance, &before, "a refusal changed it"),
                Ok(events) if events.is_empty() => prop_assert_eq!(&circle.seance, &before),
                Ok(_) => {}
            }
            check_laws(&circle)?;
        }
    }

    #[test]
    fn doing_what_the_effects_say_comes_to_rest_when_nobody_asks(
        setup in any_setup(), texts in prop::collection::vec(any_text(), 1..8),
    ) {
        let mut circle = Circle::open(setup.clone());
        circle.come("ada");
        circle.ask(Member(0), "Who are you?");
        let mut steps = 0usize;
        loop {
            let effects = circle.seance.effects();
            let Some(effect) = effects.first() else { break };
            let text = texts[steps % texts.len()].clone();
            match *effect {
                Effect::Speak { line, .. } => {
                    circle.must(Command::Say {
                        line, text, language: "en".into(), inner: None, tongue: Tongue::Own });
                }
                Effect::Voice { line, .. } => {
                    circle.now += 300;
                    circle.must(Command::Heard { by: None, line, words: u32::MAX });
                    circle.must(Command::Tick);
                }
                Effect::Wait { until } => {
                    prop_assert!(until >= circle.now, "it waits for the past");
                    circle.now = until;
                    prop_assert!(!circle.must(Command::Tick).is_empty(), "nothing was due");
                }
            }
            check_laws(&circle)?;
            steps += 1;
            prop_assert!(steps < 500, "it never comes to rest");
        }
        prop_assert_eq!(circle.seance.sitters().count(), 0);
    }

    #[test]
    fn a_log_of_arbitrary_events_never_panics(
        events in prop::collection::vec((any_event(), any::<u64>()), 0..60),
    ) {
        let mut seance = Seance::default();
        seance.apply(0, &Event::Opened { setup: Setup::default() });
        for (event, at) in events {
            seance.apply(at, &event);
            seance.effects();
            seance.shown(Viewer::Watcher, &event);
            let unheard = seance.effects().iter()
                .filter(|effect| matches!(effect, Effect::Voice { .. })).count();
            prop_assert!(unheard <= AHEAD);
        }
    }

    #[test]
    fn an_event_is_read_as_it_was_written(event in any_event()) {
        let text = serde_json::to_string(&event).expect("json");
        prop_assert_eq!(serde_json::from_str::<Event>(&text).expect("json"), event);
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    let member = || (0u32..4).prop_map(Member);
    let number = || 0u32..5;
    prop_oneof![
        (member(), prop::option::of("[a-c]")).prop_map(|(member, key)| Event::Came { member, key }),
        member().prop_map(|member| Event::Sat { member }),
        member().prop_map(|member| Event::Left {
            member,
            why: Leaving::Away
        }),
        (member(), number()).prop_map(|(member, utterance)| Event::Listening { member, utterance }),
        (member(), number()).prop_map(|(member, utterance)| Event::Unheard { member, utterance }),
        (number(), member()).prop_map(|(question, member)| Event::Asked {
            question,
            member,
            put: Put::Typed,
            text: "?".into(),
            language: "en".into(),
            inner: None,
            seed: 1,
            seed_from: SeedFrom::Dice,
        }),
        (0u32..12, number(), number(), "[a-z ]{0,9}").prop_map(|(line, question, part, text)| {
            Event::Said {
                line,
                question,
                part,
                text,
                language: "en".into(),
                inner: None,
                tongue: Tongue::NotSpoken,
            }
        }),
        (0u32..12, number(), number()).prop_map(|(line, question, part)| Event::Silence {
            line,
            question,
            part,
            why: Hush::Failed
        }),
        (0u32..12, any::<u32>()).prop_map(|(line, words)| Event::Heard { line, words }),
        Just(Event::PauseOver),
        member().prop_map(|member| Event::Hushed { member }),
    ]
}
