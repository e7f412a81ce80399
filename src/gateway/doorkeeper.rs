//! How many sockets one address may open, at once and in a minute. All that is remembered
//! is bounded, however many addresses there are.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_web::http::header::HeaderMap;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::HashMapStateStore,
};
use ipnet::IpNet;

use super::error::GatewayError;

/// Meters that all addresses share: an address has the one that its hash names. Two that
/// meet in one share its rate. The hash's key is drawn at the start, so nobody can choose
/// whom to meet; what the meters take is bounded.
type Meter = u16;

/// A client's address as far as it is one client's: an IPv6 household has a /64 to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Guest(Option<IpAddr>);

/// The settings.
#[derive(Clone, Debug)]
pub(crate) struct DoorRules {
    /// Sockets that one address may have open; 0 is any number.
    pub(crate) sockets: u32,
    /// Sockets that one address may open in a minute; 0 is any number.
    pub(crate) per_minute: u32,
    /// Whose word on the client's address is taken.
    pub(crate) proxies: Vec<IpNet>,
}

/// Counts who comes in.
pub(crate) struct Doorkeeper {
    rules: DoorRules,
    meters: Option<RateLimiter<Meter, HashMapStateStore<Meter>, DefaultClock>>,
    hasher: RandomState,
    /// Open sockets of each address that has any.
    open: Mutex<HashMap<Guest, u32>>,
}

/// An open socket, counted until this is dropped.
pub(crate) struct Entry {
    keeper: Arc<Doorkeeper>,
    guest: Guest,
}

impl Doorkeeper {
    pub(crate) fn new(rules: DoorRules) -> Arc<Self> {
        let meters = NonZeroU32::new(rules.per_minute)
            .map(|rate| RateLimiter::hashmap(Quota::per_minute(rate)));
        Arc::new(Self {
            rules,
            meters,
            hasher: RandomState::new(),
            open: Mutex::default(),
        })
    }

    /// Who it is. A proxy that is trusted is believed; `X-Forwarded-For` is read from its
    /// end, where our own proxies write, up to the first address that is none of theirs: what
    /// stands before that the client may have made up.
    pub(crate) fn guest(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Guest {
        let Some(mut address) = peer else {
            return Guest(None);
        };
        let named: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        for name in named.iter().rev() {
            if !self.trusts(&address) {
                break;
            }
            match name.trim().parse() {
                Ok(before) => address = before,
                Err(_) => break,
            }
        }
        Guest(Some(household(address)))
    }

    /// Whether the client's own connection is encrypted, by the word of a trusted proxy: the
    /// last one's, as what stands before it the client may have made up.
    pub(crate) fn is_secure(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> bool {
        let said = headers
            .get_all("x-forwarded-proto")
            .last()
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.rsplit(',').next());
        peer.is_some_and(|peer| self.trusts(&peer))
            && said.is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
    }

    fn trusts(&self, address: &IpAddr) -> bool {
        let address = address.to_canonical();
        self.rules.proxies.iter().any(|net| net.contains(&address))
    }

    /// Somebody wants a socket.
    ///
    /// # Errors
    /// When the address has opened too many of late.
    pub(crate) fn knock(&self, guest: Guest) -> Result<(), GatewayError> {
        let (Some(meters), Some(address)) = (&self.meters, guest.0) else {
            return Ok(());
        };
        // The low bits name the meter.
        let [.., high, low] = self.hasher.hash_one(address).to_be_bytes();
        meters
            .check_key(&Meter::from_be_bytes([high, low]))
            .map_err(|until| {
                let wait = until.wait_time_from(DefaultClock::default().now());
                GatewayError::TooManyConnections(wait.max(Duration::from_secs(1)))
            })
    }

    /// Counts a socket in; none when the address has too many.
    pub(crate) fn enter(self: &Arc<Self>, guest: Guest) -> Option<Entry> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(guest).or_default();
        if self.rules.sockets > 0 && *count >= self.rules.sockets {
            return None;
        }
        *count += 1;
        drop(open);
        Some(Entry {
            keeper: Arc::clone(self),
            guest,
        })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self
            .keeper
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.guest) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.guest);
            }
        }
    }
}

fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn keeper(sockets: u32, per_minute: u32, proxies: &[&str]) -> Arc<Doorkeeper> {
        Doorkeeper::new(DoorRules {
            sockets,
            per_minute,
            proxies: proxies
                .iter()
                .map(|net| net.parse().expect("a network"))
                .collect(),
        })
    }

    fn guest(keeper: &Doorkeeper, peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(
                HeaderName::from_static("x-forwarded-for"),
                HeaderValue::from_str(value).expect("a value"),
            );
        }
        let peer = peer.parse().expect("an address");
        let Guest(address) = keeper.guest(Some(peer), &headers);
        address.expect("an address").to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_as_far_as_it_knows() {
        let nobody = keeper(0, 0, &[]);
        assert_eq!(guest(&nobody, "10.0.0.9", &["1.2.3.4"]), "10.0.0.9");
        let inner = keeper(0, 0, &["10.0.0.0/8"]);
        assert_eq!(guest(&inner, "10.0.0.9", &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(
            guest(&inner, "10.0.0.9", &["6.6.6.6, 1.2.3.4, 10.0.0.7"]),
            "1.2.3.4",
            "what the client made up is not looked at"
        );
        assert_eq!(
            guest(&inner, "10.0.0.9", &["6.6.6.6", "1.2.3.4"]),
            "1.2.3.4"
        );
        assert_eq!(guest(&inner, "8.8.8.8", &["1.2.3.4"]), "8.8.8.8");
        assert_eq!(guest(&inner, "10.0.0.9", &["nonsense"]), "10.0.0.9");
        assert_eq!(guest(&inner, "10.0.0.9", &[]), "10.0.0.9");
        assert_eq!(guest(&inner, "::ffff:10.0.0.9", &["1.2.3.4"]), "1.2.3.4");
    }

    #[test]
    fn only_a_trusted_proxy_says_that_a_connection_is_encrypted() {
        let keeper = keeper(0, 0, &["10.0.0.0/8"]);
        let secure = |peer: &str, said: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append(
                    HeaderName::from_static("x-forwarded-proto"),
                    HeaderValue::from_str(value).expect("a value"),
                );
            }
            keeper.is_secure(Some(peer.parse().expect("an address")), &headers)
        };
        assert!(secure("10.0.0.9", &["https"]));
        assert!(secure("::ffff:10.0.0.9", &["http, HTTPS"]));
        assert!(!secure("8.8.8.8", &["https"]));
        assert!(!secure("10.0.0.9", &["https, http"]));
        assert!(!secure("10.0.0.9", &["https", "http"]));
        assert!(!secure("10.0.0.9", &["httpss"]));
        assert!(!secure("10.0.0.9", &[]));
        assert!(!keeper.is_secure(None, &HeaderMap::new()));
    }

    #[test]
    fn an_ipv6_household_is_one_guest() {
        let keeper = keeper(0, 0, &[]);
        let one = guest(&keeper, "2001:db8:1:2:aaaa::1", &[]);
        assert_eq!(one, guest(&keeper, "2001:db8:1:2:bbbb::2", &[]));
        assert_ne!(one, guest(&keeper, "2001:db8:1:3::1", &[]));
    }

    fn at(address: &str) -> Guest {
        Guest(Some(address.parse().expect("an address")))
    }

    #[test]
    fn an_address_has_so_many_sockets_and_gets_them_back() {
        let keeper = keeper(2, 0, &[]);
        let first = keeper.enter(at("1.1.1.1")).expect("a place");
        let _second = keeper.enter(at("1.1.1.1")).expect("a place");
        assert!(keeper.enter(at("1.1.1.1")).is_none());
        let other = keeper.enter(at("2.2.2.2"));
        assert!(other.is_some());
        drop(first);
        assert!(keeper.enter(at("1.1.1.1")).is_some());
        drop(other);
        assert_eq!(
            keeper.open.lock().expect("sound").len(),
            1,
            "who has no socket is forgotten"
        );
    }

    #[test]
    fn an_address_that_knocks_too_often_is_told_how_long_to_wait() {
        let keeper = keeper(0, 5, &[]);
        for _ in 0..5 {
            assert!(keeper.knock(at("1.1.1.1")).is_ok());
        }
        let Err(GatewayError::TooManyConnections(wait)) = keeper.knock(at("1.1.1.1")) else {
            panic!("the sixth in a minute");
        };
        assert!(
            wait > Duration::ZERO && wait <= Duration::from_secs(12),
            "{wait:?}"
        );
    }

    #[test]
    fn what_is_remembered_of_a_million_addresses_is_bounded() {
        let keeper = keeper(0, 5, &[]);
        for address in 0..1_000_000u32 {
            let _ = keeper.knock(Guest(Some(IpAddr::V4(address.into()))));
        }
        let meters = keeper.meters.as_ref().expect("there is a rate").len();
        assert!(meters <= usize::from(Meter::MAX) + 1, "{meters}");
    }
}
