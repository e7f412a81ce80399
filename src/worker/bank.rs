//! PURE: which place of the engine's bank holds which adapter.
//!
//! An adapter is put into a place when the first row that speaks with it gets a slot, and
//! stays there until another one needs the place: the longest unused gives way, never one
//! that a row is using.

/// One place of the bank.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Id of the adapter that lies here.
    holds: Option<u64>,
    /// Rows that speak with it.
    users: usize,
    /// When it was last taken or left.
    used: u64,
}

/// A seat that a row has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) place: usize,
    /// Whether the adapter has to be loaded first.
    pub(crate) load: bool,
}

/// All places.
#[derive(Debug)]
pub(crate) struct Bank {
    places: Vec<Place>,
    clock: u64,
    loads: u64,
    evictions: u64,
}

impl Bank {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            places: vec![Place::default(); places],
            clock: 0,
            loads: 0,
            evictions: 0,
        }
    }

    /// The place that a row with this adapter would get.
    fn find(&self, adapter: u64) -> Option<usize> {
        let held = |place: &Place| place.holds == Some(adapter);
        self.places.iter().position(held).or_else(|| {
            let free = self.places.iter().enumerate();
            free.filter(|(_, place)| place.users == 0)
                .min_by_key(|(_, place)| (place.holds.is_some(), place.used))
                .map(|(at, _)| at)
        })
    }

    /// Whether a row with this adapter could start now.
    pub(crate) fn has_room_for(&self, adapter: u64) -> bool {
        self.find(adapter).is_some()
    }

    /// Seats a row; none when rows use all places.
    pub(crate) fn seat(&mut self, adapter: u64) -> Option<Seat> {
        let at = self.find(adapter)?;
        self.clock += 1;
        let place = &mut self.places[at];
        let load = place.holds != Some(adapter);
        if load {
            self.loads += 1;
            self.evictions += u64::from(place.holds.is_some());
        }
        *place = Place {
            holds: Some(adapter),
            users: place.users + 1,
            used: self.clock,
        };
        Some(Seat { place: at, load })
    }

    /// A row has ended.
    pub(crate) fn leave(&mut self, place: usize) {
        self.clock += 1;
        let place = &mut self.places[place];
        place.users = place.users.saturating_sub(1);
        place.used = self.clock;
    }

    /// What the engine holds there is not what it was told.
    pub(crate) fn forget(&mut self, place: usize) {
        self.places[place].holds = None;
    }

    /// The engine failed: nobody knows what it holds, and no row is left.
    pub(crate) fn forget_all(&mut self) {
        self.places.fill(Place::default());
    }

    /// Adapters that were put into a place.
    pub(crate) fn loads(&self) -> u64 {
        self.loads
    }

    /// Adapters that gave way to another one.
    pub(crate) fn evictions(&self) -> u64 {
        self.evictions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seat(place: usize, load: bool) -> Option<Seat> {
        Some(Seat { place, load })
    }

    #[test]
    fn the_longest_unused_gives_way_and_never_one_in_use() {
        let mut bank = Bank::new(2);
        assert_eq!(bank.seat(1), seat(0, true));
        assert_eq!(bank.seat(2), seat(1, true));
        assert_eq!(bank.seat(1), seat(0, false));
        assert_eq!(bank.seat(3), None);
        bank.leave(0);
        assert!(!bank.has_room_for(3));
        bank.leave(0);
        bank.leave(1);
        assert_eq!(bank.seat(1), seat(0, false));
        bank.leave(0);
        assert_eq!(bank.seat(3), seat(1, true));
        assert_eq!((bank.loads(), bank.evictions()), (3, 1));
    }

    #[test]
    fn what_lies_in_the_bank_after_a_failure_is_loaded_again() {
        let mut bank = Bank::new(1);
        bank.seat(1);
        bank.forget_all();
        assert_eq!(bank.seat(1), seat(0, true));
    }

    proptest! {
        #[test]
        fn a_row_sits_where_its_adapter_lies_until_it_leaves(
            moves in prop::collection::vec((0u64..5, any::<bool>()), 1..80), places in 0usize..4,
        ) {
            let mut bank = Bank::new(places);
            let mut engine = vec![None; places];
            let mut rows: Vec<(u64, usize)> = Vec::new();
            for (adapter, joins) in moves {
                if joins {
                    let room = bank.has_room_for(adapter);
                    let seat = bank.seat(adapter);
                    prop_assert_eq!(seat.is_some(), room);
                    let in_use: std::collections::HashSet<u64> =
                        rows.iter().map(|row| row.0).collect();
                    prop_assert_eq!(room, in_use.contains(&adapter) || in_use.len() < places);
                    if let Some(seat) = seat {
                        if seat.load {
                            engine[seat.place] = Some(adapter);
                        }
                        rows.push((adapter, seat.place));
                    }
                } else if !rows.is_empty() {
                    let (_, place) = rows.swap_remove(adapter as usize % rows.len());
                    bank.leave(place);
                }
                for (adapter, place) in &rows {
                    prop_assert_eq!(engine[*place], Some(*adapter));
                }
            }
        }
    }
}
