//! PURE: who may wait for a slot, and who is turned away.

use std::collections::VecDeque;

use crate::wire::worker::{Refusal, RequestId};

/// A request of one connection. Every output carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Owner {
    pub(crate) connection: u64,
    pub(crate) request: RequestId,
}

/// Requests that wait for a slot, first come, first served.
#[derive(Debug)]
pub(crate) struct Admission<T> {
    waiting: VecDeque<(Owner, T)>,
    capacity: usize,
}

impl<T> Admission<T> {
    /// At most `capacity` requests wait.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            capacity,
        }
    }

    /// Lets a request wait, while at most `free` of those who wait will not have to.
    ///
    /// # Errors
    /// [`Refusal::Busy`] when all places are taken; `item` is dropped.
    pub(crate) fn offer(&mut self, owner: Owner, item: T, free: usize) -> Result<(), Refusal> {
        if self.waiting.len() >= self.capacity + free {
            return Err(Refusal::Busy {
                queued: self.queued(),
            });
        }
        self.waiting.push_back((owner, item));
        Ok(())
    }

    /// The one that has waited longest.
    pub(crate) fn take(&mut self) -> Option<(Owner, T)> {
        self.waiting.pop_front()
    }

    /// Forgets the requests that `left` picks and gives their owners.
    pub(crate) fn cancel(&mut self, mut left: impl FnMut(Owner) -> bool) -> Vec<Owner> {
        let mut gone = Vec::new();
        self.waiting.retain(|(owner, _)| {
            let leaves = left(*owner);
            if leaves {
                gone.push(*owner);
            }
            !leaves
        });
        gone
    }

    pub(crate) fn queued(&self) -> u32 {
        u32::try_from(self.waiting.len()).unwrap_or(u32::MAX)
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
    use super::*;
    use proptest::prelude::*;

    fn owner(request: u64) -> Owner {
        Owner {
            connection: request % 3,
            request: RequestId(request),
        }
    }

    #[derive(Clone, Debug)]
    enum Move {
        Offer,
        Take,
        Cancel(u64),
        Leave(u64),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = prop_oneof![
            4 => Just(Move::Offer),
            2 => Just(Move::Take),
            1 => (0u64..40).prop_map(Move::Cancel),
            1 => (0u64..3).prop_map(Move::Leave),
        ];
        proptest::collection::vec(one, 0..80)
    }

    proptest! {
        #[test]
        fn each_request_is_served_in_turn_or_refused_or_cancelled_once(moves in moves(), capacity in 0usize..6) {
            let mut admission = Admission::new(capacity);
            let mut model: VecDeque<u64> = VecDeque::new();
            let mut next = 0;
            for step in moves {
                match step {
                    Move::Offer => {
                        let offered = admission.offer(owner(next), next, 0);
                        if model.len() < capacity {
                            prop_assert_eq!(offered, Ok(()));
                            model.push_back(next);
                        } else {
                            prop_assert_eq!(offered, Err(Refusal::Busy { queued: u32::try_from(capacity).expect("small") }));
                        }
                        next += 1;
                    }
                    Move::Take => {
                        prop_assert_eq!(admission.take(), model.pop_front().map(|n| (owner(n), n)));
                    }
                    Move::Cancel(n) => {
                        let gone = admission.cancel(|o| o == owner(n));
                        prop_assert_eq!(gone.len(), usize::from(model.contains(&n)));
                        model.retain(|&m| m != n);
                    }
                    Move::Leave(connection) => {
                        let gone = admission.cancel(|o| o.connection == connection);
                        let wanted: Vec<_> = model.iter().filter(|&&m| m % 3 == connection).map(|&m| owner(m)).collect();
                        prop_assert_eq!(gone, wanted);
                        model.retain(|&m| m % 3 != connection);
                    }
                }
                prop_assert_eq!(admission.queued() as usize, model.len());
            }
        }
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
