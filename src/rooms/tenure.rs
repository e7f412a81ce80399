//! By which rules a server holds its rooms. Where several share a store, each room is one
//! server's at a time, by a lease; whoever is refused because of it asks the holder, who
//! gives way by one rule ([`Tenure::gives_way`]).

use std::{sync::Arc, time::Duration};

use super::identity;

/// How long people keep the room that they sit in from a server that asks for it.
const STAY: Duration = Duration::from_secs(5);

/// Where nobody else can want a room, its lease need not end: it goes with the process.
const FOR_GOOD: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How rooms are held.
#[derive(Clone, Debug)]
pub struct Tenure {
    /// This server, by a name that no other one has.
    pub server: Arc<str>,
    /// Whether other servers share the store.
    pub shared: bool,
    /// How long a lease runs that is not renewed.
    pub lease: Duration,
    /// How long people who sit in a room keep it.
    pub stay: Duration,
}

impl Tenure {
    /// A new server's, under a name drawn by chance.
    pub fn new(shared: bool, lease: Duration) -> Self {
        Self {
            server: identity::hex(&rand::random::<[u8; 8]>()).into(),
            shared,
            lease: if shared { lease } else { FOR_GOOD },
            stay: STAY,
        }
    }

    /// How often leases are renewed: three renewals may be lost before one runs out.
    pub(crate) fn renew_every(&self) -> Duration {
        self.lease / 4
    }

    /// How long a word that asks for a room holds: it is said anew while somebody waits.
    pub(crate) fn asks_for(&self) -> Duration {
        self.lease
    }

    /// Whether a room that has been held for `held` goes to another server, in which somebody
    /// waits for it. A room in which nobody sits always does. Where people sit, it does once
    /// they had it for [`Self::stay`]: so whoever waits gets in, and two crowds that pull at
    /// one room move it once in that time, not faster.
    pub(crate) fn gives_way(&self, seated: bool, held: Duration) -> bool {
        !seated || held >= self.stay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenure() -> Tenure {
        Tenure::new(true, Duration::from_secs(2))
    }

    #[test]
    fn an_empty_room_goes_to_whoever_asks() {
        assert!(tenure().gives_way(false, Duration::ZERO));
    }

    #[test]
    fn who_sits_in_a_room_keeps_it_for_a_while_and_no_longer() {
        let just_before = STAY - Duration::from_millis(1);
        assert!(!tenure().gives_way(true, Duration::ZERO));
        assert!(!tenure().gives_way(true, just_before));
        assert!(tenure().gives_way(true, STAY));
    }

    /// Two servers, in each of which somebody always sits and always asks: time passes in
    /// steps of a renewal, and the room moves no more often than the rule says.
    #[test]
    fn two_crowds_cannot_tear_a_room_to_and_fro() {
        let tenure = tenure();
        let (mut held, mut moves) = (Duration::ZERO, 0);
        let steps = 1000;
        for _ in 0..steps {
            held += tenure.renew_every();
            if tenure.gives_way(true, held) {
                (held, moves) = (Duration::ZERO, moves + 1);
            }
        }
        let most = (tenure.renew_every() * steps).div_duration_f64(STAY);
        assert!(moves > 0 && f64::from(moves) <= most, "{moves}");
    }

    #[test]
    fn no_two_servers_have_one_name() {
        assert_ne!(tenure().server, tenure().server);
    }
}
