//! The front end, as it lies in the program.

use actix_web::{HttpRequest, HttpResponse, http::header};
use rust_embed::{Embed, EmbeddedFile};

use super::error::GatewayError;

/// What Vite built. Absent in builds of the server alone.
#[derive(Embed)]
#[folder = "frontend/dist/"]
#[allow_missing = true]
struct Dist;

/// Vite puts a hash of the content into the names of files in this folder, so they never
/// change.
const HASHED: &str = "assets/";

/// `GET /`, `/play/…`, `/replay/…`: the one page, which reads its address itself.
pub(crate) async fn index(request: HttpRequest) -> Result<HttpResponse, GatewayError> {
    let page = Dist::get("index.html").ok_or(GatewayError::NoFrontEnd)?;
    Ok(serve(&request, &page, "no-cache"))
}

/// Any other path: a file of the front end, or nothing.
pub(crate) async fn file(request: HttpRequest) -> Result<HttpResponse, GatewayError> {
    let path = request.path().trim_start_matches('/');
    let file = Dist::get(path).ok_or(GatewayError::NotFound)?;
    let cache = if path.starts_with(HASHED) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    Ok(serve(&request, &file, cache))
}

fn serve(request: &HttpRequest, file: &EmbeddedFile, cache: &'static str) -> HttpResponse {
    let hash = file.metadata.sha256_hash();
    let etag = hash[..16]
        .iter()
        .fold(String::from("\""), |tag, byte| format!("{tag}{byte:02x}"))
        + "\"";
    let same = request
        .headers()
        .get(header::IF_NONE_MATCH)
        .is_some_and(|held| held.as_bytes() == etag.as_bytes());
    let mut response = if same {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((header::CACHE_CONTROL, cache))
        .insert_header((header::ETAG, etag));
    if same {
        return response.finish();
    }
    response
        .content_type(file.metadata.mimetype())
        .body(file.data.clone().into_owned())
}
