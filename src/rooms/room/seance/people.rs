//! Who comes to a séance, who waits, who went.

use super::*;
use crate::rooms::room::entry::Entry;

/// Seats whom the séance knows, and whoever only watches; who wants to sit is entered in the
/// log first and comes again when the log has it.
pub(super) fn arrive(
    room: &mut Room<Seance>,
    joins: Vec<Join>,
    ctx: &mut Context<Room<Seance>>,
) -> Arrival<Seance> {
    let mut entry = Entry::of(room);
    for mut join in joins {
        let member = room.journal.game().member_of(&join.guest.key.0);
        if member.is_some_and(|member| got_up(room, member)) {
            // Whom the log still has will be gone: they come once it knows.
            room.arriving.push(join);
            continue;
        }
        if !join.sit {
            if let Some(member) = member {
                // What was kept from one who waited is not kept from one who watches.
                join.held = None;
                let leave = Command::Leave { member };
                room.waiting.push_back(Wanted::by_nobody(leave));
            }
            room.seat(join, Visitor(None), ctx);
            continue;
        }
        if let Some(member) = member {
            // Back before it was written that they stayed away.
            room.waiting
                .retain(|wanted| wanted.command != Command::Away { member });
            room.seat(join, Visitor(Some(member)), ctx);
            continue;
        }
        if join.id.is_none() {
            // One who got up before the room was rebuilt.
            room.seat(join, Visitor(None), ctx);
            continue;
        }
        let key = join.guest.key.0.clone();
        let command = Command::Come { key };
        entry.add(room, join, command);
    }
    entry.arrival()
}

/// Whether the log is yet to take in that somebody wanted to go.
fn got_up(room: &Room<Seance>, member: Member) -> bool {
    let leave = Command::Leave { member };
    room.waiting.iter().any(|wanted| wanted.command == leave)
}

/// A member's socket is gone.
pub(super) fn gone(
    room: &mut Room<Seance>,
    member: Member,
    for_good: bool,
    ctx: &mut Context<Room<Seance>>,
) {
    if for_good {
        let leave = Command::Leave { member };
        room.act(Wanted::by_nobody(leave), ctx);
        return;
    }
    ctx.run_later(AWAY.min(room.house.idle_limit), move |room, ctx| {
        let is_back = room.audience.places().any(|place| place.0 == Some(member));
        if !is_back {
            room.act(Wanted::by_nobody(Command::Away { member }), ctx);
        }
    });
}

/// After a start nobody is here, and everybody is given the time to come back.
pub(super) fn expect(room: &mut Room<Seance>, ctx: &mut Context<Room<Seance>>) {
    let game = room.journal.game();
    let members: Vec<Member> = game.sitters().chain(game.waiting()).collect();
    for member in members {
        gone(room, member, false, ctx);
    }
}

/// Forgets the voices of those who sit no more.
pub(super) fn settle(room: &mut Room<Seance>) {
    let game = room.journal.game();
    room.own.prints.retain(|member, _| game.sits(*member));
}

/// What the house can do, where one stands in the queue, and what is being understood.
pub(super) fn apart(room: &Room<Seance>) -> Box<dyn Fn(Viewer) -> Vec<ToClient> + '_> {
    let game = room.journal.game();
    let name = room.journal.room();
    let means = rite(room).map(|rite| rite.means(game.setup()));
    let waiting = u32::try_from(game.waiting().count()).unwrap_or(u32::MAX);
    let taken = game.sitters().next().is_some();
    let hearing = room.own.ear.as_ref().and_then(|ear| ear.told());
    Box::new(move |viewer| {
        let place = match viewer {
            Viewer::Member(member) => game.place(member),
            Viewer::Watcher | Viewer::Public => None,
        };
        let mut apart = vec![
            ToClient::SeanceMeans {
                room: name.to_owned(),
                means: means.clone().unwrap_or_default(),
            },
            ToClient::Waiting {
                room: name.to_owned(),
                place,
                waiting,
                taken,
            },
        ];
        if let Some((utterance, text)) = hearing
            && game.hears(viewer)
        {
            apart.push(ToClient::Hearing {
                room: name.to_owned(),
                utterance,
                text: text.to_owned(),
            });
        }
        apart
    })
}
