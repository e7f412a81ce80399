//! Who does not read costs little and is let go.

use futures_util::{SinkExt, StreamExt};
use parlour::{
    play::imitation::{Kind, Mode},
    wire::browser::{Bye, FromClient, PROTOCOL, ToClient},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
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

/// Bytes that a socket may cost the server while its client does not read; docs/operating.md
/// says so.
const BOUND: u64 = 128 << 10;

/// A socket that shakes hands by hand and then holds as little unread as its system lets it.
async fn deaf(house: &House) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let address = house.address.parse().expect("an address");
    let mut socket = socket.connect(address).await.expect("a connection");
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        house.address
    );
    socket.write_all(request.as_bytes()).await.expect("sent");
    socket
}

/// A client's text frame, its mask zero.
fn frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("short");
    assert!(length < 126);
    let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
    frame.extend(text.as_bytes());
    frame
}

#[tokio::test]
async fn two_hundred_that_never_read_while_their_rooms_stream_cost_a_bounded_amount() {
    let house = House::with_toy(&[
        ("PARLOUR_PING_SECONDS", "2"),
        ("PARLOUR_SLOTS", "200"),
        ("PARLOUR_QUEUE", "1000"),
    ]);
    let before = house.memory();
    let mut deafs = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let mut socket = deaf(&house).await;
        deafs.spawn(async move {
            let hello = frame(&format!(r#"{{"type":"hello","protocol":{PROTOCOL}}}"#));
            let open = frame(r#"{"type":"open","id":1,"kind":"direct","mode":"explanatory"}"#);
            // Whatever is asked is answered, if only by a refusal: that fills what the
            // system keeps, and then what the server does.
            let flood = frame(r#"{"type":"stop","id":4294967295,"what":"is this?"}"#).repeat(64);
            let mut sent = socket.write_all(&hello).await;
            if sent.is_ok() {
                sent = socket.write_all(&open).await;
            }
            while sent.is_ok() {
                sent = socket.write_all(&flood).await;
            }
        });
    }
    // Each writes until the server has had enough of it.
    while let Some(ended) = deafs.join_next().await {
        ended.expect("no panic");
    }
    let grown = house.most_memory().saturating_sub(before);
    assert!(grown < 200 * BOUND, "{} KiB each", grown / 200 / 1024);
    // And the house is as it was.
    let mut client = Client::enter(&house, None).await;
    client.open(Kind::Direct, Mode::Blind).await;
}

#[tokio::test]
async fn the_place_of_a_half_open_socket_is_free_again() {
    let house = models::scripted(&[("PARLOUR_PING_SECONDS", "1"), ("PARLOUR_SOCKETS", "1")]);
    // From the server's side it is a client whose machine has lost its power: nothing comes
    // any more, not even the end.
    let _gone = deaf(&house).await;
    let is_empty = || async {
        let page = reqwest::get(house.url("/metrics"))
            .await
            .expect("an answer");
        let page = page.text().await.expect("text");
        page.contains("\nparlour_sockets 0\n")
    };
    while is_empty().await {}
    while !is_empty().await {}
    Client::enter(&house, None).await;
}
