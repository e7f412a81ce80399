//! Who may see what, decided in one place.
//!
//! Until a game is over:
//!
//! | event | whoever sits there, or did it | everybody else |
//! |---|---|---|
//! | `Came` | without the key | without the key |
//! | `Started` | their own chair | without chairs and seed |
//! | `Replied` | on their own chair | nothing |
//! | `Revealed`, `Questioned` | all | all |
//! | `Vacated` to a machine | that their chair is gone | nothing |
//! | `Vacated` and closed | all | all |
//! | `Weighed`, blind | nothing | nothing |
//! | `Weighed`, explanatory | all | all |
//! | `Voted` | their own ballot | that it was given |
//!
//! Afterwards everybody sees all of it, but never the keys. What people say between games is
//! for those at the table: [`Viewer::Public`] does not see it.
//!
//! What nobody may see travels as an empty envelope, so its time is known. People's answers
//! come when they come; **whoever puts a machine's reply into the log must hold it back** as
//! long as a person would take, in an order that has nothing to do with which model was
//! quicker: the rules know no clock and cannot.

use super::{Bench, Chair, Event, Member, Vacancy, Viewer, Voter, Witness, game::Game};
use crate::play::imitation::Mode;

/// What `viewer` sees of an event whose game is over, or that belongs to none.
pub(super) fn open(viewer: Viewer, event: &Event) -> Option<Event> {
    match (viewer, event) {
        (Viewer::Public, Event::Said { .. }) => None,
        (
            _,
            Event::Came {
                member, name, role, ..
            },
        ) => Some(Event::Came {
            member: *member,
            name: name.clone(),
            role: *role,
            key: None,
        }),
        (
            _,
            Event::Started {
                game,
                chairs,
                count,
                yours: _,
                judge,
                seed,
            },
        ) => Some(Event::Started {
            game: *game,
            chairs: chairs.clone(),
            count: *count,
            yours: chairs.as_ref().and_then(|chairs| seat(viewer, chairs)),
            judge: *judge,
            seed: *seed,
        }),
        _ => Some(event.clone()),
    }
}

/// What `viewer` sees of an event of `game` before it is over.
pub(super) fn veiled(game: Option<&Game>, viewer: Viewer, event: &Event) -> Option<Event> {
    let drawn_for = |chair: &Chair| {
        game.and_then(|game| game.place(*chair))
            .filter(|place| place.sitter().is_some_and(|sitter| is(viewer, sitter)))
    };
    match event {
        Event::Started { .. } => match open(viewer, event)? {
            Event::Started {
                game,
                count,
                yours,
                judge,
                ..
            } => Some(Event::Started {
                game,
                chairs: None,
                count,
                yours,
                judge,
                seed: None,
            }),
            _ => None,
        },
        Event::Replied { round, chair, .. } => {
            drawn_for(chair).filter(|place| place.is_own_word(*round))?;
            Some(event.clone())
        }
        Event::Vacated {
            chair,
            vacancy: Vacancy::Machine,
        } => {
            drawn_for(chair)?;
            Some(event.clone())
        }
        Event::Weighed { .. } => {
            let setup = &game?.setup;
            (setup.mode == Mode::Explanatory && setup.bench != Bench::Person).then(|| event.clone())
        }
        Event::Voted { voter, ballot } => {
            let own = match voter {
                Voter::Machine => false,
                Voter::Person { member } => is(viewer, *member),
            };
            Some(Event::Voted {
                voter: *voter,
                ballot: ballot.filter(|_| own),
            })
        }
        Event::TableOpened { .. }
        | Event::Came { .. }
        | Event::Went { .. }
        | Event::RoleChanged { .. }
        | Event::HostChanged { .. }
        | Event::SetupChanged { .. }
        | Event::Muted { .. }
        | Event::Said { .. }
        | Event::Questioned { .. }
        | Event::Revealed { .. }
        | Event::Vacated {
            vacancy: Vacancy::Close,
            ..
        }
        | Event::BallotsOpened
        | Event::Finished { .. } => open(viewer, event),
    }
}

fn is(viewer: Viewer, member: Member) -> bool {
    viewer == Viewer::Member(member)
}

fn seat(viewer: Viewer, chairs: &[Witness]) -> Option<Chair> {
    let sits =
        |witness: &Witness| matches!(witness, Witness::Person { member } if is(viewer, *member));
    (0u8..)
        .map(Chair)
        .zip(chairs)
        .find(|(_, witness)| sits(witness))
        .map(|(chair, _)| chair)
}
