//! Frames and words that no client of ours sends.

use futures_util::{SinkExt, StreamExt};
use parlour::wire::browser::{Bye, FromClient, PROTOCOL, RefusalCode, ToClient};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{self, Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::support::{
    client::{Client, Socket},
    house::House,
    models,
};

async fn bare(house: &House) -> Socket {
    connect_async(house.socket()).await.expect("a socket").0
}

/// The close code that a socket gets after saying `messages`.
async fn closed_with(house: &House, messages: Vec<Message>) -> u16 {
    let mut socket = bare(house).await;
    for message in messages {
        socket.send(message).await.expect("sent");
    }
    loop {
        match socket.next().await.expect("a close frame comes first") {
            Ok(Message::Close(Some(frame))) => return frame.code.into(),
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn hello() -> Message {
    let hello = FromClient::Hello {
        protocol: PROTOCOL,
        session: None,
    };
    Message::text(serde_json::to_string(&hello).expect("json"))
}

#[tokio::test]
async fn whoever_does_not_say_hello_first_is_sent_away() {
    let house = models::scripted(&[]);
    for first in [
        r#"{"type":"ping","nonce":1}"#,
        r#"{"type":"open","id":1,"kind":"direct","mode":"blind"}"#,
        "garbage",
        "{}",
        r#"{"type":"hello","protocol":99}"#,
    ] {
        assert_eq!(
            closed_with(&house, vec![Message::text(first)]).await,
            4100,
            "{first}"
        );
    }
}

#[tokio::test]
async fn binary_frames_and_long_messages_are_hostile() {
    let house = models::scripted(&[]);
    let binary = Message::binary(vec![1, 2, 3]);
    assert_eq!(closed_with(&house, vec![hello(), binary]).await, 4101);
    let long = Message::text("a".repeat((16 << 10) + 1));
    assert_eq!(closed_with(&house, vec![hello(), long]).await, 4101);
}

#[tokio::test]
async fn garbage_after_the_welcome_is_refused_and_the_socket_lives() {
    let house = models::scripted(&[]);
    let mut client = Client::enter(&house, None).await;
    for (garbage, id) in [
        ("garbage", 0),
        ("[]", 0),
        (r#"{"type":"dance","id":7}"#, 7),
        (r#"{"type":"answer","id":8,"round":"one","text":"a"}"#, 8),
        (r#"{"type":"stop","id":9,"more":true}"#, 9),
        (r#"{"type":"stop","id":-1}"#, 0),
    ] {
        client
            .socket
            .send(Message::text(garbage))
            .await
            .expect("sent");
        assert_eq!(
            client.refused().await,
            (id, RefusalCode::Malformed),
            "{garbage}"
        );
    }
    client.say(&FromClient::Ping { nonce: 5 }).await;
    assert_eq!(client.hear().await, ToClient::Pong { nonce: 5 });
}

#[tokio::test]
async fn a_flood_is_refused_message_by_message() {
    let house = models::scripted(&[]);
    let mut client = Client::enter(&house, None).await;
    for id in 0..100 {
        client.say(&FromClient::Stop { id }).await;
    }
    let mut too_fast = 0;
    for _ in 0..100 {
        if client.refused().await.1 == RefusalCode::TooFast {
            too_fast += 1;
        }
    }
    assert!(too_fast > 50, "{too_fast} of 100 were too fast");
}

#[tokio::test]
async fn a_second_hello_is_refused() {
    let house = models::scripted(&[]);
    let mut client = Client::enter(&house, None).await;
    client.socket.send(hello()).await.expect("sent");
    assert_eq!(client.refused().await, (0, RefusalCode::NotNow));
}

#[tokio::test]
async fn a_strange_token_makes_a_new_session() {
    let house = models::scripted(&[]);
    for token in ["", "abc", &"0".repeat(64), "'; drop table sessions; --"] {
        let client = Client::enter(&house, Some(token)).await;
        assert_ne!(client.session, token);
        assert_eq!(client.session.len(), 64);
    }
}

#[tokio::test]
async fn pages_from_elsewhere_open_no_socket() {
    let house = models::scripted(&[("PARLOUR_ORIGINS", "https://friend.test")]);
    for (origin, status) in [
        ("https://evil.test", Some(403)),
        ("null", Some(403)),
        ("https://friend.test", None),
    ] {
        let mut request = house.socket().into_client_request().expect("a request");
        request
            .headers_mut()
            .insert("Origin", HeaderValue::from_static(origin));
        match (connect_async(request).await, status) {
            (Ok(_), None) => {}
            (Err(tungstenite::Error::Http(response)), Some(status)) => {
                assert_eq!(response.status(), status, "{origin}");
            }
            (other, _) => panic!("{origin}: {other:?}"),
        }
    }
}

/// A socket whose frames are made by hand.
async fn raw(house: &House) -> TcpStream {
    let mut socket = TcpStream::connect(&house.address)
        .await
        .expect("a connection");
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        house.address
    );
    socket.write_all(request.as_bytes()).await.expect("sent");
    socket
}

/// Sends until the server has had enough; gives all that it said.
async fn pester(house: &House, first: &[u8], again: &[u8]) -> Vec<u8> {
    let (mut from, mut to) = raw(house).await.into_split();
    let listening = tokio::spawn(async move {
        let mut heard = Vec::new();
        // A reset is an end as well.
        let _ = from.read_to_end(&mut heard).await;
        heard
    });
    to.write_all(first).await.expect("sent");
    while to.write_all(again).await.is_ok() {}
    listening.await.expect("no panic")
}

fn says_hostile(heard: &[u8]) -> bool {
    String::from_utf8_lossy(heard).contains(r#""code":"hostile""#)
}

#[tokio::test]
async fn a_frame_that_announces_gigabytes_is_not_waited_for() {
    let house = models::scripted(&[]);
    let before = house.memory();
    let mut announced = vec![0x81, 0xff];
    announced.extend((4u64 << 30).to_be_bytes());
    announced.extend([1, 2, 3, 4]);
    let heard = pester(&house, &announced, &[0x55; 65536]).await;
    assert!(says_hostile(&heard), "{}", String::from_utf8_lossy(&heard));
    let grown = house.memory().saturating_sub(before);
    assert!(grown < 32 << 20, "it cost {grown} bytes");
}

#[tokio::test]
async fn a_message_of_endless_parts_is_not_gathered() {
    let house = models::scripted(&[]);
    let first = [0x01, 0x81, 0, 0, 0, 0, b'a'];
    let part = [0x00, 0x81, 0, 0, 0, 0, b'a'];
    let heard = pester(&house, &first, &part.repeat(1000)).await;
    assert!(says_hostile(&heard), "{}", String::from_utf8_lossy(&heard));
}

#[tokio::test]
async fn reserved_bits_are_hostile() {
    let house = models::scripted(&[]);
    let heard = pester(&house, &[0xc1, 0x81, 0, 0, 0, 0, b'a'], &[0; 1024]).await;
    assert!(says_hostile(&heard), "{}", String::from_utf8_lossy(&heard));
}

/// How a handshake that names these clients went: the first message and the socket, or the
/// HTTP status.
async fn knock(house: &House, forwarded: Option<&'static str>) -> Result<Entered, u16> {
    let mut request = house.socket().into_client_request().expect("a request");
    if let Some(forwarded) = forwarded {
        request
            .headers_mut()
            .insert("X-Forwarded-For", HeaderValue::from_static(forwarded));
    }
    let mut socket = match connect_async(request).await {
        Ok((socket, _)) => socket,
        Err(tungstenite::Error::Http(response)) => {
            assert!(response.headers().contains_key("retry-after"));
            return Err(response.status().as_u16());
        }
        Err(error) => panic!("{error}"),
    };
    // It may have been sent away before it could say so.
    let _ = socket.send(hello()).await;
    loop {
        match socket.next().await.expect("an answer") {
            Ok(Message::Text(text)) => {
                let heard = serde_json::from_str(&text).expect("a message");
                return Ok(Entered {
                    heard,
                    _socket: socket,
                });
            }
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// It stays open as long as this is held.
struct Entered {
    heard: ToClient,
    _socket: Socket,
}

fn is_welcome(answer: &Result<Entered, u16>) -> bool {
    matches!(answer, Ok(entered) if matches!(entered.heard, ToClient::Welcome { .. }))
}

fn is_full(answer: &Result<Entered, u16>) -> bool {
    let full = |heard: &ToClient| {
        matches!(
            heard,
            ToClient::Bye {
                code: Bye::Full,
                come_back: true,
                ..
            }
        )
    };
    matches!(answer, Ok(entered) if full(&entered.heard))
}

#[tokio::test]
async fn an_address_has_so_many_sockets_and_no_more() {
    let house = models::scripted(&[("PARLOUR_SOCKETS_PER_ADDRESS", "2")]);
    let (first, second) = (knock(&house, None).await, knock(&house, None).await);
    assert!(is_welcome(&first) && is_welcome(&second));
    // Without a proxy that is trusted, nobody can be somebody else by saying so.
    let third = knock(&house, Some("1.2.3.4")).await;
    assert!(is_full(&third));
}

#[tokio::test]
async fn a_trusted_proxy_says_who_its_clients_are() {
    let house = models::scripted(&[
        ("PARLOUR_SOCKETS_PER_ADDRESS", "1"),
        ("PARLOUR_TRUST_PROXY", "127.0.0.0/8, ::1"),
    ]);
    let first = knock(&house, Some("1.2.3.4")).await;
    let other = knock(&house, Some("5.6.7.8")).await;
    assert!(is_welcome(&first) && is_welcome(&other));
    // What stands before the proxy's own word, the client made up.
    let again = knock(&house, Some("9.9.9.9, 1.2.3.4")).await;
    assert!(is_full(&again));
}

#[tokio::test]
async fn who_comes_too_often_is_told_when_to_come_again() {
    let house = models::scripted(&[("PARLOUR_CONNECTS_PER_MINUTE", "3")]);
    for _ in 0..3 {
        assert!(is_welcome(&knock(&house, None).await));
    }
    assert_eq!(knock(&house, None).await.err(), Some(429));
}

#[tokio::test]
async fn a_handshake_elsewhere_is_told_that_nothing_is_there() {
    let house = models::scripted(&[]);
    let url = house.socket().replace("/ws", "/elsewhere");
    match connect_async(url).await {
        Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 404),
        other => panic!("{other:?}"),
    }
}
