use actix_web::http::header::HeaderValue;
use argon2::{Algorithm, Argon2, Params, Version, password_hash::PasswordHasher};

use super::*;
use crate::{gateway::doorkeeper::DoorRules, store::sqlite::SqliteStore};

const HOUR: u64 = 3600 * 1000;
const NOON: UnixMillis = 1_700_000_000_000;

fn password() -> Password {
    let cost = Params::new(7 << 10, 1, 1, None).unwrap();
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost);
    let hash: argon2::password_hash::phc::PasswordHash =
        hasher.hash_password(b"open, sesame").unwrap();
    Password::parse(&hash.to_string()).unwrap()
}

fn gate(store: &SqliteStore, password: Option<&Password>) -> Gate {
    let rules = GateRules {
        password: password.cloned(),
        keep: Duration::from_millis(HOUR),
        origins: Vec::new(),
    };
    let keeper = Doorkeeper::new(DoorRules {
        sockets: 0,
        per_minute: 0,
        proxies: Vec::new(),
    });
    Gate::new(rules, store.clone().into(), keeper)
}

fn store() -> (tempfile::TempDir, SqliteStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("parlour.sqlite")).unwrap();
    (dir, store)
}

/// What a browser sends that got those cookies.
fn sends(cookies: &[Cookie]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for cookie in cookies {
        let line = cookie.to_string();
        let (pair, _) = line.split_once(';').unwrap();
        headers.append(header::COOKIE, HeaderValue::from_str(pair).unwrap());
    }
    headers
}

#[tokio::test]
async fn an_open_gate_shuts_when_its_time_is_over_and_not_before() {
    let (_dir, store) = store();
    let gate = gate(&store, Some(&password()));
    let headers = sends(&gate.welcome(None, false, NOON).await.unwrap());
    for (now, open) in [
        (NOON, true),
        (NOON + HOUR - 1, true),
        (NOON + HOUR, false),
        (u64::MAX, false),
        // A clock that is set back lets in who was in; it locks nobody out.
        (NOON - HOUR, true),
        (0, true),
    ] {
        assert_eq!(gate.is_open_at(&headers, now).await.unwrap(), open, "{now}");
    }
}

#[tokio::test]
async fn another_hash_of_the_same_password_voids_every_cookie_of_before() {
    let (_dir, store) = store();
    let (old, new) = (password(), password());
    let headers = sends(
        &gate(&store, Some(&old))
            .welcome(None, false, NOON)
            .await
            .unwrap(),
    );
    assert!(
        gate(&store, Some(&old))
            .is_open_at(&headers, NOON)
            .await
            .unwrap()
    );
    let renewed = gate(&store, Some(&new));
    assert!(!renewed.is_open_at(&headers, NOON).await.unwrap());
    let known = cookie::find(&headers, KNOWN).unwrap();
    assert!(!renewed.holds(KNOWN, &known, NOON).await.unwrap());
}

#[tokio::test]
async fn the_cookie_of_a_known_browser_opens_nothing() {
    let (_dir, store) = store();
    let gate = gate(&store, Some(&password()));
    let [opens, known] = gate.welcome(None, false, NOON).await.unwrap();
    let [opens, known] = [opens, known].map(|cookie| {
        let line = cookie.to_string();
        line.split(['=', ';']).nth(1).unwrap().to_owned()
    });
    for (name, value, open) in [
        (OPENS, &opens, true),
        (OPENS, &known, false),
        (KNOWN, &opens, false),
    ] {
        let mut headers = HeaderMap::new();
        let pair = HeaderValue::from_str(&format!("{name}={value}")).unwrap();
        headers.append(header::COOKIE, pair);
        assert_eq!(
            gate.is_open_at(&headers, NOON).await.unwrap(),
            open,
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_store_holds_no_token_and_a_players_session_opens_nothing() {
    let (_dir, store) = store();
    let gate = gate(&store, Some(&password()));
    let token = Token::draw();
    let player = SessionRecord {
        key: token.key().0,
        name: gate
            .rules
            .password
            .as_ref()
            .unwrap()
            .fingerprint()
            .to_owned(),
        room: None,
        expires_at: NOON + HOUR,
    };
    store.put_session(&player).await.unwrap();
    assert!(!gate.holds(OPENS, &token, NOON).await.unwrap());
    assert!(!record_key(OPENS, &token).contains(token.expose()));
}

#[tokio::test]
async fn a_house_without_a_password_is_open() {
    let (_dir, store) = store();
    let gate = gate(&store, None);
    assert!(gate.is_open(&HeaderMap::new()).await.unwrap());
}

#[test]
fn an_attempt_that_nobody_waits_for_was_wrong() {
    let (_dir, store) = store();
    let gate = Arc::new(gate(&store, Some(&password())));
    let visitor = Visitor::Known([7; 32]);
    drop(Arc::clone(&gate).turn(visitor).ok().unwrap());
    assert!(matches!(
        Arc::clone(&gate).turn(visitor),
        Err(GatewayError::TooManyPasswords(_))
    ));
    let counts: Vec<_> = gate.attempts().collect();
    assert_eq!(counts, [("right", 0), ("wrong", 1), ("refused", 1)]);
}
