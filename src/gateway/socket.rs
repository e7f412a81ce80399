//! The WebSocket handshake: who may open one, and what stands between the wire and the
//! session.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use actix_web_actors::ws::{self, WebsocketContext};
use tokio::sync::Semaphore;

use super::{
    error::GatewayError,
    frame_guard::Guarded,
    reaper::{Lifeline, Reaper},
};
use crate::{
    rooms::{
        identity::now,
        pulse::Pulse,
        session::{Doorway, Session},
    },
    wire::browser::MAX_CLIENT_FRAME,
};

pub(super) use ws::HandshakeError;

/// What every handshake needs.
pub(crate) struct Porch {
    pub(crate) door: Doorway,
    pub(crate) reaper: Reaper,
    /// One permit for each socket that may be open.
    pub(crate) permits: Arc<Semaphore>,
    /// Origins besides our own.
    pub(crate) origins: Vec<String>,
    pub(crate) sockets: AtomicU64,
}

/// `GET /ws`
pub(crate) async fn open(
    request: HttpRequest,
    body: web::Payload,
    porch: web::Data<Porch>,
) -> Result<HttpResponse, GatewayError> {
    check_origin(&request, &porch.origins)?;
    let mut response = ws::handshake(&request).map_err(GatewayError::Handshake)?;
    // Whoever finds no place is told so on the socket: a browser would show its page
    // nothing of an HTTP answer.
    let place = Arc::clone(&porch.permits).try_acquire_owned().ok();
    // Without a second handle nobody could end a socket that does not read.
    let line = request
        .conn_data::<Arc<Lifeline>>()
        .ok_or(GatewayError::NoLifeline)?;
    let pulse = Arc::new(Pulse::new(now()));
    porch.reaper.watch(line, Arc::clone(&pulse));
    let socket = porch.sockets.fetch_add(1, Ordering::Relaxed);
    let session = Session::new(porch.door.clone(), socket, pulse, place);
    let frames = Guarded::new(body, MAX_CLIENT_FRAME);
    Ok(response.streaming(WebsocketContext::create(session, frames)))
}

/// A page may open a socket if it came from here or from an origin that was allowed; a
/// browser says so truthfully. What is no browser sends no origin.
fn check_origin(request: &HttpRequest, allowed: &[String]) -> Result<(), GatewayError> {
    let Some(origin) = request.headers().get(header::ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let host = request
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
        check_origin(&request.to_http_request(), &allowed).is_ok()
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
}
