//! The WebSocket handshake: who may open one, and how its connection is handed to a session.
//!
//! The connection is taken out of the HTTP server here. The server's task and its buffers
//! (tens of kilobytes, once touched) end with the handshake.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix::Actor;
use actix_codec::Framed;
use actix_http::{
    Request, h1,
    ws::{hash_key, verify_handshake},
};
use actix_web::{ResponseError, dev::RequestHead, http::header, rt::net::TcpStream};
use tokio::{io::AsyncWriteExt as _, sync::Semaphore};

use super::{
    doorkeeper::{Doorkeeper, Guest},
    error::GatewayError,
    gate::Gate,
    reaper::Reaper,
};
use crate::rooms::{
    link::Link,
    pulse::{Pulse, ticks},
    session::{self, Doorway, Place, Session},
};

pub(super) use actix_http::ws::HandshakeError;

/// Where sockets are opened.
pub(super) const PATH: &str = "/ws";

/// A room may be named behind it, so that a proxy can send all of a room to one server; here
/// it means nothing.
pub(super) const ROOM_PATH: &str = "/ws/{room}";

/// How long a handshake waits for the gate.
const GATE: Duration = Duration::from_secs(2);

fn is_socket(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| {
        rest.is_empty()
            || rest
                .strip_prefix('/')
                .is_some_and(|room| !room.is_empty() && !room.contains('/'))
    })
}

/// What every handshake needs.
pub(crate) struct Porch {
    pub(crate) door: Arc<Doorway>,
    pub(crate) reaper: Reaper,
    /// One permit for each socket that may be open.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) keeper: Arc<Doorkeeper>,
    /// Says who may come to the séance.
    pub(crate) gate: Arc<Gate>,
    /// Origins besides our own.
    pub(crate) origins: Vec<String>,
    pub(crate) sockets: AtomicU64,
}

/// A request that would become a WebSocket, whatever its path. The connection ends with a
/// refusal or belongs to a session.
pub(super) async fn open(
    (request, framed): (Request, Framed<TcpStream, h1::Codec>),
    porch: Arc<Porch>,
) -> Result<(), Infallible> {
    let parts = framed.into_parts();
    let mut stream = parts.io;
    let peer = request.peer_addr().map(|peer| peer.ip());
    // A client that is gone by now needs no answer.
    match admit(request.head(), peer, &porch) {
        Ok((switching, guest)) => {
            let inside = is_inside(request.head(), &porch).await;
            if stream.write_all(switching.as_bytes()).await.is_ok() {
                greet(stream, &parts.read_buf, guest, inside, &porch);
            }
        }
        Err(error) => {
            let _ = stream.write_all(&refusal(&error)).await;
            let _ = stream.shutdown().await;
        }
    }
    Ok(())
}

/// Whether the gate is open to whoever this is. While nobody can say it is shut.
async fn is_inside(head: &RequestHead, porch: &Porch) -> bool {
    match tokio::time::timeout(GATE, porch.gate.is_open(head.headers())).await {
        Ok(Ok(open)) => open,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the gate cannot be asked");
            false
        }
        Err(_) => false,
    }
}

/// Looks at the request; gives the answer that accepts it, and whose socket it is.
fn admit(
    head: &RequestHead,
    peer: Option<IpAddr>,
    porch: &Porch,
) -> Result<(String, Guest), GatewayError> {
    if !is_socket(head.uri.path()) {
        return Err(GatewayError::NotFound);
    }
    check_origin(head, &porch.origins)?;
    let switching = accept(head).map_err(GatewayError::Handshake)?;
    let guest = porch.keeper.guest(peer, head.headers());
    porch.keeper.knock(guest)?;
    Ok((switching, guest))
}

/// The answer to a handshake (RFC 6455, section 4.2.2).
///
/// # Errors
/// When the request is none.
pub fn accept(head: &RequestHead) -> Result<String, HandshakeError> {
    verify_handshake(head)?;
    let key = head
        .headers()
        .get(header::SEC_WEBSOCKET_KEY)
        .ok_or(HandshakeError::BadWebsocketKey)?;
    let accept = hash_key(key.as_bytes());
    let accept = std::str::from_utf8(&accept).map_err(|_| HandshakeError::BadWebsocketKey)?;
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}

fn refusal(error: &GatewayError) -> Vec<u8> {
    let status = error.status_code();
    let body = error.body();
    let wait = error
        .wait()
        .map(|seconds| format!("Retry-After: {seconds}\r\n"))
        .unwrap_or_default();
    format!(
        "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{wait}\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{body}",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        body.len()
    )
    .into_bytes()
}

/// Starts the session. Whoever finds no place is told so on the socket: a browser would show
/// its page nothing of an HTTP answer.
fn greet(stream: TcpStream, rest: &[u8], guest: Guest, inside: bool, porch: &Porch) {
    let link = Link::new(stream, rest, session::LIMITS);
    let connection = Arc::clone(link.stream());
    let pulse = Arc::new(Pulse::new(ticks()));
    let socket = porch.sockets.fetch_add(1, Ordering::Relaxed);
    let place = find_place(guest, porch);
    let session = Session::new(
        Arc::clone(&porch.door),
        socket,
        Arc::clone(&pulse),
        link,
        place,
        inside,
    )
    .start();
    porch.reaper.watch(&connection, session.downgrade(), pulse);
}

fn find_place(guest: Guest, porch: &Porch) -> Result<Place, &'static str> {
    let permit = Arc::clone(&porch.permits)
        .try_acquire_owned()
        .map_err(|_| "every place is taken; come back later")?;
    let entry = porch
        .keeper
        .enter(guest)
        .ok_or("too many sockets are open from your address; come back later")?;
    Ok(Box::new((permit, entry)))
}

/// A page may open a socket, or the gate, if it came from here or from an origin that was allowed; a
/// browser says so truthfully. What is no browser sends no origin.
///
/// # Errors
/// When it came from elsewhere.
pub(super) fn check_origin(head: &RequestHead, allowed: &[String]) -> Result<(), GatewayError> {
    let Some(origin) = head.headers().get(header::ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let host = head
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let ours = origin.split_once("://").is_some_and(|(_, authority)| {
        host.is_some_and(|host| authority.eq_ignore_ascii_case(host))
    });
    let known = allowed
        .iter()
        .any(|known| known.trim_end_matches('/').eq_ignore_ascii_case(origin));
    if ours || known {
        Ok(())
    } else {
        Err(GatewayError::ForeignOrigin(origin.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn may(origin: Option<&str>) -> bool {
        let mut request = TestRequest::get().insert_header((header::HOST, "parlour.test:8080"));
        if let Some(origin) = origin {
            request = request.insert_header((header::ORIGIN, origin.to_owned()));
        }
        let allowed = ["https://friend.test/".to_owned()];
        check_origin(request.to_request().head(), &allowed).is_ok()
    }

    #[test]
    fn only_our_own_pages_and_allowed_ones_may_open_a_socket() {
        assert!(may(None));
        assert!(may(Some("http://parlour.test:8080")));
        assert!(may(Some("https://PARLOUR.test:8080")));
        assert!(may(Some("https://friend.test")));
        for foreign in [
            "null",
            "",
            "http://parlour.test",
            "http://evil.test",
            "http://parlour.test:8080.evil.test",
            "http://evil.test/parlour.test:8080",
        ] {
            assert!(!may(Some(foreign)), "{foreign}");
        }
    }

    /// The example of RFC 6455, section 1.3.
    #[test]
    fn the_answer_proves_that_the_key_was_read() {
        let request = TestRequest::get()
            .insert_header((header::CONNECTION, "Upgrade"))
            .insert_header((header::UPGRADE, "websocket"))
            .insert_header((header::SEC_WEBSOCKET_VERSION, "13"))
            .insert_header((header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="))
            .to_request();
        let answer = accept(request.head()).expect("a handshake");
        assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        let none = TestRequest::get().to_request();
        assert!(accept(none.head()).is_err());
    }
}
