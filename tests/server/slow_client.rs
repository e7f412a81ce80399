//! Who does not read costs little and is let go.

use futures_util::{SinkExt, StreamExt};
use parlour::{
    play::imitation::{Kind, Mode},
    wire::browser::{Bye, FromClient, ToClient},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{client::Client, house::House, models};

#[tokio::test]
async fn a_client_that_never_reads_is_let_go_and_its_memory_is_bounded() {
    let house = House::with_toy(&[("PARLOUR_PING_SECONDS", "1")]);
    let before = house.memory();
    let mut client = Client::enter(&house, None).await;
    client.open(Kind::Direct, Mode::Blind).await;
    // Asks and asks, and never reads what it is told, until the server has had enough.
    let question = serde_json::to_string(&FromClient::Answer {
        id: 1,
        round: 99,
        text: "a".repeat(400),
    })
    .expect("json");
    while client
        .socket
        .send(Message::text(question.clone()))
        .await
        .is_ok()
    {}
    let grown = house.memory().saturating_sub(before);
    assert!(grown < 64 << 20, "it cost {grown} bytes");
    // The session is free: its seat and its game wait.
    let again = Client::enter(&house, Some(&client.session)).await;
    assert!(again.room.is_some());
}

#[tokio::test]
async fn a_client_that_falls_silent_is_told_to_come_back() {
    let house = models::scripted(&[("PARLOUR_PING_SECONDS", "1")]);
    // Speaks the handshake by hand, so that nothing answers pings for it.
    let mut socket = tokio::net::TcpStream::connect(&house.address)
        .await
        .expect("a connection");
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        house.address
    );
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut heard = Vec::new();
    socket
        .read_to_end(&mut heard)
        .await
        .expect("the server closes");
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.contains(r#""code":"silent""#), "{heard}");
    assert!(heard.contains(r#""come_back":true"#), "{heard}");
}

#[tokio::test]
async fn when_every_socket_is_taken_the_next_is_told_so() {
    let house = models::scripted(&[("PARLOUR_SOCKETS", "1")]);
    let first = Client::enter(&house, None).await;
    let (mut second, _) = tokio_tungstenite::connect_async(house.socket())
        .await
        .expect("the handshake is not refused");
    let mut heard = Vec::new();
    while let Some(Ok(message)) = second.next().await {
        heard.push(message);
    }
    let [Message::Text(bye), Message::Close(Some(frame))] = heard.as_slice() else {
        panic!("{heard:?}");
    };
    let bye: ToClient = serde_json::from_str(bye).expect("a message");
    assert!(
        matches!(
            bye,
            ToClient::Bye {
                code: Bye::Full,
                come_back: true,
                ..
            }
        ),
        "{bye:?}"
    );
    assert_eq!(u16::from(frame.code), 4003);
    drop(first);
}
