//! The séance.

use super::{Mark, Play, Whereabouts};
use crate::{
    play::{
        Dice, UnixMillis,
        seance::{Command, Effect, Event, Member, Refusal, Seance, Viewer},
    },
    rooms::{messages::TurnId, seeds::Purpose},
    wire::browser::{RefusalCode, SeanceDoing, Stamped, ToClient},
};

/// Somebody at a séance: one who sits or waits, or one who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Visitor(pub(crate) Option<Member>);

impl Play for Seance {
    type Event = Event;
    type Command = Command;
    type Refusal = Refusal;
    type Effect = Effect;
    type Viewer = Viewer;
    type Doing = SeanceDoing;
    type Place = Visitor;

    const ONLOOKER: Viewer = Viewer::Watcher;
    const PUBLIC: Viewer = Viewer::Public;

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

    fn shown(&self, viewer: Viewer, _: u32, event: &Event) -> Option<Event> {
        Self::shown(self, viewer, event)
    }

    fn insiders(&self, event: &Event) -> Vec<Viewer> {
        let kept_out = self.kept_out(event);
        kept_out.into_iter().map(Viewer::Member).collect()
    }

    fn hears(&self, viewer: Viewer) -> bool {
        Self::hears(self, viewer)
    }

    // A sitting that is over is nobody's business.
    const FORGETS: bool = true;

    fn mark(event: &Event) -> Mark {
        match event {
            Event::Sat { .. } => Mark::Anew,
            _ => Mark::Goes,
        }
    }

    fn snapshot(&self) -> Option<String> {
        let written = serde_json::to_string(self);
        Some(written.expect("a state is of plain values, and its keys are numbers"))
    }

    fn restore(snapshot: &str) -> Result<Self, String> {
        serde_json::from_str(snapshot).map_err(|error| error.to_string())
    }

    fn turn(&self, effect: &Effect) -> Option<TurnId> {
        match effect {
            Effect::Speak { line, .. } => Some(turn_of(*line)),
            Effect::Voice { .. } | Effect::Wait { .. } => None,
        }
    }

    fn wait(effect: &Effect) -> Option<UnixMillis> {
        match effect {
            Effect::Wait { until } => Some(*until),
            _ => None,
        }
    }

    fn viewer(place: &Visitor) -> Viewer {
        place.0.map_or(Viewer::Watcher, Viewer::Member)
    }

    fn code(refusal: &Refusal) -> RefusalCode {
        match refusal {
            Refusal::Empty | Refusal::TooLong { .. } | Refusal::BadSetup(_) => {
                RefusalCode::Malformed
            }
            Refusal::Full => RefusalCode::FullHouse,
            Refusal::NotSitting { .. } | Refusal::NoSuchMember => RefusalCode::NotYours,
            Refusal::NotOpen
            | Refusal::AlreadyOpen
            | Refusal::Closed
            | Refusal::AlreadyHere
            | Refusal::SomebodySpeaks
            | Refusal::NotListening
            | Refusal::Stale => RefusalCode::NotNow,
        }
    }

    fn tick() -> Command {
        Command::Tick
    }

    fn give_up() -> Command {
        Command::GiveUp
    }

    fn joined(
        &self,
        place: &Visitor,
        at: Whereabouts<'_, SeanceDoing>,
        events: Vec<Stamped<Event>>,
    ) -> ToClient {
        ToClient::Seance {
            room: at.room.to_owned(),
            epoch: at.epoch,
            offset: at.offset,
            you: place.0,
            events,
            doing: at.doing,
        }
    }

    fn happened(room: String, stamped: Stamped<Event>) -> ToClient {
        ToClient::SeanceEvent { room, stamped }
    }

    /// Never called: nothing is unveiled at the end of what has no games.
    fn unveiled(room: String, events: Vec<Stamped<Event>>) -> ToClient {
        debug_assert!(events.is_empty(), "a séance unveils nothing");
        ToClient::SeanceDoing {
            room,
            doing: SeanceDoing::Over,
        }
    }

    fn doing(room: String, doing: SeanceDoing) -> ToClient {
        ToClient::SeanceDoing { room, doing }
    }
}

/// The turn in which a line is made.
pub(crate) fn turn_of(line: u32) -> TurnId {
    TurnId {
        game: 0,
        round: line,
        purpose: Purpose::Answer,
        chair: None,
    }
}
