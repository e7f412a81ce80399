//! Where the rooms of the two games differ: who sits where, who is asked, what is shown.

use actix::{Context, Recipient};

use super::{Room, Wanted};
use crate::{
    play::UnixMillis,
    rooms::{
        asides::Asides,
        cursor::Present,
        messages::{FromSitter, Guest, Join, Made, Move, TurnId},
        play::Play,
        receipt::Receipt,
        results::Counted,
        turns::Turns,
    },
    wire::browser::{Line, RefusalCode, ToClient},
};

/// A command that is on its way into the log, or the word that nobody can sit down.
pub(crate) enum Arrival<P: Stage> {
    /// Whoever came is seated, or has to come another way.
    Seated,
    /// These events seat them.
    First(Vec<Wanted<P>>, Vec<P::Event>),
}

/// One kind of room.
pub(crate) trait Stage: Play + Counted {
    /// What a new room starts from.
    type Opening: Unpin;
    /// What such a room keeps besides its log.
    type Own: Default + Unpin;

    /// The first command of a new room's log.
    fn opening(guest: &Guest, opening: Self::Opening) -> Self::Command;

    /// Seats everybody who has come.
    fn arrive(
        room: &mut Room<Self>,
        joins: Vec<Join>,
        ctx: &mut Context<Room<Self>>,
    ) -> Arrival<Self>;

    /// Somebody's socket is not here any more. `for_good`: they play elsewhere now.
    fn left(
        room: &mut Room<Self>,
        place: &Self::Place,
        for_good: bool,
        ctx: &mut Context<Room<Self>>,
    );

    /// A client's move on its way to the rules. None where the room has taken it in hand.
    fn before(
        _room: &mut Room<Self>,
        receipt: Receipt,
        what: Move,
        _ctx: &mut Context<Room<Self>>,
    ) -> Option<(Receipt, Move)> {
        Some((receipt, what))
    }

    /// Where sound goes.
    fn sounds(_: &Context<Room<Self>>) -> Option<Recipient<FromSitter>> {
        None
    }

    /// What one viewer is told besides, whenever it changes.
    fn apart(_: &Room<Self>) -> Box<dyn Fn(Self::Viewer) -> Vec<ToClient> + '_> {
        Box::new(|_| Vec::new())
    }

    /// What is told besides the log.
    fn asides(_: &Room<Self>) -> Option<&Asides> {
        None
    }

    /// What a client's move means.
    ///
    /// # Errors
    /// When it means nothing here.
    fn understand(
        place: &Self::Place,
        what: Move,
    ) -> Result<Self::Command, (RefusalCode, &'static str)>;

    /// Has a machine take its turn.
    fn ask(room: &mut Room<Self>, turn: TurnId, attempt: u32, ctx: &mut Context<Room<Self>>);

    /// Has a machine stop taking it.
    fn let_go(room: &mut Room<Self>, turn: TurnId);

    /// What a turn's outcome is to the rules.
    fn command(turn: TurnId, made: Made) -> Self::Command;

    /// Whether what a turn came to must wait, so that its time tells nothing.
    fn holds(&self, turn: TurnId, now: UnixMillis) -> bool;

    /// Whether a line may be watched while it is written.
    fn shows(&self, line: Line) -> bool;

    /// What the room waits for, in the eyes of everybody.
    fn doing_now(&self, turns: &Turns) -> Box<dyn Fn(Self::Viewer) -> Self::Doing + '_>;

    /// Who is here, as it is told.
    fn present(room: &Room<Self>) -> &Present;

    /// Something changed: whatever else has to be told or done.
    fn changed(room: &mut Room<Self>, ctx: &mut Context<Room<Self>>);

    /// Everybody was told of it.
    fn told(room: &mut Room<Self>, ctx: &mut Context<Room<Self>>);

    /// New events are in the log.
    fn took_in(room: &Room<Self>, events: &[Self::Event]);

    /// The log was read back.
    fn read_back(room: &mut Room<Self>, ctx: &mut Context<Room<Self>>);

    /// Whether nobody is here and nothing will happen any more.
    fn is_done(room: &Room<Self>) -> bool;

    /// Whether whoever comes after the end finds a door.
    const STAYS: bool;
}
