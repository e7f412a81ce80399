//! Laws shown in the games where they matter.

use parlour::play::{
    UnixMillis,
    imitation::{Command, Effect, Ending, Event, Kind, Mode, Refusal, Rules, Seat, Winner},
};

use crate::table::{Table, dice, rules, without_key};

#[test]
fn in_blind_mode_the_player_may_answer_before_the_bot() {
    let mut table = Table::open(rules(Kind::Direct, Mode::Blind), Seat::A);
    table.ask(1, 0);
    assert_eq!(
        table.game.effects(),
        [
            Effect::AskBot { round: 1 },
            Effect::WaitForPlayer { until: 1000 }
        ]
    );
    let text = "yes".to_owned();
    table
        .give(Command::PlayerAnswers { round: 1, text }, 5)
        .expect("the player may answer first");
    assert_eq!(table.game.effects(), [Effect::AskBot { round: 1 }]);
}

#[test]
fn in_explanatory_mode_the_player_answers_after_seeing_the_bots_answer() {
    let mut table = Table::open(rules(Kind::Direct, Mode::Explanatory), Seat::A);
    table.ask(1, 0);
    assert_eq!(table.game.effects(), [Effect::AskBot { round: 1 }]);
    let early = Command::PlayerAnswers {
        round: 1,
        text: "yes".into(),
    };
    assert_eq!(table.give(early.clone(), 5), Err(Refusal::NotYourTurn));
    let text = "no".to_owned();
    let said = table
        .give(Command::BotAnswers { round: 1, text }, 700)
        .expect("the bot may answer");
    assert_eq!(table.game.shown(&said[0]), Some(said[0].clone()));
    // The clock starts with the player's turn, not with the question.
    assert_eq!(
        table.game.effects(),
        [Effect::WaitForPlayer { until: 1700 }]
    );
    table.give(early, 800).expect("now it is the player's turn");
    assert_eq!(table.game.effects(), [Effect::AskVerdict { round: 1 }]);
}

#[test]
fn blind_mode_hides_the_other_answer_and_the_reasoning_until_the_end() {
    for kind in [Kind::Direct, Kind::Inverse] {
        let mut table = Table::open(rules(kind, Mode::Blind), Seat::B);
        table.round(Seat::A, 70);
        let seen: Vec<Event> = table
            .log
            .iter()
            .filter_map(|(_, event)| table.game.shown(event))
            .collect();
        let bytes = format!("{seen:?}");
        assert!(!bytes.contains("umbrella") && !bytes.contains("seat: A"));
        table.give(Command::Stop, 0).expect("one may stop");
        assert!(
            table
                .log
                .iter()
                .all(|(_, event)| table.game.shown(event) == Some(without_key(event)))
        );
    }
}

#[test]
fn a_confident_judge_ends_the_game_at_once() {
    let mut table = Table::open(rules(Kind::Direct, Mode::Blind), Seat::A);
    table.round(Seat::A, 89);
    assert!(!table.game.is_over());
    table.round(Seat::A, 90);
    assert_eq!(table.game.ending(), Some(Ending::Convinced));
    let outcome = table.game.outcome().expect("judged");
    assert_eq!(outcome.winner, Winner::Player);
    assert_eq!(outcome.player_score, 90, "89.5 rounds up");
}

#[test]
fn at_the_cap_the_judge_says_or_abstains() {
    for (confidence, ending, winner) in [
        (59, Ending::Abstained, Winner::Nobody),
        (60, Ending::RoundsOver, Winner::Bot),
    ] {
        let mut table = Table::open(rules(Kind::Direct, Mode::Blind), Seat::A);
        for _ in 0..3 {
            table.round(Seat::B, confidence);
        }
        assert_eq!(table.game.ending(), Some(ending));
        let outcome = table.game.outcome().expect("judged");
        assert_eq!(outcome.winner, winner);
        assert_eq!(outcome.player_score, 100 - confidence);
    }
}

#[test]
fn in_an_inverse_game_the_player_wins_by_being_taken_for_the_machine() {
    for (decision, winner, score) in [
        (Seat::B, Winner::Player, 95), // The bot is taken for the person.
        (Seat::A, Winner::Bot, 5),
    ] {
        let mut table = Table::open(rules(Kind::Inverse, Mode::Blind), Seat::A);
        table.round(decision, 95);
        let outcome = table.game.outcome().expect("judged");
        assert_eq!((outcome.winner, outcome.player_score), (winner, score));
    }
}

#[test]
fn only_a_judge_gives_an_outcome() {
    for (command, ending) in [
        (Command::Stop, Ending::Stopped),
        (Command::GiveUp, Ending::Broken),
    ] {
        let mut table = Table::open(rules(Kind::Direct, Mode::Blind), Seat::A);
        table.round(Seat::A, 70);
        table.give(command, 0).expect("any time");
        assert_eq!(table.game.ending(), Some(ending));
        assert_eq!(table.game.outcome(), None);
    }
}

#[test]
fn a_player_is_let_go_when_due_and_no_earlier_whatever_the_clock_does() {
    let mut table = Table::open(rules(Kind::Direct, Mode::Blind), Seat::A);
    assert_eq!(table.give(Command::Tick, 99_999), Ok(vec![]), "not due yet");
    table.ask(1, 5_000);
    for early in [5_000, 5_999, 0] {
        assert_eq!(table.give(Command::Tick, early), Ok(vec![]));
    }
    table
        .give(Command::Tick, 6_000)
        .expect("a tick is always lawful");
    assert_eq!(table.game.ending(), Some(Ending::Idle));
    assert_eq!(table.game.outcome(), None);
}

#[test]
fn a_clock_at_the_end_of_time_does_not_overflow() {
    let mut table = Table::open(rules(Kind::Direct, Mode::Blind), Seat::A);
    table.ask(1, UnixMillis::MAX - 1);
    assert_eq!(table.game.player_due(), Some(UnixMillis::MAX));
}

#[test]
fn an_answer_is_cleaned_before_it_is_counted() {
    let mut table = Table::open(rules(Kind::Direct, Mode::Blind), Seat::A);
    table.ask(1, 0);
    let mut answer = |text: &str| {
        table.give(
            Command::PlayerAnswers {
                round: 1,
                text: text.into(),
            },
            0,
        )
    };
    assert_eq!(answer(" \n\t\u{0} \u{200B}"), Err(Refusal::Empty));
    assert_eq!(
        answer(&"ж".repeat(21)),
        Err(Refusal::TooLong { limit: 20, got: 21 })
    );
    let events = answer(&format!("  {}\r\n\u{202E}\u{7}x  ", "ж".repeat(18))).expect("20 left");
    assert_eq!(
        events,
        [Event::Answered {
            round: 1,
            seat: Seat::A,
            text: format!("{} x", "ж".repeat(18)),
        }]
    );
}

#[test]
fn nobody_answers_twice_or_for_another_round() {
    let mut table = Table::open(rules(Kind::Direct, Mode::Blind), Seat::A);
    let answer = |round| Command::PlayerAnswers {
        round,
        text: "me".into(),
    };
    assert_eq!(table.give(answer(1), 0), Err(Refusal::NotYourTurn));
    table.ask(1, 0);
    assert_eq!(
        table.give(answer(2), 0),
        Err(Refusal::WrongRound { now: 1, named: 2 })
    );
    table.give(answer(1), 0).expect("once");
    assert_eq!(table.give(answer(1), 0), Err(Refusal::AlreadyAnswered));
}

#[test]
fn rules_that_cannot_be_played_are_refused() {
    let good = rules(Kind::Direct, Mode::Blind);
    let bad: [fn(&mut Rules); 7] = [
        |r| r.round_cap = 0,
        |r| r.confident_at = 49,
        |r| r.confident_at = 101,
        |r| r.abstain_below = 49,
        |r| r.abstain_below = r.confident_at + 1,
        |r| r.idle_limit_ms = 0,
        |r| r.answer_limit = 0,
    ];
    for spoil in bad {
        let mut rules = good.clone();
        spoil(&mut rules);
        let opened = Table::default().give(
            Command::Open {
                rules,
                player: String::new(),
                key: String::new(),
            },
            0,
        );
        assert!(matches!(opened, Err(Refusal::BadRules(_))));
    }
}

#[test]
fn both_seats_are_drawn() {
    for (throw, seat) in [(0, Seat::A), (1, Seat::B)] {
        let mut table = Table::default();
        let events = table
            .give_with(
                Command::Open {
                    rules: rules(Kind::Direct, Mode::Blind),
                    player: " Ada\n".into(),
                    key: "k".into(),
                },
                0,
                &mut dice(throw),
            )
            .expect("lawful rules");
        let Event::Opened {
            player,
            player_seat,
            seed,
            ..
        } = &events[0]
        else {
            panic!("a game begins with its opening");
        };
        assert_eq!((player.as_str(), *player_seat), ("Ada", seat));
        assert_eq!(*seed, Some((7 << 16) | 11));
        assert_eq!(table.game.bot_seat(), Some(seat.other()));
        let known = matches!(&events[0], Event::Opened { key: Some(key), .. } if key == "k");
        assert!(known, "the log knows whose game it is");
    }
}
