//! Which machines can sit down at a table.

use actix_web::{HttpResponse, http::header, web};

use super::error::GatewayError;
use crate::{play::party::Machine, rooms::cast::Cast};

/// `GET /api/machines`: the list of them.
pub(crate) async fn machines(cast: web::Data<Cast>) -> Result<HttpResponse, GatewayError> {
    let cast = cast.into_inner();
    let machines: Vec<Machine> = web::block(move || cast.machines())
        .await
        .map_err(|_| GatewayError::Overrun)?;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-cache"));
    Ok(response.json(machines))
}
