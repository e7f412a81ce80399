//! The one place where an error becomes an HTTP status and a body that says what to do.
//! (Errors inside a socket become close codes: [`crate::rooms::session::close_code`].)

use actix_web::{HttpResponse, ResponseError, http::StatusCode};

use serde::Serialize;

use super::socket::HandshakeError;
use crate::store::StoreError;

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    #[error("pages of {0} may not open a socket here; allow it with PARLOUR_ORIGINS")]
    ForeignOrigin(String),
    /// The system gave no second handle on the connection: it has too few left.
    #[error("the server is out of file handles; come back later")]
    NoLifeline,
    #[error("this is no WebSocket handshake: {0}")]
    Handshake(HandshakeError),
    #[error("there is nothing here")]
    NotFound,
    #[error("the store cannot be read now; try again")]
    Store(#[source] StoreError),
    #[error("what the store holds cannot be read")]
    Damaged,
    #[error("the front end is not part of this build; build it first (see README)")]
    NoFrontEnd,
}

#[derive(Serialize)]
struct Body {
    error: String,
}

impl ResponseError for GatewayError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::ForeignOrigin(_) => StatusCode::FORBIDDEN,
            Self::NoLifeline | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Handshake(HandshakeError::GetMethodRequired) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Handshake(_) => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Damaged => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoFrontEnd => StatusCode::NOT_IMPLEMENTED,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if self.status_code() == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header(("Retry-After", "10"));
        }
        response.json(Body {
            error: self.to_string(),
        })
    }
}
