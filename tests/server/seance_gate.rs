//! The séance behind its gate: what the cookie opens, and who may take away what was said.

use parlour::wire::{
    browser::{FromClient, RefusalCode},
    transcript::SeanceTranscript,
};
use reqwest::{
    StatusCode,
    header::{AUTHORIZATION, COOKIE, SET_COOKIE},
};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{client::IntoClientRequest as _, http::HeaderValue},
};

use super::{
    gate::{PASSWORD, cookies, phc, say},
    support::{
        client::Client,
        house::House,
        seance::{Guest, house},
    },
};

/// A socket whose handshake carries this cookie.
async fn enter(house: &House, cookie: &str) -> Client {
    let mut request = house.socket().into_client_request().expect("a request");
    let cookie = HeaderValue::from_str(cookie).expect("a cookie");
    request.headers_mut().insert(COOKIE.as_str(), cookie);
    let (socket, _) = connect_async(request).await.expect("a socket");
    Client::enter_by(socket, None).await
}

/// What is handed out to a request with this cookie and this session.
async fn taken(
    house: &House,
    room: &str,
    cookie: Option<&str>,
    session: Option<&str>,
) -> Result<SeanceTranscript, StatusCode> {
    let address = house.url(&format!("/api/seance/transcript/{room}"));
    let mut request = reqwest::Client::new().get(address);
    if let Some(cookie) = cookie {
        request = request.header(COOKIE, cookie);
    }
    if let Some(session) = session {
        request = request.header(AUTHORIZATION, format!("Bearer {session}"));
    }
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let body = response.text().await.expect("text");
    if !status.is_success() {
        assert!(!body.contains("secret"), "{body}");
        return Err(status);
    }
    Ok(serde_json::from_str(&body).expect("a transcript"))
}

#[actix_web::test]
async fn a_transcript_is_for_whoever_is_inside_and_a_session_alone_opens_nothing() {
    let house = house(&[("PARLOUR_PASSWORD", &phc())]);
    let mine = cookies(&say(&house, PASSWORD, None, None).await);
    let theirs = cookies(&say(&house, PASSWORD, None, None).await);
    let mut sitter = Guest::enter_by(enter(&house, &mine).await, true).await;
    sitter.question("a secret").await.expect("it is taken");
    sitter.until(|guest| guest.whole().is_some()).await;
    let room = sitter.room.clone();
    let session = sitter.client.session.clone();

    // Neither a session nor a cookie that was made up is a key.
    let forged = format!("parlour_gate={}", "0".repeat(64));
    for cookie in [None, Some(forged.as_str())] {
        for session in [None, Some(session.as_str())] {
            let refused = taken(&house, &room, cookie, session).await;
            assert_eq!(refused.err(), Some(StatusCode::UNAUTHORIZED));
        }
    }
    // Whoever is inside may watch, on the page as here; only who waits is told nothing.
    let watched = taken(&house, &room, Some(&theirs), None).await;
    let watched = watched.expect("it is open");
    assert_eq!((watched.you, watched.turns.len()), (None, 1));
    let own = taken(&house, &room, Some(&mine), Some(&session)).await;
    let own = own.expect("it is open");
    assert!(own.you.is_some());
    assert_eq!(own.turns, watched.turns);
    let waits = Guest::enter_by(enter(&house, &theirs).await, true).await;
    let waiting = taken(&house, &room, Some(&theirs), Some(&waits.client.session)).await;
    let waiting = waiting.expect("it is open");
    assert!(waiting.you.is_some() && waiting.turns.is_empty());
    // A cookie that was given back is none.
    let request = reqwest::Client::new().delete(house.url("/api/gate"));
    let gone = request.header(COOKIE, &mine).send().await;
    assert!(gone.expect("an answer").headers().contains_key(SET_COOKIE));
    let refused = taken(&house, &room, Some(&mine), Some(&session)).await;
    assert_eq!(refused.err(), Some(StatusCode::UNAUTHORIZED));
    assert!(taken(&house, &room, Some(&theirs), None).await.is_ok());
}

#[actix_web::test]
async fn a_socket_without_the_cookie_is_told_nothing_of_the_seance() {
    let house = house(&[("PARLOUR_PASSWORD", &phc())]);
    let cookie = cookies(&say(&house, PASSWORD, None, None).await);
    let mut sitter = Guest::enter_by(enter(&house, &cookie).await, true).await;
    let forged = format!("parlour_gate={}", "f".repeat(64));
    for cookie in ["", forged.as_str()] {
        let mut guest = Guest::strange(enter(&house, cookie).await);
        for sit in [true, false] {
            let id = guest.client.id();
            let enter = FromClient::EnterSeance {
                id,
                sit,
                room: Some(sitter.room.clone()),
                held: None,
            };
            assert_eq!(guest.ask_for(&enter, id).await, Err(RefusalCode::Locked));
        }
        assert_eq!(guest.press().await, Err(RefusalCode::NoSuchRoom));
        assert!(guest.events.is_empty() && guest.lines.is_empty());
    }
    sitter.question("Who are you?").await.expect("it sits");
}
