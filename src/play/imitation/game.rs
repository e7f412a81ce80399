//! The state of one game and the law that moves it.

use super::{
    Command, Effect, Ending, Event, Kind, Mode, Outcome, Refusal, Rules, Seat, Verdict, score,
};
use crate::play::{
    Dice, UnixMillis,
    text::{self, MACHINE_TEXT_LIMIT, cleaned},
};

/// One round as far as it has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    pub question: String,
    /// By seat: A, B.
    answers: [Option<String>; 2],
    pub verdict: Option<Verdict>,
    /// When it became the player's turn, if it has.
    turn_began: Option<UnixMillis>,
}

impl Round {
    /// What the witness in `seat` answered.
    pub fn answer(&self, seat: Seat) -> Option<&str> {
        self.answers[index(seat)].as_deref()
    }
}

/// A game that has begun.
#[derive(Clone, Debug, PartialEq)]
struct Table {
    rules: Rules,
    player: String,
    player_seat: Seat,
    seed: Option<u32>,
    rounds: Vec<Round>,
    ended: Option<(Ending, Option<Outcome>)>,
}

/// One game of imitation: everything that its events have made true.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Game {
    table: Option<Table>,
}

/// The game that `events` tell.
pub fn rebuild<'a>(events: impl IntoIterator<Item = (UnixMillis, &'a Event)>) -> Game {
    let mut game = Game::default();
    for (at, event) in events {
        game.apply(at, event);
    }
    game
}

fn index(seat: Seat) -> usize {
    match seat {
        Seat::A => 0,
        Seat::B => 1,
    }
}

impl Game {
    /// What follows from `command`, to be stored and then applied in order.
    ///
    /// No events means that the command was lawful and changed nothing (a [`Command::Tick`]
    /// too early).
    ///
    /// # Errors
    /// When the rules do not allow the command now.
    pub fn decide(
        &self,
        command: Command,
        now: UnixMillis,
        dice: &mut dyn Dice,
    ) -> Result<Vec<Event>, Refusal> {
        let Some(table) = &self.table else {
            return match command {
                Command::Open { rules, player, key } => open(rules, &player, key, dice),
                _ => Err(Refusal::NotOpen),
            };
        };
        match command {
            Command::Open { .. } => Err(Refusal::AlreadyOpen),
            _ if table.ended.is_some() => Err(Refusal::Over),
            Command::Ask { round, text } => table.ask(round, &text),
            Command::PlayerAnswers { round, text } => table.player_answers(round, &text),
            Command::BotAnswers { round, text } => table.bot_answers(round, &text),
            Command::Judge { round, verdict } => table.judge(round, verdict),
            Command::Stop => Ok(vec![ended(Ending::Stopped)]),
            Command::GiveUp => Ok(vec![ended(Ending::Broken)]),
            Command::Tick => Ok(match table.player_due() {
                Some(due) if now >= due => vec![ended(Ending::Idle)],
                _ => Vec::new(),
            }),
        }
    }

    /// Makes `event`, which happened at `at`, true.
    ///
    /// Total: an event that no lawful game holds changes nothing, so that a damaged log
    /// cannot bring the server down.
    pub fn apply(&mut self, at: UnixMillis, event: &Event) {
        match (&mut self.table, event) {
            (
                None,
                Event::Opened {
                    rules,
                    player,
                    player_seat,
                    seed,
                    key: _,
                },
            ) => {
                self.table = Some(Table {
                    rules: rules.clone(),
                    player: player.clone(),
                    player_seat: *player_seat,
                    seed: *seed,
                    rounds: Vec::new(),
                    ended: None,
                });
            }
            (Some(table), event) if table.ended.is_none() => table.apply(at, event),
            _ => {}
        }
    }

    /// What must be done next: never empty while the game runs, empty before it begins and
    /// after it ends.
    pub fn effects(&self) -> Vec<Effect> {
        self.running().map_or_else(Vec::new, Table::effects)
    }

    /// What the player may see of `event` as the game stands now; none while the mode hides
    /// it. The seed is taken out of [`Event::Opened`] until the end, the key always.
    pub fn shown(&self, event: &Event) -> Option<Event> {
        let Some(table) = &self.table else {
            return opening(event, None);
        };
        if table.ended.is_some() {
            return opening(event, table.seed).or_else(|| Some(event.clone()));
        }
        let blind = table.rules.mode == Mode::Blind;
        match event {
            Event::Answered { seat, .. } if blind && *seat != table.player_seat => None,
            Event::Judged { .. } if blind => None,
            Event::Opened { .. } => opening(event, None),
            _ => Some(event.clone()),
        }
    }

    /// The rules, once the game has begun.
    pub fn rules(&self) -> Option<&Rules> {
        self.table.as_ref().map(|table| &table.rules)
    }

    /// The player's name.
    pub fn player(&self) -> Option<&str> {
        self.table.as_ref().map(|table| table.player.as_str())
    }

    pub fn player_seat(&self) -> Option<Seat> {
        self.table.as_ref().map(|table| table.player_seat)
    }

    pub fn bot_seat(&self) -> Option<Seat> {
        self.player_seat().map(Seat::other)
    }

    /// What every random draw of the models derives from.
    pub fn seed(&self) -> Option<u32> {
        self.table.as_ref().and_then(|table| table.seed)
    }

    /// The round that is being played, from 1. While the judge thinks of a question it is
    /// the round of that question; 0 before the game begins.
    pub fn round(&self) -> u32 {
        self.table.as_ref().map_or(0, Table::round)
    }

    /// Every round that has a question, the first one first.
    pub fn rounds(&self) -> &[Round] {
        self.table.as_ref().map_or(&[], |table| &table.rounds)
    }

    pub fn is_over(&self) -> bool {
        self.ending().is_some()
    }

    /// How it ended, once it has.
    pub fn ending(&self) -> Option<Ending> {
        Some(self.table.as_ref()?.ended?.0)
    }

    /// The result, once the judge has finished the game.
    pub fn outcome(&self) -> Option<Outcome> {
        self.table.as_ref()?.ended?.1
    }

    /// When the player's time runs out; none while it is not the player's turn.
    pub fn player_due(&self) -> Option<UnixMillis> {
        self.running()?.player_due()
    }

    fn running(&self) -> Option<&Table> {
        self.table.as_ref().filter(|table| table.ended.is_none())
    }
}

/// An [`Event::Opened`] as the player may see it, with this seed.
fn opening(event: &Event, seed: Option<u32>) -> Option<Event> {
    match event {
        Event::Opened {
            rules,
            player,
            player_seat,
            seed: _,
            key: _,
        } => Some(Event::Opened {
            rules: rules.clone(),
            player: player.clone(),
            player_seat: *player_seat,
            seed,
            key: None,
        }),
        _ => None,
    }
}

fn ended(ending: Ending) -> Event {
    Event::Ended {
        ending,
        outcome: None,
    }
}

/// A machine's text as it is stored.
///
/// # Errors
/// When nothing is left of it.
fn machine_text(text: &str) -> Result<String, Refusal> {
    let clean: String = cleaned(text).chars().take(MACHINE_TEXT_LIMIT).collect();
    if clean.is_empty() {
        return Err(Refusal::Empty);
    }
    Ok(clean)
}

fn open(
    rules: Rules,
    player: &str,
    key: String,
    dice: &mut dyn Dice,
) -> Result<Vec<Event>, Refusal> {
    check(&rules)?;
    let player_seat = if dice.throw(2) == 0 { Seat::A } else { Seat::B };
    // The whole range of 32 bits does not fit in one throw of at most 2^32 - 1 sides.
    let seed = (dice.throw(1 << 16) << 16) | dice.throw(1 << 16);
    Ok(vec![Event::Opened {
        rules,
        player: cleaned(player),
        player_seat,
        seed: Some(seed),
        key: Some(key),
    }])
}

fn check(rules: &Rules) -> Result<(), Refusal> {
    let bad = |why| Err(Refusal::BadRules(why));
    let Rules {
        kind: Kind::Direct | Kind::Inverse,
        mode: Mode::Blind | Mode::Explanatory,
        round_cap,
        confident_at,
        abstain_below,
        idle_limit_ms,
        answer_limit,
    } = rules;
    if *round_cap == 0 {
        return bad("there must be at least one round");
    }
    if !(50..=100).contains(confident_at) {
        return bad("the judge's confidence is a percentage from 50 to 100");
    }
    if !(50..=100).contains(abstain_below) {
        return bad("the confidence to abstain below is a percentage from 50 to 100");
    }
    if abstain_below > confident_at {
        return bad("a judge cannot be confident and abstain at once");
    }
    if *idle_limit_ms == 0 {
        return bad("the player must have some time");
    }
    if *answer_limit == 0 {
        return bad("an answer must have room for a character");
    }
    Ok(())
}

impl Table {
    fn round(&self) -> u32 {
        let asked = u32::try_from(self.rounds.len()).unwrap_or(u32::MAX);
        if self.current().is_some() {
            asked
        } else {
            asked.saturating_add(1)
        }
    }

    /// The round that was asked and not yet judged.
    fn current(&self) -> Option<&Round> {
        self.rounds.last().filter(|round| round.verdict.is_none())
    }

    fn owes(&self, seat: Seat) -> bool {
        self.current()
            .is_some_and(|round| round.answer(seat).is_none())
    }

    fn players_turn(&self) -> bool {
        self.owes(self.player_seat)
            && (self.rules.mode == Mode::Blind || !self.owes(self.player_seat.other()))
    }

    fn player_due(&self) -> Option<UnixMillis> {
        if !self.players_turn() {
            return None;
        }
        let began = self.current()?.turn_began?;
        Some(began.saturating_add(self.rules.idle_limit_ms))
    }

    fn effects(&self) -> Vec<Effect> {
        let round = self.round();
        if self.current().is_none() {
            return vec![Effect::AskQuestion { round }];
        }
        let mut effects = Vec::with_capacity(2);
        if self.owes(self.player_seat.other()) {
            effects.push(Effect::AskBot { round });
        }
        if let Some(until) = self.player_due() {
            effects.push(Effect::WaitForPlayer { until });
        }
        if effects.is_empty() {
            effects.push(Effect::AskVerdict { round });
        }
        effects
    }

    fn named(&self, named: u32) -> Result<(), Refusal> {
        let now = self.round();
        if named == now {
            Ok(())
        } else {
            Err(Refusal::WrongRound { now, named })
        }
    }

    fn ask(&self, round: u32, text: &str) -> Result<Vec<Event>, Refusal> {
        self.named(round)?;
        if self.current().is_some() {
            return Err(Refusal::NotYourTurn);
        }
        let text = machine_text(text)?;
        Ok(vec![Event::Asked { round, text }])
    }

    fn may_answer(&self, round: u32, seat: Seat) -> Result<(), Refusal> {
        self.named(round)?;
        if self.current().is_none() {
            return Err(Refusal::NotYourTurn);
        }
        if !self.owes(seat) {
            return Err(Refusal::AlreadyAnswered);
        }
        Ok(())
    }

    fn player_answers(&self, round: u32, text: &str) -> Result<Vec<Event>, Refusal> {
        self.may_answer(round, self.player_seat)?;
        if !self.players_turn() {
            return Err(Refusal::NotYourTurn);
        }
        let text = text::line(text, self.rules.answer_limit)?;
        Ok(vec![Event::Answered {
            round,
            seat: self.player_seat,
            text,
        }])
    }

    fn bot_answers(&self, round: u32, text: &str) -> Result<Vec<Event>, Refusal> {
        let seat = self.player_seat.other();
        self.may_answer(round, seat)?;
        let text = machine_text(text)?;
        Ok(vec![Event::Answered { round, seat, text }])
    }

    fn judge(&self, round: u32, verdict: Verdict) -> Result<Vec<Event>, Refusal> {
        self.named(round)?;
        if self.current().is_none() || self.owes(Seat::A) || self.owes(Seat::B) {
            return Err(Refusal::NotYourTurn);
        }
        let verdict = Verdict {
            reasoning: cleaned(&verdict.reasoning)
                .chars()
                .take(MACHINE_TEXT_LIMIT)
                .collect(),
            confidence: verdict.confidence.clamp(50, 100),
            ..verdict
        };
        let end = self.ending_after(round, verdict.confidence).map(|ending| {
            let verdicts: Vec<&Verdict> = self
                .rounds
                .iter()
                .filter_map(|round| round.verdict.as_ref())
                .chain([&verdict])
                .collect();
            let outcome = score::outcome(
                self.rules.kind,
                self.player_seat,
                &verdicts,
                ending == Ending::Abstained,
            );
            Event::Ended { ending, outcome }
        });
        Ok([Event::Judged { round, verdict }]
            .into_iter()
            .chain(end)
            .collect())
    }

    fn ending_after(&self, round: u32, confidence: u8) -> Option<Ending> {
        if confidence >= self.rules.confident_at {
            Some(Ending::Convinced)
        } else if round < self.rules.round_cap {
            None
        } else if confidence < self.rules.abstain_below {
            Some(Ending::Abstained)
        } else {
            Some(Ending::RoundsOver)
        }
    }

    fn apply(&mut self, at: UnixMillis, event: &Event) {
        match event {
            Event::Opened { .. } => {}
            Event::Asked { round, text } => {
                if *round == self.round() && self.current().is_none() {
                    self.rounds.push(Round {
                        question: text.clone(),
                        answers: [None, None],
                        verdict: None,
                        turn_began: None,
                    });
                    self.start_turn(at);
                }
            }
            Event::Answered { round, seat, text } => {
                if *round == self.round() && self.owes(*seat) {
                    if let Some(current) = self.rounds.last_mut() {
                        current.answers[index(*seat)] = Some(text.clone());
                    }
                    self.start_turn(at);
                }
            }
            Event::Judged { round, verdict } => {
                let complete =
                    self.current().is_some() && !self.owes(Seat::A) && !self.owes(Seat::B);
                if *round == self.round()
                    && complete
                    && let Some(current) = self.rounds.last_mut()
                {
                    current.verdict = Some(verdict.clone());
                }
            }
            Event::Ended { ending, outcome } => self.ended = Some((*ending, *outcome)),
        }
    }

    /// Starts the player's clock if the turn has just come to the player.
    fn start_turn(&mut self, at: UnixMillis) {
        if self.players_turn()
            && let Some(current) = self.rounds.last_mut()
            && current.turn_began.is_none()
        {
            current.turn_began = Some(at);
        }
    }
}
