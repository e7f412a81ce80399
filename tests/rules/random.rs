//! Laws that hold in random games of random commands.

use parlour::play::{
    UnixMillis,
    imitation::{Command, Effect, Ending, Event, Game, Kind, Mode, Refusal, Rules, Seat},
};
use proptest::prelude::*;

use crate::table::{Loaded, Table, dice, rules, verdict, without_key};

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Direct), Just(Kind::Inverse)]
}

fn any_mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Blind), Just(Mode::Explanatory)]
}

fn any_seat() -> impl Strategy<Value = Seat> {
    prop_oneof![Just(Seat::A), Just(Seat::B)]
}

prop_compose! {
    fn any_rules()(
        kind in any_kind(),
        mode in any_mode(),
        round_cap in 1u32..5,
        abstain_below in 50u8..=80,
        more in 0u8..=20,
        idle_limit_ms in 1u64..5_000,
        answer_limit in 1u32..30,
    ) -> Rules {
        Rules {
            kind, mode, round_cap, abstain_below, confident_at: abstain_below + more,
            idle_limit_ms, answer_limit,
        }
    }
}

/// What somebody tries; rounds are named relative to the true one.
#[derive(Clone, Debug)]
enum Try {
    Open(Rules),
    Ask(i32, String),
    Player(i32, String),
    Bot(i32, String),
    Judge(i32, Seat, u8),
    Stop,
    Tick,
    GiveUp,
    /// The next thing that the effects ask for, so that games also get somewhere.
    Onward(String, Seat, u8),
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z ]{1,20}\\?",
        1 => ".{0,40}",
        1 => "[ \\n\\t\\x00\\u{200b}\\u{202e}]{0,5}",
    ]
}

fn any_try() -> impl Strategy<Value = Try> {
    let off = prop_oneof![5 => Just(0i32), 1 => -2i32..3];
    prop_oneof![
        1 => any_rules().prop_map(Try::Open),
        3 => (off.clone(), any_text()).prop_map(|(r, t)| Try::Ask(r, t)),
        3 => (off.clone(), any_text()).prop_map(|(r, t)| Try::Player(r, t)),
        3 => (off.clone(), any_text()).prop_map(|(r, t)| Try::Bot(r, t)),
        3 => (off, any_seat(), 0u8..=255).prop_map(|(r, s, c)| Try::Judge(r, s, c)),
        12 => (any_text(), any_seat(), 50u8..=100).prop_map(|(t, s, c)| Try::Onward(t, s, c)),
        2 => Just(Try::Tick),
        1 => prop_oneof![20 => Just(Try::Tick), 1 => Just(Try::Stop), 1 => Just(Try::GiveUp)],
    ]
}

fn command(attempt: Try, game: &Game) -> Command {
    let named = |off: i32| game.round().saturating_add_signed(off);
    match attempt {
        Try::Open(rules) => Command::Open {
            key: String::new(),
            rules,
            player: "Eve".into(),
        },
        Try::Ask(off, text) => Command::Ask {
            round: named(off),
            text,
        },
        Try::Player(off, text) => Command::PlayerAnswers {
            round: named(off),
            text,
        },
        Try::Bot(off, text) => Command::BotAnswers {
            round: named(off),
            text,
        },
        Try::Judge(off, seat, confidence) => Command::Judge {
            round: named(off),
            verdict: verdict(seat, confidence),
        },
        Try::Stop => Command::Stop,
        Try::Tick => Command::Tick,
        Try::GiveUp => Command::GiveUp,
        Try::Onward(text, seat, confidence) => match game.effects().last() {
            Some(Effect::AskQuestion { round }) => Command::Ask {
                round: *round,
                text,
            },
            Some(Effect::AskBot { round }) => Command::BotAnswers {
                round: *round,
                text,
            },
            Some(Effect::AskVerdict { round }) => Command::Judge {
                round: *round,
                verdict: verdict(seat, confidence),
            },
            Some(Effect::WaitForPlayer { .. }) | None => Command::PlayerAnswers {
                round: game.round(),
                text,
            },
        },
    }
}

fn is_end(event: &Event) -> bool {
    matches!(event, Event::Ended { .. })
}

/// Checks everything that must hold after any command.
fn check_laws(table: &Table) -> Result<(), TestCaseError> {
    let game = &table.game;
    let replayed = table.replayed();
    prop_assert_eq!(&replayed, game, "replaying the log gives another game");
    prop_assert_eq!(replayed.effects(), game.effects());
    let begun = game.rules().is_some();
    prop_assert_eq!(
        game.effects().is_empty(),
        !begun || game.is_over(),
        "a running game always waits for somebody"
    );
    if let Some(rules) = game.rules() {
        prop_assert!(game.rounds().len() <= rules.round_cap as usize);
    }
    if game.is_over() {
        let last = table.log.last().map(|(_, event)| event);
        prop_assert!(last.is_some_and(is_end), "events after the end");
    }
    let ends = table.log.iter().filter(|(_, event)| is_end(event)).count();
    prop_assert!(ends <= 1, "a game ends once");
    for (place, (_, event)) in table.log.iter().enumerate() {
        prop_assert_eq!(place == 0, matches!(event, Event::Opened { .. }));
        let shown = game.shown(event);
        let keyless = without_key(event);
        if let Some(Event::Opened { key, .. }) = &shown {
            prop_assert_eq!(key, &None, "whose session it is is never shown");
        }
        if game.is_over() {
            prop_assert_eq!(
                shown.as_ref(),
                Some(&keyless),
                "everything is shown at the end"
            );
            continue;
        }
        let blind = game.rules().is_some_and(|rules| rules.mode == Mode::Blind);
        let hidden = match event {
            Event::Answered { seat, .. } => blind && Some(*seat) == game.bot_seat(),
            Event::Judged { .. } => blind,
            _ => false,
        };
        prop_assert_eq!(shown.is_none(), hidden);
        if let Some(Event::Opened { seed, .. }) = shown {
            prop_assert_eq!(seed, None, "the seed is a secret until the end");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_game_of_any_commands_stays_lawful_and_can_be_rebuilt(
        rules in any_rules(),
        throws in prop::collection::vec(any::<u32>(), 1..5),
        tries in prop::collection::vec((any_try(), -3_000i64..3_000), 1..80),
    ) {
        let mut dice = Loaded(throws, 0);
        let mut table = Table::default();
        let mut now: UnixMillis = 10_000;
        prop_assert_eq!(
            table.give_with(Command::Tick, now, &mut dice), Err(Refusal::NotOpen));
        table.give_with(Command::Open { rules, player: "Ada".into(), key: "k".into() }, now, &mut dice)
            .expect("generated rules are lawful");
        for (attempt, jump) in tries {
            now = now.saturating_add_signed(jump);
            let before = table.clone();
            let command = command(attempt, &table.game);
            match table.give_with(command, now, &mut dice) {
                Err(_) => prop_assert_eq!(&table.game, &before.game, "a refusal changed the game"),
                Ok(events) => {
                    prop_assert!(!before.game.is_over(), "a finished game went on");
                    if events.is_empty() {
                        prop_assert_eq!(&table.game, &before.game);
                    }
                    for event in events {
                        prop_assert!(
                            !matches!(event, Event::Ended { ending: Ending::Idle, .. })
                                || before.game.player_due().is_some_and(|due| now >= due),
                            "a player was let go before the time"
                        );
                    }
                }
            }
            check_laws(&table)?;
        }
    }

    #[test]
    fn doing_what_the_effects_say_ends_every_game(
        rules in any_rules(),
        seats in prop::collection::vec((any_seat(), 50u8..=100), 5),
        throw in any::<u32>(),
    ) {
        let mut table = Table::default();
        table.give_with(Command::Open { rules: rules.clone(), player: "Ada".into(), key: "k".into() }, 0, &mut dice(throw))
            .expect("generated rules are lawful");
        let mut steps = 0;
        while !table.game.is_over() {
            let (seat, confidence) = seats[steps % seats.len()];
            let next = command(Try::Onward("a".into(), seat, confidence), &table.game);
            prop_assert!(!table.give(next, 0).expect("an effect may be done").is_empty());
            check_laws(&table)?;
            steps += 1;
            prop_assert!(steps <= 4 * rules.round_cap as usize, "the game never ends");
        }
        prop_assert!(table.game.outcome().is_some());
    }

    #[test]
    fn a_log_of_arbitrary_events_never_panics(
        order in prop::collection::vec((0usize..6, 0u32..4, any_seat(), any::<u64>()), 0..40),
    ) {
        let mut game = Game::default();
        for (what, round, seat, at) in order {
            let event = match what {
                0 => Event::Opened {
                    rules: rules(Kind::Direct, Mode::Blind), player: "x".into(), player_seat: seat, seed: None,
                    key: None },
                1 => Event::Asked { round, text: "?".into() },
                2 | 3 => Event::Answered { round, seat, text: "y".into() },
                4 => Event::Judged { round, verdict: verdict(seat, 255) },
                _ => Event::Ended { ending: Ending::Stopped, outcome: None },
            };
            game.apply(at, &event);
            game.effects();
            game.player_due();
        }
    }
}
