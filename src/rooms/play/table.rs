//! The table for many.

use super::{Mark, Play, Whereabouts};
use crate::{
    play::{
        Dice, UnixMillis,
        party::{Command, Effect, Event, Member, Refusal, Role, Table, Viewer, Voter},
    },
    rooms::{messages::TurnId, seeds::Purpose},
    wire::browser::{RefusalCode, Stamped, TableDoing, ToClient},
};

/// Somebody at a table.
#[derive(Clone, Debug)]
pub(crate) struct Sitter {
    pub(crate) member: Member,
    /// Their seat token.
    pub(crate) seat: String,
}

impl Play for Table {
    type Event = Event;
    type Command = Command;
    type Refusal = Refusal;
    type Effect = Effect;
    type Viewer = Viewer;
    type Doing = TableDoing;
    type Place = Sitter;

    /// A member that nobody ever is: numbers are given from 0 on, and events are fewer.
    const ONLOOKER: Viewer = Viewer::Member(Member(u32::MAX));
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

    fn shown(&self, viewer: Viewer, offset: u32, event: &Event) -> Option<Event> {
        Self::shown(self, viewer, offset, event)
    }

    fn insiders(&self, event: &Event) -> Vec<Viewer> {
        let members: Vec<Member> = match event {
            Event::Started { chairs, .. } => chairs
                .iter()
                .flatten()
                .filter_map(|witness| match witness {
                    crate::play::party::Witness::Person { member } => Some(*member),
                    crate::play::party::Witness::Machine { .. } => None,
                })
                .collect(),
            Event::Voted {
                voter: Voter::Person { member },
                ..
            } => vec![*member],
            Event::Replied { .. } | Event::Vacated { .. } => self
                .members()
                .filter(|(_, person)| person.role != Role::Spectator)
                .map(|(member, _)| member)
                .collect(),
            // Everybody sees the same of it.
            _ => Vec::new(),
        };
        members.into_iter().map(Viewer::Member).collect()
    }

    fn mark(event: &Event) -> Mark {
        match event {
            Event::Started { .. } => Mark::Begins,
            Event::Finished { .. } => Mark::Ends,
            _ => Mark::Goes,
        }
    }

    fn turn(&self, effect: &Effect) -> Option<TurnId> {
        let (purpose, round, chair) = match effect {
            Effect::AskQuestion { round } => (Purpose::Question, *round, None),
            Effect::AskMachine { round, chair, .. } => (Purpose::Answer, *round, Some(*chair)),
            Effect::AskOpinion { round } => (Purpose::Verdict, *round, None),
            Effect::Wait { .. } => return None,
        };
        Some(TurnId {
            game: self.game(),
            round,
            purpose,
            chair,
        })
    }

    fn wait(effect: &Effect) -> Option<UnixMillis> {
        match effect {
            Effect::Wait { until } => Some(*until),
            _ => None,
        }
    }

    fn viewer(place: &Sitter) -> Viewer {
        Viewer::Member(place.member)
    }

    fn code(refusal: &Refusal) -> RefusalCode {
        match refusal {
            Refusal::Empty
            | Refusal::TooLong { .. }
            | Refusal::NoSuchChair
            | Refusal::BadConfidence { .. }
            | Refusal::BadSetup(_) => RefusalCode::Malformed,
            Refusal::Full => RefusalCode::FullHouse,
            Refusal::NotHost | Refusal::Removed | Refusal::NoSpectators => RefusalCode::NotYours,
            _ => RefusalCode::NotNow,
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
        place: &Sitter,
        at: Whereabouts<'_, TableDoing>,
        events: Vec<Stamped<Event>>,
    ) -> ToClient {
        ToClient::Seated {
            room: at.room.to_owned(),
            epoch: at.epoch,
            offset: at.offset,
            you: place.member,
            seat: place.seat.clone(),
            events,
            doing: at.doing,
            present: at.present.to_vec(),
        }
    }

    fn happened(room: String, stamped: Stamped<Event>) -> ToClient {
        ToClient::TableEvent { room, stamped }
    }

    fn unveiled(room: String, events: Vec<Stamped<Event>>) -> ToClient {
        ToClient::TableUnveiled { room, events }
    }

    fn doing(room: String, doing: TableDoing) -> ToClient {
        ToClient::TableDoing { room, doing }
    }
}
