//! The one place where an error becomes an HTTP status and a body that says what to do.
//! (Errors inside a socket become close codes: [`crate::rooms::session::close_code`].)

use std::time::Duration;

use actix_web::{HttpResponse, ResponseError, http::StatusCode};

use super::socket::HandshakeError;
use crate::store::StoreError;

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    #[error("pages of {0} may not come in here; allow it with PARLOUR_ORIGINS")]
    ForeignOrigin(String),
    #[error("your address opens too many sockets; come back in {} s", .0.as_secs())]
    TooManyConnections(Duration),
    #[error("this is no WebSocket handshake: {0}")]
    Handshake(HandshakeError),
    #[error("say who you are: `Authorization: Bearer` and the session of your welcome")]
    NoSession,
    #[error("the gate is shut; open it with `POST /api/gate` and the password")]
    Shut,
    #[error("this is not the password")]
    WrongPassword,
    #[error("the password was not looked at, too many were wrong; come back in {} s", seconds(.0))]
    TooManyPasswords(Duration),
    #[error("the body of the request is not what belongs here")]
    BadBody,
    #[error("the body of the request is too long")]
    TooLong,
    #[error("the server is overrun; try again")]
    Overrun,
    #[error("there is nothing here")]
    NotFound,
    #[error("the store cannot be read now; try again")]
    Store(#[source] StoreError),
    #[error("what the store holds cannot be read")]
    Damaged,
    #[error("the front end is not part of this build; build it first (see README)")]
    NoFrontEnd,
}

/// Whole seconds after which the wait is over for certain.
fn seconds(wait: &Duration) -> u64 {
    wait.as_millis()
        .div_ceil(1000)
        .max(1)
        .try_into()
        .unwrap_or(u64::MAX)
}

impl GatewayError {
    /// Seconds after which it is worth trying again.
    pub(super) fn wait(&self) -> Option<u64> {
        match self {
            Self::TooManyConnections(wait) => Some(wait.as_secs().max(1)),
            Self::TooManyPasswords(wait) => Some(seconds(wait)),
            Self::Store(_) | Self::Overrun => Some(10),
            _ => None,
        }
    }

    /// What the answer says, JSON.
    pub(super) fn body(&self) -> String {
        serde_json::json!({ "error": self.to_string() }).to_string()
    }
}

impl ResponseError for GatewayError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::ForeignOrigin(_) => StatusCode::FORBIDDEN,
            Self::TooManyConnections(_) | Self::TooManyPasswords(_) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::NoSession | Self::Shut | Self::WrongPassword => StatusCode::UNAUTHORIZED,
            Self::BadBody => StatusCode::BAD_REQUEST,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Store(_) | Self::Overrun => StatusCode::SERVICE_UNAVAILABLE,
            Self::Handshake(HandshakeError::GetMethodRequired) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Handshake(_) => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Damaged => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoFrontEnd => StatusCode::NOT_IMPLEMENTED,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(wait) = self.wait() {
            response.insert_header(("Retry-After", wait));
        }
        response.content_type("application/json").body(self.body())
    }
}
