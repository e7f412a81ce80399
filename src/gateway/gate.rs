//! The gate of the séance: one password, which opens it to a browser for a while.
//!
//! Whoever says the password gets a cookie with 256 random bits; the store keeps the hash of
//! them, so an open gate survives restarts, holds at every server that shares the store, and
//! can be shut for one browser ([`leave`]). What is stored names the hash of the password it
//! was opened with: with another `PARLOUR_PASSWORD`, even the same password hashed anew, every
//! cookie of before is void. A second cookie says that a browser has been inside; it opens
//! nothing, but gives the browser a turn of its own at [`turnstile`] (the "device cookies" of
//! OWASP's *Slow Down Online Guessing Attacks with Device Cookies*).
//!
//! Nothing of a password, its hash or a cookie is logged; attempts are counted for the metrics.

pub mod cli;
mod cookie;
pub(crate) mod password;
mod turnstile;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::{
    HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderMap},
    middleware::Next,
    web,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use self::{
    cookie::Cookie,
    password::Password,
    turnstile::{Caller, Turnstile, Wait},
};
use super::{
    doorkeeper::{Doorkeeper, Guest},
    error::GatewayError,
    socket::check_origin,
};
use crate::{
    play::UnixMillis,
    rooms::{
        identity::{Token, hex, now},
        pulse::ticks,
    },
    store::{AnyStore, SessionRecord, Store, StoreError},
    wire::gate::GateState,
};

/// Where the gate is asked and opened.
pub(super) const PATH: &str = "/api/gate";

/// Most bytes of a body: a password of the greatest length, every byte of it escaped.
const BODY: usize = 8 << 10;

/// Passwords that are checked at the same time; each takes the memory of its hash.
const CHECKS: usize = 1;

/// The cookie that opens.
const OPENS: &str = "parlour_gate";

/// The cookie of a browser that has been inside.
const KNOWN: &str = "parlour_known";

/// How long a browser is known: as long as browsers keep a cookie at most (RFC 6265bis).
const KNOWN_FOR: Duration = Duration::from_secs(400 * 24 * 3600);

/// What the gate is made of.
pub(crate) struct GateRules {
    /// None leaves the gate open to everybody.
    pub(crate) password: Option<Password>,
    /// How long it stays open to who said the password.
    pub(crate) keep: Duration,
    /// Origins besides our own.
    pub(crate) origins: Vec<String>,
}

/// The gate.
pub(crate) struct Gate {
    rules: GateRules,
    store: AnyStore,
    keeper: Arc<Doorkeeper>,
    turnstile: Mutex<Turnstile<Visitor>>,
    checks: Arc<Semaphore>,
    counts: Counts,
}

/// Attempts to open the gate, by how they went.
#[derive(Default)]
struct Counts {
    right: AtomicU64,
    wrong: AtomicU64,
    refused: AtomicU64,
}

/// Who tries a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Visitor {
    At(Guest),
    /// The hash of the token of a browser that has been inside.
    Known([u8; 32]),
}

impl Caller for Visitor {
    fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}

impl Gate {
    pub(crate) fn new(rules: GateRules, store: AnyStore, keeper: Arc<Doorkeeper>) -> Self {
        Self {
            rules,
            store,
            keeper,
            turnstile: Mutex::new(Turnstile::new()),
            checks: Arc::new(Semaphore::new(CHECKS)),
            counts: Counts::default(),
        }
    }

    /// Whether a request with these headers may come in, a WebSocket's handshake as well.
    ///
    /// # Errors
    /// When the store cannot be asked; nobody may come in then.
    pub(crate) async fn is_open(&self, headers: &HeaderMap) -> Result<bool, StoreError> {
        self.is_open_at(headers, now()).await
    }

    async fn is_open_at(&self, headers: &HeaderMap, now: UnixMillis) -> Result<bool, StoreError> {
        if self.rules.password.is_none() {
            return Ok(true);
        }
        match cookie::find(headers, OPENS) {
            Some(token) => self.holds(OPENS, &token, now).await,
            None => Ok(false),
        }
    }

    /// Attempts so far, by how they went.
    pub(super) fn attempts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let Counts {
            right,
            wrong,
            refused,
        } = &self.counts;
        [("right", right), ("wrong", wrong), ("refused", refused)]
            .map(|(how, count)| (how, count.load(Ordering::Relaxed)))
            .into_iter()
    }

    /// Whether this house gave that token as a cookie of this kind, for the password it has.
    async fn holds(&self, kind: &str, token: &Token, now: UnixMillis) -> Result<bool, StoreError> {
        let Some(password) = &self.rules.password else {
            return Ok(false);
        };
        let found = self.store.session(&record_key(kind, token), now).await?;
        Ok(found.is_some_and(|record| record.name == password.fingerprint()))
    }

    /// Keeps that token as a cookie of this kind until `expires_at`.
    async fn keep(
        &self,
        kind: &str,
        token: &Token,
        expires_at: UnixMillis,
    ) -> Result<(), StoreError> {
        let password = self.rules.password.as_ref();
        let record = SessionRecord {
            key: record_key(kind, token),
            name: password.map_or_else(String::new, |password| password.fingerprint().to_owned()),
            room: None,
            expires_at,
        };
        self.store.put_session(&record).await
    }

    /// The cookies of a browser that has just said the password.
    async fn welcome(
        &self,
        known: Option<Token>,
        secure: bool,
        now: UnixMillis,
    ) -> Result<[Cookie; 2], StoreError> {
        let until = |keep: Duration| {
            now.saturating_add(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX))
        };
        let (opens, known) = (Token::draw(), known.unwrap_or_else(Token::draw));
        self.keep(OPENS, &opens, until(self.rules.keep)).await?;
        self.keep(KNOWN, &known, until(KNOWN_FOR)).await?;
        Ok([
            Cookie::new(OPENS, &opens, self.rules.keep, secure),
            Cookie::new(KNOWN, &known, KNOWN_FOR, secure),
        ])
    }

    /// A visitor's turn to try.
    fn turn(self: Arc<Self>, visitor: Visitor) -> Result<Attempt, GatewayError> {
        let turn = self.turnstile().begin(visitor, ticks());
        match turn {
            Ok(()) => Ok(Attempt {
                gate: self,
                visitor,
                right: false,
            }),
            Err(Wait(millis)) => {
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                Err(GatewayError::TooManyPasswords(Duration::from_millis(
                    millis,
                )))
            }
        }
    }

    fn turnstile(&self) -> MutexGuard<'_, Turnstile<Visitor>> {
        self.turnstile
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A password that is being checked. Unless it proves right it was wrong, also when whoever
/// sent it did not wait for the answer.
struct Attempt {
    gate: Arc<Gate>,
    visitor: Visitor,
    right: bool,
}

impl Attempt {
    fn check(mut self, password: &Password, said: &str) -> bool {
        self.right = password.is(said.as_bytes());
        self.right
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let counts = &self.gate.counts;
        let count = if self.right {
            &counts.right
        } else {
            &counts.wrong
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.gate.turnstile().end(self.visitor, self.right, ticks());
    }
}

/// What the store knows a token by. No session of a player has such a key.
fn record_key(kind: &str, token: &Token) -> String {
    format!("{kind} {}", hex(&digest(token)))
}

fn digest(token: &Token) -> [u8; 32] {
    Sha256::digest(token.expose()).into()
}

/// `POST /api/gate`. No `Debug`: it is never shown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Said {
    password: String,
}

/// How its body is read.
pub(super) fn body_rules() -> web::JsonConfig {
    use actix_web::error::JsonPayloadError::{Overflow, OverflowKnownLength};
    web::JsonConfig::default()
        .limit(BODY)
        .error_handler(|error, _| {
            // serde's own words may repeat what was sent.
            let why = match error {
                Overflow { .. } | OverflowKnownLength { .. } => GatewayError::TooLong,
                _ => GatewayError::BadBody,
            };
            why.into()
        })
}

/// `GET /api/gate`: [`GateState`].
pub(crate) async fn state(
    request: HttpRequest,
    gate: web::Data<Gate>,
) -> Result<HttpResponse, GatewayError> {
    let open = gate.is_open(request.headers()).await;
    let state = GateState {
        needed: gate.rules.password.is_some(),
        open: open.map_err(GatewayError::Store)?,
    };
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(state))
}

/// `POST /api/gate` with `{"password": …}`: 204 and the cookies; 401 for a wrong password;
/// 429 and `Retry-After` when it was not looked at.
pub(crate) async fn enter(
    request: HttpRequest,
    gate: web::Data<Gate>,
    said: web::Json<Said>,
) -> Result<HttpResponse, GatewayError> {
    let gate = gate.into_inner();
    check_origin(request.head(), &gate.rules.origins)?;
    let Some(password) = gate.rules.password.clone() else {
        return Ok(HttpResponse::NoContent().finish());
    };
    let said = said.into_inner().password;
    if said.len() > password::LONGEST {
        return Err(GatewayError::TooLong);
    }
    let (peer, headers) = (request.peer_addr().map(|peer| peer.ip()), request.headers());
    let mut known = cookie::find(headers, KNOWN);
    if let Some(token) = &known
        && !gate
            .holds(KNOWN, token, now())
            .await
            .map_err(GatewayError::Store)?
    {
        known = None;
    }
    let visitor = known.as_ref().map_or_else(
        || Visitor::At(gate.keeper.guest(peer, headers)),
        |token| Visitor::Known(digest(token)),
    );
    let attempt = Arc::clone(&gate).turn(visitor)?;
    let permit = Arc::clone(&gate.checks).acquire_owned().await;
    // The attempt goes along: it ends when the check does, whoever waits for it.
    let checked = web::block(move || {
        let _permit = permit;
        attempt.check(&password, &said)
    });
    match checked.await {
        Ok(true) => {}
        Ok(false) => return Err(GatewayError::WrongPassword),
        Err(_) => return Err(GatewayError::Overrun),
    }
    let secure = gate.keeper.is_secure(peer, headers);
    let cookies = gate.welcome(known, secure, now()).await;
    let mut response = HttpResponse::NoContent();
    for cookie in cookies.map_err(GatewayError::Store)? {
        response.append_header((header::SET_COOKIE, cookie.to_string()));
    }
    Ok(response.finish())
}

/// `DELETE /api/gate`: shuts the gate to this browser, for good and at every server.
pub(crate) async fn leave(
    request: HttpRequest,
    gate: web::Data<Gate>,
) -> Result<HttpResponse, GatewayError> {
    check_origin(request.head(), &gate.rules.origins)?;
    let headers = request.headers();
    if let Some(token) = cookie::find(headers, OPENS)
        && gate
            .holds(OPENS, &token, now())
            .await
            .map_err(GatewayError::Store)?
    {
        // At the epoch it has expired, by any clock.
        gate.keep(OPENS, &token, 0)
            .await
            .map_err(GatewayError::Store)?;
    }
    let peer = request.peer_addr().map(|peer| peer.ip());
    let gone = Cookie::gone(OPENS, gate.keeper.is_secure(peer, headers));
    Ok(HttpResponse::NoContent()
        .append_header((header::SET_COOKIE, gone.to_string()))
        .finish())
}

/// Around every route of the séance: who has not opened the gate gets 401 there.
pub(crate) async fn only_inside(
    gate: web::Data<Gate>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let open = gate.is_open(request.headers()).await;
    if !open.map_err(GatewayError::Store)? {
        return Err(GatewayError::Shut.into());
    }
    next.call(request).await
}

#[cfg(test)]
mod tests;
