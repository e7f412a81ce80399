//! A game with its log, and dice that fall as they are told.

use parlour::play::{
    Dice, UnixMillis,
    imitation::{
        Command, Event, Game, Grounds, Kind, Mode, Refusal, Rules, Seat, Verdict, rebuild,
    },
};

/// Dice whose throws are told beforehand, over and over.
#[derive(Clone)]
pub struct Loaded(pub Vec<u32>, pub usize);

impl Dice for Loaded {
    fn throw(&mut self, sides: u32) -> u32 {
        let throw = self.0[self.1 % self.0.len()] % sides;
        self.1 += 1;
        throw
    }
}

pub fn dice(first: u32) -> Loaded {
    Loaded(vec![first, 7, 11], 0)
}

pub fn rules(kind: Kind, mode: Mode) -> Rules {
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

pub fn verdict(decision: Seat, confidence: u8) -> Verdict {
    Verdict {
        reasoning: "only the judge's reasoning says 'umbrella'".into(),
        decision,
        confidence,
        grounds: Grounds::default(),
    }
}

/// A game with its log, as a room keeps them.
#[derive(Clone, Default)]
pub struct Table {
    pub game: Game,
    pub log: Vec<(UnixMillis, Event)>,
}

impl Table {
    pub fn open(rules: Rules, player_seat: Seat) -> Self {
        let mut table = Self::default();
        let throw = u32::from(player_seat == Seat::B);
        table
            .give_with(
                Command::Open {
                    key: String::new(),
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

    pub fn give_with(
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

    pub fn give(&mut self, command: Command, now: UnixMillis) -> Result<Vec<Event>, Refusal> {
        self.give_with(command, now, &mut dice(0))
    }

    pub fn ask(&mut self, round: u32, now: UnixMillis) {
        self.give(
            Command::Ask {
                round,
                text: "What is in your pockets?".into(),
            },
            now,
        )
        .expect("the judge may ask");
    }

    pub fn both_answer(&mut self, round: u32, now: UnixMillis) {
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

    pub fn round(&mut self, decision: Seat, confidence: u8) -> Vec<Event> {
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

    pub fn replayed(&self) -> Game {
        rebuild(self.log.iter().map(|(at, event)| (*at, event)))
    }
}

/// The event as anybody may see it at last: whose session it is is never shown.
pub fn without_key(event: &Event) -> Event {
    let mut event = event.clone();
    if let Event::Opened { key, .. } = &mut event {
        *key = None;
    }
    event
}
