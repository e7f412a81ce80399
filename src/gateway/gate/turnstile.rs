//! PURE: who may try a password, and when. No clock, no addresses, no passwords: (state,
//! caller, now) → try, or wait so long.
//!
//! The rule, in the order in which it is applied:
//! 1. A caller tries once at a time, and after its n-th wrong password in a row waits
//!    [`pause`]`(n)`: 1 s, 2 s, 4 s, … up to five minutes.
//! 2. Of all callers together at most [`PER_MINUTE`] are wrong in any minute, whichever
//!    minute is looked at; of those, strangers (whose browser never opened the gate) have all
//!    but one.
//!
//! An attempt counts as wrong from its beginning until it has proved right, so attempts at
//! once gain nothing. Whoever is refused leaves no trace: what is remembered grows by at most
//! [`PER_MINUTE`] callers a minute and is forgotten after [`MEMORY`].
//!
//! What it costs: while somebody keeps trying from many addresses, a stranger who knows the
//! password has to win a turn in the crowd. Nobody waits longer than a minute once the crowd
//! stops, and a browser that has been inside before has a turn of its own.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// Wrong passwords in any minute, of all callers together.
pub(crate) const PER_MINUTE: usize = 5;

/// Those of them that strangers can use up.
const STRANGERS: usize = PER_MINUTE - 1;

/// Milliseconds that a wrong password counts for.
pub(crate) const WINDOW: u64 = 60_000;

/// Milliseconds after which a caller's wrong passwords are forgotten.
pub(crate) const MEMORY: u64 = 60 * 60_000;

/// The longest that a caller waits for its own sake, milliseconds.
const LONGEST: u64 = 5 * 60_000;

/// Milliseconds that one waits for somebody who is just being let in or turned away.
const MOMENT: u64 = 1_000;

/// How long a caller waits after `wrong` wrong passwords in a row, milliseconds.
fn pause(wrong: u32) -> u64 {
    let doublings = wrong.saturating_sub(1).min(20);
    (1_000 << doublings).min(LONGEST)
}

/// Somebody who tries: an address, or a browser that has been inside.
pub(crate) trait Caller: Copy + Eq + Hash {
    /// Whether it has opened the gate before.
    fn is_known(&self) -> bool;
}

/// Come back after so many milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) u64);

/// What is remembered of a caller.
#[derive(Debug, Default)]
struct Record {
    /// Wrong passwords since it was last right.
    wrong: u32,
    /// When the last of them was.
    last: u64,
    trying: bool,
}

/// The rule's state. Times are milliseconds of any clock; one that goes back stands still.
#[derive(Debug)]
pub(crate) struct Turnstile<C> {
    now: u64,
    callers: HashMap<C, Record>,
    /// When the passwords of the last minute were wrong, the oldest first, and whether a
    /// known browser sent them.
    wrong: VecDeque<(u64, bool)>,
}

impl<C: Caller> Turnstile<C> {
    pub(crate) fn new() -> Self {
        Self {
            now: 0,
            callers: HashMap::new(),
            wrong: VecDeque::new(),
        }
    }

    /// Somebody would try a password. Whoever may must say later how it went: [`Self::end`].
    ///
    /// # Errors
    /// How long to wait; nothing was remembered.
    pub(crate) fn begin(&mut self, caller: C, now: u64) -> Result<(), Wait> {
        self.pass(now);
        if let Some(record) = self.callers.get(&caller) {
            if record.trying {
                return Err(Wait(MOMENT));
            }
            let free = record.last.saturating_add(pause(record.wrong));
            if record.wrong > 0 && free > self.now {
                return Err(Wait(free - self.now));
            }
        }
        let all = self.room_for(PER_MINUTE, |_| true);
        let turn = if caller.is_known() {
            all
        } else {
            all.max(self.room_for(STRANGERS, |known| !known))
        };
        if turn > 0 {
            return Err(Wait(turn));
        }
        self.callers.entry(caller).or_default().trying = true;
        Ok(())
    }

    /// An attempt that [`Self::begin`] allowed has ended.
    pub(crate) fn end(&mut self, caller: C, right: bool, now: u64) {
        self.pass(now);
        if right {
            self.callers.remove(&caller);
            return;
        }
        let record = self.callers.entry(caller).or_default();
        record.trying = false;
        record.wrong = record.wrong.saturating_add(1);
        record.last = self.now;
        self.wrong.push_back((self.now, caller.is_known()));
    }

    /// Milliseconds until one more of those that `counts` names can be wrong without being
    /// more than `limit` in a minute; 0 when it can be now.
    fn room_for(&self, limit: usize, counts: fn(bool) -> bool) -> u64 {
        let trying = self
            .callers
            .iter()
            .filter(|(caller, record)| record.trying && counts(caller.is_known()))
            .count();
        let wrong = self.wrong.iter().filter(|(_, known)| counts(*known));
        let wrong: Vec<u64> = wrong.map(|(at, _)| *at).collect();
        if trying + wrong.len() < limit {
            return 0;
        }
        // So many have to be forgotten first; if all of them are not enough, it is those who
        // are trying now that are waited for.
        let excess = trying + wrong.len() - limit;
        wrong
            .get(excess)
            .map_or(MOMENT, |at| at + WINDOW - self.now)
    }

    /// Time has passed: forgets what is old.
    fn pass(&mut self, now: u64) {
        self.now = self.now.max(now);
        let now = self.now;
        while self.wrong.front().is_some_and(|(at, _)| at + WINDOW <= now) {
            self.wrong.pop_front();
        }
        self.callers
            .retain(|_, record| record.trying || record.last.saturating_add(MEMORY) > now);
    }

    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        self.callers.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    enum Who {
        Stranger(u32),
        Known(u32),
    }
    use Who::{Known, Stranger};

    impl Caller for Who {
        fn is_known(&self) -> bool {
            matches!(self, Known(_))
        }
    }

    /// The most of `times` (in order) in any minute.
    fn busiest(times: &[u64]) -> usize {
        let until = |at: u64| {
            times
                .iter()
                .filter(|t| **t >= at && **t < at + WINDOW)
                .count()
        };
        times.iter().map(|at| until(*at)).max().unwrap_or(0)
    }

    #[test]
    fn a_thousand_addresses_are_wrong_five_times_a_minute_together() {
        let mut gate = Turnstile::new();
        let mut wrong = Vec::new();
        // Each of a thousand tries every 100 ms for an hour and a half.
        for now in (0..90 * 60_000).step_by(100) {
            let who = Stranger((now / 100 % 1000) as u32);
            if gate.begin(who, now).is_ok() {
                gate.end(who, false, now);
                wrong.push(now);
            }
        }
        assert!(busiest(&wrong) <= PER_MINUTE);
        assert!(wrong.len() > 300, "and it is no lock: {}", wrong.len());
        assert!(
            gate.remembered() <= PER_MINUTE * 61,
            "{}",
            gate.remembered()
        );
    }

    #[test]
    fn a_browser_that_was_inside_has_a_turn_whatever_strangers_do() {
        let mut gate = Turnstile::new();
        for now in (0..10 * 60_000).step_by(50) {
            let who = Stranger((now / 50) as u32);
            if gate.begin(who, now).is_ok() {
                gate.end(who, false, now);
            }
            if now % 61_000 == 0 {
                assert_eq!(gate.begin(Known(1), now), Ok(()), "{now}");
                gate.end(Known(1), now % 2 == 0, now);
            }
        }
    }

    #[test]
    fn each_wrong_password_of_an_address_costs_it_twice_the_wait_up_to_five_minutes() {
        let mut gate = Turnstile::new();
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..12 {
            assert_eq!(gate.begin(Known(1), now), Ok(()));
            gate.end(Known(1), false, now);
            let Err(Wait(wait)) = gate.begin(Known(1), now) else {
                panic!("it waits");
            };
            assert!(gate.begin(Known(1), now + wait - 1).is_err());
            waits.push(wait / 1000);
            // Long enough that the minute's rate says nothing.
            now += wait.max(WINDOW);
        }
        assert_eq!(
            waits,
            [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300],
            "seconds"
        );
        gate.begin(Known(1), now).expect("its turn");
        gate.end(Known(1), true, now);
        assert_eq!(gate.begin(Known(1), now), Ok(()), "right is forgiven");
    }

    #[test]
    fn attempts_at_once_gain_nothing() {
        let mut gate = Turnstile::new();
        assert_eq!(gate.begin(Stranger(0), 0), Ok(()));
        assert!(gate.begin(Stranger(0), 0).is_err(), "one at a time each");
        let others = (1..1000).filter(|n| gate.begin(Stranger(*n), 0).is_ok());
        assert_eq!(others.count(), STRANGERS - 1);
        assert_eq!(gate.begin(Known(0), 0), Ok(()));
        assert!(gate.begin(Known(1), 0).is_err());
        // A slow check must not make room: it counts from its end as well.
        for n in 0..4 {
            gate.end(Stranger(n), false, 59_999);
        }
        assert_eq!(gate.begin(Stranger(9), 60_001), Err(Wait(59_998)));
        // One that was right never counted.
        gate.end(Known(0), true, 60_001);
        assert_eq!(gate.begin(Known(1), 60_001), Ok(()));
    }

    #[test]
    fn a_clock_that_goes_back_opens_nothing_and_locks_nobody_out() {
        let mut gate = Turnstile::new();
        for n in 0..4 {
            gate.begin(Stranger(n), 1_000_000).expect("a turn");
            gate.end(Stranger(n), false, 1_000_000);
        }
        assert!(gate.begin(Stranger(9), 0).is_err());
        assert_eq!(gate.begin(Stranger(9), 1_060_000), Ok(()));
        gate.end(Stranger(9), false, 5);
        assert_eq!(
            gate.begin(Stranger(9), u64::MAX),
            Ok(()),
            "nor one that jumps on"
        );
    }

    proptest! {
        /// Whoever calls, whenever, however long a check takes and however it ends.
        #[test]
        fn no_minute_has_more_wrong_passwords_than_the_rule_says(
            calls in prop::collection::vec((0u32..1000, 0u32..10, 0u64..4_000, 0u64..30_000), 1..400)
        ) {
            let mut gate = Turnstile::new();
            let mut open: Vec<(u64, Who)> = Vec::new();
            let (mut now, mut wrong, mut strangers) = (0, Vec::new(), Vec::new());
            for (number, kind, later, takes) in calls {
                now += later;
                open.sort_by_key(|(end, _)| *end);
                while open.first().is_some_and(|(end, _)| *end <= now) {
                    let (end, who) = open.remove(0);
                    gate.end(who, false, end);
                    wrong.push(end);
                    if !who.is_known() {
                        strangers.push(end);
                    }
                }
                let who = if kind == 0 { Known(number) } else { Stranger(number) };
                let before = gate.remembered();
                match gate.begin(who, now) {
                    Ok(()) => open.push((now + takes, who)),
                    Err(Wait(wait)) => {
                        prop_assert!(wait > 0);
                        prop_assert!(gate.remembered() <= before, "a refusal leaves no trace");
                    }
                }
            }
            prop_assert!(busiest(&wrong) <= PER_MINUTE);
            prop_assert!(busiest(&strangers) <= STRANGERS);
        }

        /// If nobody else comes, who is told to wait gets its turn exactly then.
        #[test]
        fn the_wait_that_is_told_is_the_wait(
            wrong in prop::collection::vec((0u32..8, 0u64..20_000), 0..40)
        ) {
            let mut gate = Turnstile::new();
            let mut now = 0;
            for (number, later) in wrong {
                now += later;
                if gate.begin(Stranger(number), now).is_ok() {
                    gate.end(Stranger(number), false, now);
                }
            }
            for _ in 0..3 {
                let Err(Wait(wait)) = gate.begin(Stranger(0), now) else { return Ok(()) };
                prop_assert!(wait <= LONGEST.max(WINDOW));
                now += wait;
            }
            prop_assert!(false, "it was sent away thrice");
        }
    }
}
