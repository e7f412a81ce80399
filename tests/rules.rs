//! Laws of the imitation game, over random games of random commands.

use parlour::play::{
    Dice, UnixMillis,
    imitation::{
        Command, Effect, Ending, Event, Game, Grounds, Kind, Mode, Refusal, Rules, Seat, Verdict,
        Winner, rebuild,
    },
};
use proptest::prelude::*;

/// Dice whose throws are told beforehand, over and over.
#[derive(Clone)]
struct Loaded(Vec<u32>, usize);

impl Dice for Loaded {
    fn throw(&mut self, sides: u32) -> u32 {
        let throw = self.0[self.1 % self.0.len()] % sides;
        self.1 += 1;
        throw
    }
}

fn dice(first: u32) -> Loaded {
    Loaded(vec![first, 7, 11], 0)
}

fn rules(kind: Kind, mode: Mode) -> Rules {
    Rules {
        kind,
        mode,
        round_cap: 3,
        confident_at: 90,
        abstain_below: 60,
        idle_limit_ms: 1000,
        answer_limit: 20,
    }
}

fn verdict(decision: Seat, confidence: u8) -> Verdict {
    Verdict {
        reasoning: "only the judge's reasoning says 'umbrella'".into(),
        decision,
        confidence,
        grounds: Grounds::default(),
    }
}

/// A game with its log, as a room keeps them.
#[derive(Clone, Default)]
struct Table {
    game: Game,
    log: Vec<(UnixMillis, Event)>,
}

impl Table {
    fn open(rules: Rules, player_seat: Seat) -> Self {
        let mut table = Self::default();
        let throw = u32::from(player_seat == Seat::B);
        table
            .give_with(
                Command::Open {
                    rules,
                    player: "Ada".into(),
                },
                0,
                &mut dice(throw),
            )
            .expect("lawful rules");
        assert_eq!(table.game.player_seat(), Some(player_seat));
        table
    }

    fn give_with(
        &mut self,
        command: Command,
        now: UnixMillis,
        dice: &mut dyn Dice,
    ) -> Result<Vec<Event>, Refusal> {
        let events = self.game.decide(command, now, dice)?;
        for event in &events {
            self.game.apply(now, event);
            self.log.push((now, event.clone()));
        }
        Ok(events)
    }

    fn give(&mut self, command: Command, now: UnixMillis) -> Result<Vec<Event>, Refusal> {
        self.give_with(command, now, &mut dice(0))
    }

    fn ask(&mut self, round: u32, now: UnixMillis) {
        self.give(
            Command::Ask {
                round,
                text: "What is in your pockets?".into(),
            },
            now,
        )
        .expect("the judge may ask");
    }

    fn both_answer(&mut self, round: u32, now: UnixMillis) {
        let text = "nothing".to_owned();
        self.give(
            Command::BotAnswers {
                round,
                text: text.clone(),
            },
            now,
        )
        .expect("the bot may answer");
        self.give(Command::PlayerAnswers { round, text }, now)
            .expect("the player may answer");
    }

    fn round(&mut self, decision: Seat, confidence: u8) -> Vec<Event> {
        let round = self.game.round();
        self.ask(round, 0);
        self.both_answer(round, 0);
        self.give(
            Command::Judge {
                round,
                verdict: verdict(decision, confidence),
            },
            0,
        )
        .expect("the judge may judge")
    }

    fn replayed(&self) -> Game {
        rebuild(self.log.iter().map(|(at, event)| (*at, event)))
    }
}

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
        if game.is_over() {
            prop_assert_eq!(
                shown.as_ref(),
                Some(event),
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
        table.give_with(Command::Open { rules, player: "Ada".into() }, now, &mut dice)
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
        table.give_with(Command::Open { rules: rules.clone(), player: "Ada".into() }, 0, &mut dice(throw))
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
                    rules: rules(Kind::Direct, Mode::Blind), player: "x".into(), player_seat: seat, seed: None },
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
                .all(|(_, event)| table.game.shown(event).as_ref() == Some(event))
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
    }
}
