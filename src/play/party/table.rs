//! The state of a table and the law that moves it.

mod acts;
mod machines;
mod turns;
mod views;

use super::{
    Act, Bench, Chair, Command, Effect, Event, Finish, Machine, Member, Opinion, Refusal, Role,
    Round, Setup, Step, Viewer, Voter, Witness,
    ballots::{self, least_confidence},
    chairs,
    game::Game,
    people::{People, Person},
    setup, sight,
    text::machine_line,
};
use crate::play::{
    Dice, UnixMillis,
    text::{MACHINE_TEXT_LIMIT, line},
};

/// A table: everything that its events have made true.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    setup: Option<Setup>,
    people: People,
    /// The game that runs, or the last one.
    game: Option<Game>,
    /// Where in the log [`Self::game`] began.
    game_began: u32,
    /// Events so far: the next one's offset.
    len: u32,
}

/// The table that `events` tell.
pub fn rebuild<'a>(events: impl IntoIterator<Item = (UnixMillis, &'a Event)>) -> Table {
    let mut table = Table::default();
    for (at, event) in events {
        table.apply(at, event);
    }
    table
}

impl Table {
    /// What follows from `command`, to be stored all together and then applied in order.
    ///
    /// No events means that the command was lawful and changed nothing (a [`Command::Tick`]
    /// too early, a [`Command::Come`] by somebody who is here).
    ///
    /// # Errors
    /// When the rules do not allow the command now.
    pub fn decide(
        &self,
        command: Command,
        now: UnixMillis,
        dice: &mut dyn Dice,
    ) -> Result<Vec<Event>, Refusal> {
        let Some(setup) = &self.setup else {
            return match command {
                Command::Open {
                    setup,
                    name,
                    key,
                    role,
                } => open(setup, &name, &key, role),
                _ => Err(Refusal::NotOpen),
            };
        };
        let events = match command {
            Command::Open { .. } => return Err(Refusal::AlreadyOpen),
            Command::Come { name, key, role } => {
                self.people
                    .come(setup, &name, &key, role, |member| self.sits(member))?
            }
            Command::By { member, act } => self.act(setup, member, act, dice)?,
            Command::Away { member, present } => self.away(member, &present),
            Command::Question { round, text } => self.machine_asks(round, &text)?,
            Command::Reply { round, chair, text } => self.machine_answers(round, chair, &text)?,
            Command::Weigh { round, opinion } => self.weigh(round, opinion)?,
            Command::Tick => self.tick(now),
            Command::GiveUp => self.give_up()?,
        };
        Ok(self.with_consequences(events, now))
    }

    /// Adds to `events` what they make happen at once.
    fn with_consequences(&self, mut events: Vec<Event>, now: UnixMillis) -> Vec<Event> {
        let starts = |event: &Event| matches!(event, Event::Started { .. });
        if !self.is_playing() && !events.iter().any(starts) {
            return events;
        }
        let mut ahead = self.clone();
        for event in &events {
            ahead.apply(now, event);
        }
        while let Some(next) = ahead.consequence() {
            ahead.apply(now, &next);
            events.push(next);
        }
        events
    }

    fn consequence(&self) -> Option<Event> {
        self.game.as_ref()?.consequence(&self.people)
    }

    /// Makes `event`, which happened at `at`, true.
    ///
    /// Total: an event that no lawful table holds changes nothing but the length of the log,
    /// so that a damaged one cannot bring the server down.
    pub fn apply(&mut self, at: UnixMillis, event: &Event) {
        let offset = self.len;
        self.len = self.len.saturating_add(1);
        match (&mut self.setup, event) {
            (setup @ None, Event::TableOpened { setup: opened }) => {
                *setup = Some(opened.clone());
                self.people.open();
            }
            (None, _) | (Some(_), Event::TableOpened { .. }) => {}
            (Some(setup), Event::SetupChanged { setup: changed }) => {
                if !self.game.as_ref().is_some_and(Game::is_running) {
                    setup.clone_from(changed);
                }
            }
            (Some(setup), Event::Started { .. }) => {
                if !self.game.as_ref().is_some_and(Game::is_running)
                    && let Some(game) = Game::new(at, setup, event, &self.people)
                {
                    self.game = Some(game);
                    self.game_began = offset;
                }
            }
            (Some(_), event) => {
                self.people.apply(event);
                if let Some(game) = &mut self.game {
                    game.apply(at, event);
                }
            }
        }
    }

    /// What must be done next: never empty while a game runs, always empty otherwise.
    pub fn effects(&self) -> Vec<Effect> {
        let Some(game) = self.running() else {
            return Vec::new();
        };
        if self.consequence().is_some() {
            // The log was cut off in the middle of what belongs together.
            return vec![Effect::Wait { until: 0 }];
        }
        game.effects()
    }

    /// What `viewer` may see now of `event`, which stands at `offset` in the log and has been
    /// applied; none while it is hidden. See the table in [`super::sight`].
    pub fn shown(&self, viewer: Viewer, offset: u32, event: &Event) -> Option<Event> {
        let over = self.game.as_ref().is_some_and(|game| !game.is_running());
        let past = self.game.is_some() && offset < self.game_began;
        if offset < self.len && (past || over) {
            sight::open(viewer, event)
        } else {
            self.lived(viewer, event)
        }
    }

    /// What `viewer` could see of an event of the present or last game before it was over:
    /// what differs from [`Self::shown`] is to be unveiled after the end.
    pub fn lived(&self, viewer: Viewer, event: &Event) -> Option<Event> {
        sight::veiled(self.game.as_ref(), viewer, event)
    }

    /// Whether a chair or the bench of the present or last game was the member's.
    fn sits(&self, member: Member) -> bool {
        self.game
            .as_ref()
            .is_some_and(|game| game.judge == Some(member) || game.drawn_for(member).is_some())
    }

    fn running(&self) -> Option<&Game> {
        self.game.as_ref().filter(|game| game.is_running())
    }

    fn playing(&self) -> Result<&Game, Refusal> {
        self.running().ok_or(Refusal::NotPlaying)
    }

    fn not_playing(&self) -> Result<(), Refusal> {
        match self.running() {
            Some(_) => Err(Refusal::Playing),
            None => Ok(()),
        }
    }
}

fn open(setup: Setup, name: &str, key: &str, role: Role) -> Result<Vec<Event>, Refusal> {
    setup::check(&setup)?;
    let mut people = People::default();
    people.open();
    let came = people.come(&setup, name, key, role, |_| false)?;
    Ok([Event::TableOpened { setup }]
        .into_iter()
        .chain(came)
        .collect())
}
