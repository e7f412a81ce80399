//! The imitation game of one person.

use super::{Mark, Play, Whereabouts};
use crate::{
    play::{
        Dice, UnixMillis,
        imitation::{Command, Effect, Event, Game, Refusal, Seat},
    },
    rooms::{messages::TurnId, seeds::Purpose},
    wire::browser::{Doing, RefusalCode, Stamped, ToClient},
};

impl Play for Game {
    type Event = Event;
    type Command = Command;
    type Refusal = Refusal;
    type Effect = Effect;
    /// There is nobody but the player.
    type Viewer = ();
    type Doing = Doing;
    type Place = ();

    const ONLOOKER: () = ();
    const PUBLIC: () = ();

    fn decide(
        &self,
        command: Command,
        now: UnixMillis,
        dice: &mut dyn Dice,
    ) -> Result<Vec<Event>, Refusal> {
        Self::decide(self, command, now, dice)
    }

    fn apply(&mut self, at: UnixMillis, event: &Event) {
        Self::apply(self, at, event);
    }

    fn effects(&self) -> Vec<Effect> {
        Self::effects(self)
    }

    fn shown(&self, (): (), _: u32, event: &Event) -> Option<Event> {
        Self::shown(self, event)
    }

    fn insiders(&self, _: &Event) -> Vec<()> {
        Vec::new()
    }

    fn mark(event: &Event) -> Mark {
        match event {
            Event::Opened { .. } => Mark::Begins,
            Event::Ended { .. } => Mark::Ends,
            _ => Mark::Goes,
        }
    }

    fn turn(&self, effect: &Effect) -> Option<TurnId> {
        let (purpose, round) = match effect {
            Effect::AskQuestion { round } => (Purpose::Question, *round),
            Effect::AskBot { round } => (Purpose::Answer, *round),
            Effect::AskVerdict { round } => (Purpose::Verdict, *round),
            Effect::WaitForPlayer { .. } => return None,
        };
        Some(TurnId {
            game: 0,
            round,
            purpose,
            chair: None,
        })
    }

    fn wait(effect: &Effect) -> Option<UnixMillis> {
        match effect {
            Effect::WaitForPlayer { until } => Some(*until),
            _ => None,
        }
    }

    fn viewer((): &()) {}

    fn code(refusal: &Refusal) -> RefusalCode {
        match refusal {
            Refusal::Empty | Refusal::TooLong { .. } => RefusalCode::Malformed,
            _ => RefusalCode::NotNow,
        }
    }

    fn tick() -> Command {
        Command::Tick
    }

    fn give_up() -> Command {
        Command::GiveUp
    }

    fn joined(&self, (): &(), at: Whereabouts<'_, Doing>, events: Vec<Stamped<Event>>) -> ToClient {
        ToClient::Joined {
            room: at.room.to_owned(),
            epoch: at.epoch,
            offset: at.offset,
            seat: self.player_seat().unwrap_or(Seat::A),
            events,
            doing: at.doing,
        }
    }

    fn happened(room: String, stamped: Stamped<Event>) -> ToClient {
        ToClient::Event { room, stamped }
    }

    fn unveiled(room: String, events: Vec<Stamped<Event>>) -> ToClient {
        ToClient::Unveiled { room, events }
    }

    fn doing(room: String, doing: Doing) -> ToClient {
        ToClient::Doing { room, doing }
    }
}
