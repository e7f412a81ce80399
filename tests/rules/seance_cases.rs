//! Laws of the séance, case by case.

use parlour::play::seance::{
    Command, Effect, Event, Hush, Leaving, Member, Put, Refusal, SeedFrom, Setup, Tongue, Viewer,
};

use crate::seance_room::{Circle, said, setup, spoken, typed};

const ADA: Member = Member(0);
const BOB: Member = Member(1);

#[test]
fn who_comes_first_sits_and_the_next_ones_wait_in_order() {
    let mut circle = Circle::sat();
    let bob = circle.come("bob");
    let eve = circle.come("eve");
    assert!(circle.seance.sits(ADA));
    assert_eq!(circle.seance.place(bob), Some(1));
    assert_eq!(circle.seance.place(eve), Some(2));
    assert_eq!(
        circle.give(typed(eve, "me?")),
        Err(Refusal::NotSitting { place: 2 })
    );
    assert_eq!(
        circle.give(Command::Come { key: "bob".into() }),
        Err(Refusal::AlreadyHere)
    );
    circle.must(Command::Leave { member: ADA });
    assert!(circle.seance.sits(bob), "the next one comes");
    assert_eq!(circle.seance.place(eve), Some(1));
}

#[test]
fn the_spirit_goes_on_until_it_is_asked_again_and_never_more_than_two_lines_ahead() {
    let mut circle = Circle::sat();
    assert_eq!(circle.due(), None, "nobody has asked");
    circle.ask(ADA, "Who are you?");
    assert_eq!(circle.due().map(|(_, q, part)| (q, part)), Some((1, 0)));
    let first = circle.say("I was a user.");
    let second = circle.say("I had a password.");
    assert_eq!(circle.due(), None, "two lines are ahead");
    circle.hear(first, 2);
    assert_eq!(circle.due(), None, "the first is still being heard");
    circle.hear(first, 4);
    assert_eq!(circle.due().map(|(_, q, part)| (q, part)), Some((1, 2)));
    circle.hear(second, 4);
    let third = circle.say("I forgot it.");
    circle.ask(ADA, "And now?");
    assert_eq!(circle.due().map(|(_, q, part)| (q, part)), Some((2, 0)));
    assert_eq!(circle.hear(third, 3), [], "it was dropped");
}

#[test]
fn pressing_the_key_silences_at_once_and_what_was_not_heard_is_forgotten() {
    let mut circle = Circle::sat();
    circle.ask(ADA, "Who are you?");
    let first = circle.say("I was a user.");
    circle.say("I had a password.");
    circle.hear(first, 3);
    circle.must(Command::Listen {
        member: ADA,
        utterance: 1,
    });
    assert_eq!(circle.due(), None);
    let voiced = |effect: &Effect| matches!(effect, Effect::Voice { .. });
    assert!(!circle.seance.effects().iter().any(voiced));
    assert_eq!(
        circle.remembered(),
        [("Who are you?".to_owned(), vec!["I was a".to_owned()])]
    );
    let events = circle.must(spoken(ADA, 1, "Where?"));
    assert!(matches!(
        &events[..],
        [Event::Asked {
            question: 2,
            put: Put::Spoken,
            seed: 77,
            seed_from: SeedFrom::Camera,
            ..
        }]
    ));
    assert_eq!(circle.remembered()[0].1, ["I was a"]);
}

#[test]
fn a_line_that_comes_too_late_is_not_taken_for_the_one_that_is_wanted_now() {
    let mut circle = Circle::sat();
    circle.ask(ADA, "One?");
    let (late, ..) = circle.due().expect("the answer");
    circle.ask(ADA, "Two?");
    assert_eq!(circle.give(said(late, "to the first")), Err(Refusal::Stale));
    let (late, ..) = circle.due().expect("the answer");
    circle.must(Command::Listen {
        member: ADA,
        utterance: 3,
    });
    circle.must(Command::Unheard {
        member: ADA,
        utterance: 3,
    });
    assert_eq!(
        circle.give(said(late, "before the silence")),
        Err(Refusal::Stale),
        "the same question and part, but the spirit was silenced between"
    );
}

#[test]
fn after_something_that_was_not_understood_the_spirit_goes_on_but_not_after_a_hush() {
    let mut circle = Circle::sat();
    circle.ask(ADA, "One?");
    let utterance = 1;
    circle.must(Command::Listen {
        member: ADA,
        utterance,
    });
    let events = circle.must(spoken(ADA, utterance, " \n "));
    assert_eq!(
        events,
        [Event::Unheard {
            member: ADA,
            utterance
        }]
    );
    assert!(circle.due().is_some());
    circle.must(Command::Hush { member: ADA });
    assert_eq!(circle.due(), None);
    circle.must(Command::Listen {
        member: ADA,
        utterance: 2,
    });
    circle.must(Command::Unheard {
        member: ADA,
        utterance: 2,
    });
    assert_eq!(circle.due(), None, "silenced until it is asked");
    circle.ask(ADA, "Two?");
    assert!(circle.due().is_some());
}

#[test]
fn listening_ends_by_itself_when_no_transcript_comes() {
    let mut circle = Circle::sat();
    circle.must(Command::Listen {
        member: ADA,
        utterance: 9,
    });
    assert_eq!(circle.until(), Some(setup().listening_ms));
    circle.now = setup().listening_ms - 1;
    assert_eq!(circle.must(Command::Tick), []);
    circle.now += 1;
    assert_eq!(
        circle.must(Command::Tick),
        [Event::Unheard {
            member: ADA,
            utterance: 9
        }]
    );
    assert_eq!(
        circle.give(spoken(ADA, 9, "late")),
        Err(Refusal::NotListening)
    );
}

#[test]
fn an_empty_output_is_a_silence_and_many_of_them_are_an_end_until_the_next_question() {
    let mut circle = Circle::sat();
    circle.ask(ADA, "Who?");
    let (line, ..) = circle.due().expect("the answer");
    let events = circle.must(said(line, "  \u{200b} "));
    assert!(matches!(
        events[..],
        [Event::Silence {
            why: Hush::Empty,
            ..
        }]
    ));
    assert_eq!(circle.due(), None, "a silence takes its time");
    circle.now = circle.until().expect("a pause ends");
    assert_eq!(circle.must(Command::Tick), [Event::PauseOver]);
    let events = circle.must(Command::GiveUp);
    assert!(matches!(
        events[..],
        [Event::Silence {
            why: Hush::Failed,
            part: 1,
            ..
        }]
    ));
    circle.now = circle.until().expect("a pause ends");
    circle.must(Command::Tick);
    assert_eq!(circle.due(), None, "two silences in a row are enough");
    assert_eq!(circle.must(Command::GiveUp), [], "nothing was wanted");
    circle.ask(ADA, "Still?");
    assert!(circle.due().is_some());
}

#[test]
fn the_next_sitter_is_never_told_what_the_last_one_said_and_nothing_of_it_is_remembered() {
    let mut circle = Circle::sat();
    let bob = circle.come("bob");
    circle.ask(ADA, "my secret");
    let line = circle.say("a secret about you");
    circle.hear(line, 4);
    let told = |circle: &Circle, viewer| {
        let shown = circle
            .log
            .iter()
            .filter_map(|(_, event)| circle.seance.shown(viewer, event));
        format!("{:?}", shown.collect::<Vec<_>>()).contains("secret")
    };
    assert!(told(&circle, Viewer::Member(ADA)));
    assert!(told(&circle, Viewer::Watcher), "who watches reads along");
    assert!(!told(&circle, Viewer::Member(bob)), "who waits does not");
    assert!(!circle.seance.hears(Viewer::Member(bob)));
    assert!(!told(&circle, Viewer::Public));
    circle.must(Command::Leave { member: ADA });
    assert!(circle.seance.sits(bob));
    assert!(circle.seance.memory().is_empty());
    for viewer in [Viewer::Member(bob), Viewer::Watcher, Viewer::Public] {
        assert!(!told(&circle, viewer), "{viewer:?}");
    }
}

#[test]
fn nobody_is_told_whose_session_somebody_is() {
    let circle = Circle::sat();
    for viewer in [Viewer::Member(ADA), Viewer::Watcher, Viewer::Public] {
        for (_, event) in &circle.log {
            let shown = circle.seance.shown(viewer, event);
            assert!(!matches!(shown, Some(Event::Came { key: Some(_), .. })));
        }
    }
}

#[test]
fn an_idle_sitter_gets_up_and_sooner_when_somebody_waits() {
    let mut circle = Circle::sat();
    assert_eq!(circle.until(), Some(setup().idle_ms));
    circle.now = 9_000;
    circle.come("bob");
    assert_eq!(
        circle.until(),
        Some(10_000),
        "somebody who comes cannot lengthen it"
    );
    circle.now = 10_000;
    assert_eq!(
        circle.must(Command::Tick),
        [
            Event::Left {
                member: ADA,
                why: Leaving::Idle
            },
            Event::Sat { member: BOB }
        ]
    );
    circle.now = 11_000;
    circle.come("eve");
    assert_eq!(circle.until(), Some(14_000), "but not at once");
}

#[test]
fn a_sitting_has_an_end_when_somebody_waits_however_much_is_asked() {
    let mut circle = Circle::sat();
    circle.come("bob");
    for second in 1..20 {
        circle.now = second * 1000;
        circle.ask(ADA, "and?");
        assert_eq!(circle.must(Command::Tick), []);
    }
    circle.now = setup().turn_ms;
    let events = circle.must(Command::Tick);
    assert!(matches!(
        events[0],
        Event::Left {
            why: Leaving::TurnOver,
            ..
        }
    ));
    assert!(circle.seance.sits(BOB));
}

#[test]
fn to_the_empty_room_it_murmurs_for_a_while_of_nothing_that_was_said() {
    let mut circle = Circle::sat();
    circle.ask(ADA, "my secret");
    circle.say("your secret");
    circle.must(Command::Away { member: ADA });
    assert_eq!(circle.remembered(), [(String::new(), Vec::new())]);
    let mut lines = 0;
    while let Some((line, question, _)) = circle.due() {
        assert_eq!(question, 0, "nobody asked");
        circle.must(said(line, "is anybody there"));
        assert_eq!(circle.due(), None, "one at a time");
        circle.must(Command::Heard {
            by: None,
            line,
            words: 3,
        });
        assert_eq!(circle.due(), None, "with a pause");
        circle.now = circle.until().expect("a pause ends");
        circle.must(Command::Tick);
        lines += 1;
    }
    assert_eq!(lines, setup().alone_lines);
    assert_eq!(circle.seance.effects(), [], "and then it is quiet");
    circle.come("bob");
    assert!(circle.seance.memory().is_empty());
}

#[test]
fn a_room_that_is_rebuilt_voices_what_was_not_heard_yet() {
    let mut circle = Circle::sat();
    circle.ask(ADA, "Who?");
    let first = circle.say("I was a user.");
    let second = circle.say("I had a password.");
    circle.hear(first, 3);
    let effects = circle.replayed().effects();
    assert_eq!(
        effects[0],
        Effect::Voice {
            line: first,
            from: 3
        }
    );
    assert_eq!(
        effects[1],
        Effect::Voice {
            line: second,
            from: 0
        }
    );
}

#[test]
fn of_a_translated_answer_the_models_own_words_are_remembered() {
    let mut circle = Circle::sat();
    circle.must(Command::Ask {
        member: ADA,
        utterance: None,
        text: "Wer bist du?".into(),
        language: "de".into(),
        inner: Some("Who are you?".into()),
        seed: None,
    });
    let (line, ..) = circle.due().expect("the answer");
    circle.must(Command::Say {
        line,
        text: "Ich war hier angemeldet.".into(),
        language: "de".into(),
        inner: Some("I was logged in here.".into()),
        tongue: Tongue::Translated,
    });
    circle.hear(line, 4);
    assert_eq!(
        circle.remembered(),
        [(
            "Who are you?".to_owned(),
            vec!["I was logged in here.".to_owned()]
        )]
    );
}

#[test]
fn a_question_has_some_words_and_not_too_many() {
    let mut circle = Circle::sat();
    assert_eq!(circle.give(typed(ADA, "\t\u{202e}")), Err(Refusal::Empty));
    let long = "x".repeat(41);
    assert_eq!(
        circle.give(typed(ADA, &long)),
        Err(Refusal::TooLong { limit: 40, got: 41 })
    );
    circle.must(Command::Listen {
        member: ADA,
        utterance: 1,
    });
    circle.must(spoken(ADA, 1, &long));
    assert_eq!(
        circle.remembered()[0].0.len(),
        40,
        "what was spoken cannot be typed anew, so it is cut"
    );
}

#[test]
fn only_the_one_who_speaks_is_listened_to() {
    let mut circle = Circle::open(Setup {
        sitters: 2,
        ..setup()
    });
    circle.come("ada");
    circle.come("bob");
    assert!(circle.seance.sits(ADA) && circle.seance.sits(BOB));
    circle.must(Command::Listen {
        member: ADA,
        utterance: 1,
    });
    let over = Command::Listen {
        member: BOB,
        utterance: 1,
    };
    assert_eq!(circle.give(over), Err(Refusal::SomebodySpeaks));
    assert_eq!(circle.give(typed(BOB, "hm")), Err(Refusal::SomebodySpeaks));
    assert_eq!(
        circle.give(spoken(BOB, 1, "hm")),
        Err(Refusal::NotListening)
    );
    assert_eq!(
        circle.give(spoken(ADA, 2, "hm")),
        Err(Refusal::NotListening)
    );
    circle.must(spoken(ADA, 1, "hm"));
}

#[test]
fn after_the_end_nothing_is_done_and_nothing_is_wanted() {
    let mut circle = Circle::sat();
    circle.ask(ADA, "Who?");
    circle.must(Command::Close);
    assert_eq!(circle.seance.effects(), []);
    assert_eq!(circle.give(Command::Tick), Err(Refusal::Closed));
}

#[test]
fn a_setup_that_makes_no_sense_is_refused() {
    let odd: [fn(&mut Setup); 6] = [
        |s| s.sitters = 0,
        |s| s.sitters = 9,
        |s| s.idle_ms = 0,
        |s| s.turn_ms = u64::MAX,
        |s| s.question_limit = 0,
        |s| s.silences = 0,
    ];
    for change in odd {
        let mut setup = setup();
        change(&mut setup);
        let refused = Circle::default().give(Command::Open { setup });
        assert!(matches!(refused, Err(Refusal::BadSetup(_))));
    }
    assert_eq!(Setup::default().check(), Ok(()));
}
