//! Who comes to a table, who is there, who went.

use super::*;
use crate::{
    play::party::Person,
    rooms::{identity::SessionKey, messages::SeatGivenUp, room::entry::Entry},
    wire::browser::Bye,
};

/// Shortest time between two lists of who is present, and what each of them adds to it: a
/// list goes to everybody.
const PACE: Duration = Duration::from_millis(250);
const PACE_EACH: Duration = Duration::from_millis(1);

/// Seats whom the table knows; who is new is entered in the log first, all at once, and
/// comes again when the log has it.
pub(super) fn arrive(
    room: &mut Room<Table>,
    joins: Vec<Join>,
    ctx: &mut Context<Room<Table>>,
) -> Arrival<Table> {
    let mut entry = Entry::of(room);
    for join in joins {
        if let Some(member) = place_of(room, &join) {
            seat(room, join, member, ctx);
            continue;
        }
        let Some(want) = join.want.as_ref().filter(|_| join.id.is_some()) else {
            // Somebody whom the table turned away before.
            continue;
        };
        let command = Command::Come {
            name: want.name.clone(),
            key: join.guest.key.0.clone(),
            role: want.role,
        };
        entry.add(room, join, command);
    }
    entry.arrival()
}

/// The place that is theirs: by a seat token of this house, or by their session.
fn place_of(room: &Room<Table>, join: &Join) -> Option<Member> {
    let table = room.journal.game();
    let is_here = |member: &Member| table.person(*member).is_some_and(Person::is_here);
    let token = join.want.as_ref().and_then(|want| want.seat.as_deref());
    token
        .and_then(|token| room.house.seats.check(room.journal.room(), token))
        .filter(is_here)
        .or_else(|| table.member_of(&join.guest.key.0))
}

fn seat(room: &mut Room<Table>, join: Join, member: Member, ctx: &mut Context<Room<Table>>) {
    let socket = join.guest.socket;
    for older in room
        .audience
        .sockets(|place: &Sitter| place.member == member)
    {
        if older != socket {
            let why = "this seat was taken elsewhere";
            room.audience.dismiss(older, Bye::Elsewhere, why);
        }
    }
    let seat = room.house.seats.sign(room.journal.room(), member);
    room.own.away.remove(&member);
    // Back before it was written that they stayed away.
    room.waiting.retain(
        |wanted| !matches!(wanted.command, Command::Away { member: gone, .. } if gone == member),
    );
    room.seat(join, Sitter { member, seat }, ctx);
    // There may have been nobody before who could be it.
    pass_on(room);
}

/// A member's socket is gone.
pub(super) fn gone(room: &Room<Table>, member: Member, ctx: &mut Context<Room<Table>>) {
    let patience = AWAY.min(room.house.idle_limit);
    ctx.run_later(patience, move |room, ctx| {
        let is_back = room.audience.places().any(|place| place.member == member);
        if !is_back {
            room.own.away.insert(member);
            pass_on(room);
            room.look_round(ctx);
        }
    });
}

/// Has the rules find another host if the one there is stays away.
pub(super) fn pass_on(room: &mut Room<Table>) {
    let host = room.journal.game().host();
    if let Some(member) = host.filter(|host| room.own.away.contains(host)) {
        let present: Vec<Member> = room.audience.places().map(|place| place.member).collect();
        if present.is_empty() {
            return;
        }
        let away = Command::Away { member, present };
        room.waiting.push_back(Wanted::by_nobody(away));
    }
}

/// After a start nobody is here, and everybody is given the time to come back.
pub(super) fn expect(room: &mut Room<Table>, ctx: &mut Context<Room<Table>>) {
    if let Some(host) = room.journal.game().host() {
        gone(room, host, ctx);
    }
}

/// Shows those the door who left the table for good or were removed, once they know.
pub(super) fn show_out(room: &mut Room<Table>, ctx: &mut Context<Room<Table>>) {
    let table = room.journal.game();
    let gone = room
        .audience
        .sockets(|place| !table.person(place.member).is_some_and(Person::is_here));
    if gone.is_empty() {
        return;
    }
    for socket in gone {
        room.audience.remove(socket);
    }
    count(room, ctx);
    room.show(ctx);
}

/// Has the hall forget where those sat who went for good.
pub(super) fn tell_of_leaving(room: &Room<Table>, events: &[Event]) {
    for event in events {
        if let Event::Went { member, .. } = event
            && let Some(key) = room.journal.game().person(*member).and_then(Person::key)
        {
            room.hall.do_send(SeatGivenUp {
                room: room.journal.room().to_owned(),
                key: SessionKey(key.to_owned()),
            });
        }
    }
}

/// Keeps the list of who is present, and the time since when nobody is.
pub(super) fn count(room: &mut Room<Table>, ctx: &mut Context<Room<Table>>) {
    if !room.audience.is_empty() {
        room.own.deserted = None;
        room.own.makes_room = false;
    } else if room.own.deserted.is_none() {
        room.own.deserted = Some(Instant::now());
        let keep = room.house.table_keep;
        ctx.run_later(keep, |room, ctx| room.look_round(ctx));
    }
    let vacant = room.own.deserted.is_some() && !room.journal.game().is_playing();
    if std::mem::replace(&mut room.own.vacant, vacant) != vacant {
        room.hall.do_send(TableVacant {
            room: room.journal.room().to_owned(),
            life: room.life,
            vacant,
        });
    }
    let members: BTreeSet<Member> = room.audience.places().map(|place| place.member).collect();
    if members.iter().eq(&room.own.present.members) || room.own.telling {
        return;
    }
    let people = u32::try_from(members.len()).unwrap_or(u32::MAX);
    let pace = PACE + PACE_EACH * people;
    let since = room.own.told.map(|told| told.elapsed());
    match since.and_then(|since| pace.checked_sub(since)) {
        None => {
            room.own.told = Some(Instant::now());
            room.own.present.version += 1;
            room.own.present.members = members.into_iter().collect();
        }
        Some(pause) => {
            room.own.telling = true;
            ctx.run_later(pause, |room, ctx| {
                room.own.telling = false;
                count(room, ctx);
                room.show(ctx);
            });
        }
    }
}
