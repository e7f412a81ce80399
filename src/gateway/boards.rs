//! The leaderboards, and the way off them.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderMap},
    web,
};

use super::error::GatewayError;
use crate::{
    rooms::{House, identity::Token, results::MODEL},
    store::{
        Store,
        board::{Kind, Standing, person_id},
    },
    wire::boards::{BoardRow, Boards, Erased},
};

/// Places that a board shows.
const PLACES: u32 = 50;

/// `GET /api/boards`. With `Authorization: Bearer` and a session's token the rows of that
/// session are marked.
pub(crate) async fn boards(
    request: HttpRequest,
    house: web::Data<House>,
) -> Result<HttpResponse, GatewayError> {
    let you = who(request.headers());
    let board = async |kind| {
        let best = house.store.top(kind, PLACES).await;
        let best = best.map_err(GatewayError::Store)?.into_iter();
        let rows = (1..).zip(best);
        let rows = rows.map(|(place, standing)| row(place, kind, standing, you.as_deref()));
        Ok(rows.collect::<Vec<_>>())
    };
    let boards = Boards {
        people: board(Kind::Person).await?,
        machines: board(Kind::Bot).await?,
        judges: board(Kind::Judge).await?,
    };
    Ok(private().json(boards))
}

/// `DELETE /api/boards/me`: takes the session of `Authorization: Bearer` off every board,
/// with its name and all that was counted. Whoever holds the token is that person, also when
/// the session has expired since.
pub(crate) async fn erase(
    request: HttpRequest,
    house: web::Data<House>,
) -> Result<HttpResponse, GatewayError> {
    let you = who(request.headers()).ok_or(GatewayError::NoSession)?;
    let mut erased = false;
    for kind in [Kind::Person, Kind::Judge] {
        let gone = house.store.forget_player(kind, &you).await;
        erased |= gone.map_err(GatewayError::Store)?;
    }
    Ok(private().json(Erased { erased }))
}

/// Under which id the one who asks plays.
fn who(headers: &HeaderMap) -> Option<String> {
    let said = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let token = Token::parse(said.strip_prefix("Bearer ")?)?;
    Some(person_id(&token.key().0))
}

fn private() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response
}

fn row(place: u32, kind: Kind, standing: Standing, you: Option<&str>) -> BoardRow {
    let between = standing.win_interval();
    BoardRow {
        place,
        machine: kind == Kind::Bot || standing.id == MODEL,
        games: standing.games,
        wins: standing.wins,
        share: standing.win_rate(),
        low: between.low,
        high: between.high,
        points: standing.mean(),
        you: kind != Kind::Bot && Some(standing.id.as_str()) == you,
        name: standing.name,
    }
}
