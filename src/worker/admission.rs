//! PURE: who may wait for a slot, who is turned away, and whose turn it is.
//!
//! Rooms take turns: the next slot goes to the room that holds the fewest, and of those to
//! the one that was served longest ago, so that a room with a hundred requests delays
//! another one's only request by no more than one of its own. Within a room it is first
//! come, first served.

use std::collections::VecDeque;

use crate::wire::worker::{Refusal, RequestId};

/// A request of one connection. Every output carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Owner {
    pub(crate) connection: u64,
    pub(crate) request: RequestId,
}

/// On whose account requests wait.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Room {
    Named(String),
    /// All requests of a connection that name no room.
    Connection(u64),
}

impl Room {
    pub(crate) fn of(owner: Owner, name: &str) -> Self {
        if name.is_empty() {
            Self::Connection(owner.connection)
        } else {
            Self::Named(name.to_owned())
        }
    }
}

/// How often others may overtake a request that cannot start yet.
pub(crate) const OVERTAKES: u32 = 16;

#[derive(Debug)]
struct Waiting<T> {
    owner: Owner,
    item: T,
    /// How often another one started while this one could not.
    overtaken: u32,
}

/// The requests of one room, in the order of their arrival; never empty.
#[derive(Debug)]
struct Queue<T> {
    room: Room,
    waiting: VecDeque<Waiting<T>>,
}

/// Requests that wait for a slot.
#[derive(Debug)]
pub(crate) struct Admission<T> {
    /// Served longest ago first.
    queues: VecDeque<Queue<T>>,
    queued: usize,
    capacity: usize,
}

impl<T> Admission<T> {
    /// At most `capacity` requests wait.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            queues: VecDeque::new(),
            queued: 0,
            capacity,
        }
    }

    /// Lets a request wait, while at most `free` of those who wait will not have to.
    ///
    /// # Errors
    /// [`Refusal::Busy`] when all places are taken; `item` is dropped.
    pub(crate) fn offer(
        &mut self,
        owner: Owner,
        room: Room,
        item: T,
        free: usize,
    ) -> Result<(), Refusal> {
        if self.queued >= self.capacity + free {
            return Err(Refusal::Busy {
                queued: self.queued(),
            });
        }
        self.queued += 1;
        let waiting = Waiting {
            owner,
            item,
            overtaken: 0,
        };
        match self.queues.iter_mut().find(|queue| queue.room == room) {
            Some(queue) => queue.waiting.push_back(waiting),
            None => self.queues.push_back(Queue {
                room,
                waiting: VecDeque::from([waiting]),
            }),
        }
        Ok(())
    }

    /// Whose turn it is. `held` says how many slots a room has; `can_start` whether a request
    /// could start now, where `true` tells it that another one has been overtaken often
    /// enough and that what that one waits for must not be taken.
    pub(crate) fn take(
        &mut self,
        held: impl Fn(&Room) -> usize,
        can_start: impl Fn(&T, bool) -> bool,
    ) -> Option<(Owner, T)> {
        let is_due = |waiting: &Waiting<T>| waiting.overtaken >= OVERTAKES;
        let due = self.queues.iter().any(|queue| is_due(&queue.waiting[0]));
        let able: Vec<bool> = self
            .queues
            .iter()
            .map(|queue| {
                let first = &queue.waiting[0];
                can_start(&first.item, due && !is_due(first))
            })
            .collect();
        let (at, _) = self
            .queues
            .iter()
            .enumerate()
            .filter(|(at, _)| able[*at])
            .min_by_key(|(_, queue)| held(&queue.room))?;
        for (queue, _) in self
            .queues
            .iter_mut()
            .zip(&able)
            .filter(|(_, able)| !**able)
        {
            queue.waiting[0].overtaken += 1;
        }
        let mut queue = self.queues.remove(at)?;
        let first = queue.waiting.pop_front()?;
        self.queued -= 1;
        if !queue.waiting.is_empty() {
            self.queues.push_back(queue);
        }
        Some((first.owner, first.item))
    }

    /// Forgets the requests that `left` picks and gives their owners.
    pub(crate) fn cancel(&mut self, mut left: impl FnMut(Owner) -> bool) -> Vec<Owner> {
        let mut gone = Vec::new();
        for queue in &mut self.queues {
            queue.waiting.retain(|waiting| {
                let leaves = left(waiting.owner);
                if leaves {
                    gone.push(waiting.owner);
                }
                !leaves
            });
        }
        self.queues.retain(|queue| !queue.waiting.is_empty());
        self.queued -= gone.len();
        gone
    }

    pub(crate) fn queued(&self) -> u32 {
        u32::try_from(self.queued).unwrap_or(u32::MAX)
    }
}

/// Whether a prompt leaves room in the context for `output` tokens.
///
/// # Errors
/// [`Refusal::TooLong`] when it does not.
pub(crate) fn fits(prompt: usize, output: usize, context: usize) -> Result<(), Refusal> {
    if prompt.saturating_add(output) <= context {
        return Ok(());
    }
    let count = |tokens| u32::try_from(tokens).unwrap_or(u32::MAX);
    Err(Refusal::TooLong {
        tokens: count(prompt),
        context: count(context),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use proptest::prelude::*;

    fn owner(request: u64) -> Owner {
        Owner {
            connection: request % 3,
            request: RequestId(request),
        }
    }

    fn room(name: u64) -> Room {
        Room::Named(name.to_string())
    }

    #[derive(Clone, Debug)]
    enum Move {
        Offer(u64),
        Take,
        /// One of those who were served ends.
        End(usize),
        Cancel(u64),
        Leave(u64),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = prop_oneof![
            4 => (0u64..4).prop_map(Move::Offer),
            2 => Just(Move::Take),
            1 => (0usize..9).prop_map(Move::End),
            1 => (0u64..40).prop_map(Move::Cancel),
            1 => (0u64..3).prop_map(Move::Leave),
        ];
        proptest::collection::vec(one, 0..80)
    }

    proptest! {
        #[test]
        fn each_request_is_served_in_turn_or_refused_or_cancelled_once(
            moves in moves(), capacity in 0usize..9,
        ) {
            let mut admission = Admission::new(capacity);
            let mut model: Vec<(u64, u64)> = Vec::new();
            let mut held: Vec<u64> = Vec::new();
            let mut next = 0;
            for step in moves {
                match step {
                    Move::Offer(name) => {
                        let offered = admission.offer(owner(next), room(name), next, 0);
                        if model.len() < capacity {
                            prop_assert_eq!(offered, Ok(()));
                            model.push((name, next));
                        } else {
                            let queued = u32::try_from(capacity).expect("small");
                            prop_assert_eq!(offered, Err(Refusal::Busy { queued }));
                        }
                        next += 1;
                    }
                    Move::Take => {
                        let holds = |name: u64| held.iter().filter(|held| **held == name).count();
                        let taken = admission.take(
                            |wanted| (0..4).find(|n| room(*n) == *wanted).map_or(0, holds),
                            |_, _| true,
                        );
                        prop_assert_eq!(taken.is_some(), !model.is_empty());
                        let Some((who, number)) = taken else { continue };
                        prop_assert_eq!(who, owner(number));
                        let at = model.iter().position(|(_, n)| *n == number);
                        let (name, _) = model.remove(at.expect("it waited"));
                        let fewest = model.iter().map(|(name, _)| holds(*name)).min();
                        prop_assert!(fewest.is_none_or(|fewest| holds(name) <= fewest));
                        let earlier = model.iter().find(|(n, _)| *n == name);
                        prop_assert!(earlier.is_none_or(|(_, n)| *n > number));
                        held.push(name);
                    }
                    Move::End(at) => {
                        if at < held.len() {
                            held.remove(at);
                        }
                    }
                    Move::Cancel(n) => {
                        let gone = admission.cancel(|o| o == owner(n));
                        prop_assert_eq!(gone.len(), usize::from(model.iter().any(|m| m.1 == n)));
                        model.retain(|m| m.1 != n);
                    }
                    Move::Leave(connection) => {
                        let mut gone = admission.cancel(|o| o.connection == connection);
                        gone.sort_unstable();
                        let leaves = |n: u64| owner(n).connection == connection;
                        let mut wanted: Vec<_> =
                            model.iter().filter(|m| leaves(m.1)).map(|m| owner(m.1)).collect();
                        wanted.sort_unstable();
                        prop_assert_eq!(gone, wanted);
                        model.retain(|m| !leaves(m.1));
                    }
                }
                prop_assert_eq!(admission.queued() as usize, model.len());
            }
        }

        /// With slots that never free up, a room is served again only after all others.
        #[test]
        fn rooms_take_turns(requests in prop::collection::vec(0u64..5, 1..60)) {
            let mut admission = Admission::new(usize::MAX / 2);
            let mut left: HashMap<u64, usize> = HashMap::new();
            for (n, name) in (0..).zip(&requests) {
                admission.offer(owner(n), room(*name), *name, 0).expect("room");
                *left.entry(*name).or_default() += 1;
            }
            let mut served: HashMap<u64, usize> = HashMap::new();
            while let Some((_, name)) = admission.take(|_| 0, |_, _| true) {
                *left.get_mut(&name).expect("it waits") -= 1;
                let mine = served.entry(name).or_default();
                *mine += 1;
                let mine = *mine;
                for (other, left) in &left {
                    let theirs = served.get(other).copied().unwrap_or_default();
                    prop_assert!(*left == 0 || theirs + 1 >= mine, "{other} is behind {name}");
                }
            }
            prop_assert!(left.values().all(|left| *left == 0));
        }
    }

    /// "x" waits for something that others of its kind keep taking.
    #[test]
    fn who_cannot_start_is_overtaken_a_bounded_number_of_times() {
        let mut admission = Admission::new(1000);
        admission.offer(owner(0), room(0), "x", 0).expect("room");
        for n in 1..100 {
            admission.offer(owner(n), room(n), "y", 0).expect("room");
        }
        let mut overtaken = 0;
        while admission
            .take(|_| 0, |item, due| *item == "y" && !due)
            .is_some()
        {
            overtaken += 1;
        }
        assert_eq!(overtaken, OVERTAKES);
        let taken = admission.take(|_| 0, |_, due| !due);
        assert_eq!(taken.map(|(owner, _)| owner), Some(owner(0)));
        assert!(admission.take(|_| 0, |_, due| !due).is_some());
    }

    #[test]
    fn a_prompt_must_leave_room_for_one_token() {
        assert_eq!(fits(9, 1, 10), Ok(()));
        assert_eq!(
            fits(10, 1, 10),
            Err(Refusal::TooLong {
                tokens: 10,
                context: 10
            })
        );
        assert!(fits(usize::MAX, 1, 10).is_err());
    }
}
