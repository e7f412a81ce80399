//! The room of a table: many people, many machines, one log.

mod doing;
mod machines;
mod people;

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use actix::{Addr, AsyncContext, Context, Handler};

use super::{Arrival, Room, Stage, Wanted, now};
use crate::{
    play::{
        UnixMillis,
        party::{Chair, Command, Event, Member, Role, Setup, Table, Viewer},
    },
    rooms::{
        bot::Bot,
        cursor::Present,
        judge::Judge,
        messages::{CardChanged, Guest, Join, Made, MakeRoom, Move, TableVacant, TurnId},
        play::Sitter,
        seeds::Purpose,
        turns::Turns,
    },
    wire::browser::{Line, RefusalCode, TableCard, TableDoing},
};

/// Whoever is gone this long is away: a page that is loaded again is not.
const AWAY: Duration = Duration::from_secs(20);

/// What a table starts from.
pub(crate) struct NewTable {
    pub(crate) setup: Setup,
    pub(crate) role: Role,
    pub(crate) host: String,
}

/// What a table's room keeps besides the log.
#[derive(Default)]
pub(crate) struct Own {
    bots: HashMap<Chair, Addr<Bot>>,
    judge: Option<Addr<Judge>>,
    present: Present,
    /// When [`Self::present`] was last told, and whether it will be told again.
    told: Option<Instant>,
    telling: bool,
    /// Members who are away long enough for the rules to know.
    away: BTreeSet<Member>,
    /// Since when nobody is here.
    deserted: Option<Instant>,
    /// Whether the hall was told that the table is vacant.
    vacant: bool,
    /// Whether the house needs the place.
    makes_room: bool,
    /// How the lobby was last told of the table; outside none if it was never.
    card: Option<Option<TableCard>>,
}

impl Stage for Table {
    type Opening = NewTable;
    type Own = Own;

    const STAYS: bool = false;

    fn opening(guest: &Guest, NewTable { setup, role, host }: NewTable) -> Command {
        Command::Open {
            setup,
            name: host,
            key: guest.key.0.clone(),
            role,
        }
    }

    fn arrive(
        room: &mut Room<Self>,
        joins: Vec<Join>,
        ctx: &mut Context<Room<Self>>,
    ) -> Arrival<Self> {
        people::arrive(room, joins, ctx)
    }

    fn left(room: &mut Room<Self>, place: &Sitter, _: bool, ctx: &mut Context<Room<Self>>) {
        // Who plays elsewhere keeps the place: the rules know what becomes of an empty chair.
        people::gone(room, place.member, ctx);
    }

    fn understand(place: &Sitter, what: Move) -> Result<Command, (RefusalCode, &'static str)> {
        match what {
            Move::Act(act) => Ok(Command::By {
                member: place.member,
                act,
            }),
            Move::Answer { .. } | Move::Stop | Move::Seance(_) => {
                Err((RefusalCode::NotNow, "you sit at a table; say act"))
            }
        }
    }

    fn ask(room: &mut Room<Self>, turn: TurnId, attempt: u32, ctx: &mut Context<Room<Self>>) {
        machines::ask(room, turn, attempt, ctx);
    }

    fn let_go(room: &mut Room<Self>, turn: TurnId) {
        machines::let_go(room, turn);
    }

    fn command(turn: TurnId, made: Made) -> Command {
        let round = turn.round;
        match (made, turn.chair) {
            (Made::Question(text), _) => Command::Question { round, text },
            (Made::Answer(text), Some(chair)) => Command::Reply { round, chair, text },
            (Made::Opinion(opinion), _) => Command::Weigh { round, opinion },
            // Nobody asks for one here.
            (Made::Answer(_), None) | (Made::Verdict(_) | Made::Line(_), _) => Command::GiveUp,
        }
    }

    fn holds(&self, turn: TurnId, now: UnixMillis) -> bool {
        // A machine's reply waits for those of the people, so that neither its place in the
        // log nor its time tells that nobody typed it; but not beyond their time, when
        // whatever has not come is missed.
        turn.purpose == Purpose::Answer
            && self.members().any(|(member, _)| self.awaits(member))
            && self.due().is_none_or(|due| now < due)
    }

    fn shows(&self, line: Line) -> bool {
        // Answers are revealed together, and opinions name whom they are about at their end.
        line == Line::Question
    }

    fn doing_now(&self, turns: &Turns) -> Box<dyn Fn(Viewer) -> TableDoing + '_> {
        doing::now(self, turns)
    }

    fn present(room: &Room<Self>) -> &Present {
        &room.own.present
    }

    fn changed(room: &mut Room<Self>, ctx: &mut Context<Room<Self>>) {
        people::count(room, ctx);
        people::pass_on(room);
        tell_lobby(room);
    }

    fn told(room: &mut Room<Self>, ctx: &mut Context<Room<Self>>) {
        people::show_out(room, ctx);
    }

    fn took_in(room: &Room<Self>, events: &[Event]) {
        people::tell_of_leaving(room, events);
    }

    fn read_back(room: &mut Room<Self>, ctx: &mut Context<Room<Self>>) {
        people::expect(room, ctx);
    }

    fn is_done(room: &Room<Self>) -> bool {
        let table = room.journal.game();
        let keep = room.house.table_keep;
        room.audience.is_empty()
            && room.arriving.is_empty()
            && !table.is_playing()
            && (table.is_abandoned()
                || room.own.makes_room
                || room
                    .own
                    .deserted
                    .is_some_and(|since| since.elapsed() >= keep))
    }
}

impl Handler<MakeRoom> for Room<Table> {
    type Result = ();

    fn handle(&mut self, _: MakeRoom, ctx: &mut Self::Context) {
        self.own.makes_room = self.own.vacant;
        self.look_round(ctx);
    }
}

/// Tells the hall how the table looks from the lobby, if that changed.
fn tell_lobby(room: &mut Room<Table>) {
    let table = room.journal.game();
    let listed = table.setup().filter(|setup| setup.listed);
    let host = table.host().and_then(|host| table.person(host));
    let card = listed.zip(host).map(|(setup, host)| {
        let (players, spectators) = table.counts();
        TableCard {
            room: room.journal.room().to_owned(),
            host: host.name.clone(),
            setup: setup.clone(),
            players: u32::try_from(players).unwrap_or(u32::MAX),
            spectators: u32::try_from(spectators).unwrap_or(u32::MAX),
            playing: table.is_playing(),
        }
    });
    if room.own.card.as_ref() != Some(&card) {
        room.own.card = Some(card.clone());
        room.hall.do_send(CardChanged {
            room: room.journal.room().to_owned(),
            opened: room.journal.first_at(),
            card,
        });
    }
}
