//! A client that keeps every byte it ever got.

use futures_util::{SinkExt, StreamExt};
use parlour::{
    play::imitation::{Kind, Mode},
    wire::browser::{FromClient, PROTOCOL, RefusalCode, ToClient},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, protocol::CloseFrame},
};

use super::{house::House, seen::Seen};

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One socket of one player.
pub struct Client {
    pub socket: Socket,
    pub session: String,
    /// The room that the welcome named.
    pub room: Option<String>,
    /// Every text frame, in order.
    pub heard: Vec<String>,
    next_id: u32,
}

impl Client {
    /// Connects and says hello, with a session of before or without one.
    pub async fn enter(house: &House, session: Option<&str>) -> Self {
        Self::enter_at(&house.socket(), session).await
    }

    /// Comes in through this URL.
    pub async fn enter_at(url: &str, session: Option<&str>) -> Self {
        let (socket, _) = connect_async(url).await.expect("a socket");
        Self::enter_by(socket, session).await
    }

    /// Says hello on a socket that has shaken hands.
    pub async fn enter_by(socket: Socket, session: Option<&str>) -> Self {
        let mut client = Self {
            socket,
            session: String::new(),
            room: None,
            heard: Vec::new(),
            next_id: 0,
        };
        client
            .say(&FromClient::Hello {
                protocol: PROTOCOL,
                session: session.map(str::to_owned),
            })
            .await;
        match client.hear().await {
            ToClient::Welcome { session, room, .. } => {
                client.session = session;
                client.room = room;
            }
            other => panic!("{other:?}"),
        }
        client
    }

    pub async fn say(&mut self, message: &FromClient) {
        let text = serde_json::to_string(message).expect("json");
        self.socket
            .send(Message::text(text))
            .await
            .expect("it is sent");
    }

    /// The next message.
    pub async fn hear(&mut self) -> ToClient {
        match self.hear_or_close().await {
            Ok(message) => message,
            Err(close) => panic!("the socket closed: {close:?}"),
        }
    }

    /// The next message, or how the socket was closed.
    pub async fn hear_or_close(&mut self) -> Result<ToClient, Option<CloseFrame>> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    self.heard.push(text.as_str().to_owned());
                    return Ok(serde_json::from_str(&text).expect("a message of the protocol"));
                }
                Some(Ok(Message::Close(frame))) => return Err(frame),
                Some(Ok(_)) => {}
                Some(Err(tungstenite::Error::ConnectionClosed)) | None => return Err(None),
                Some(Err(error)) => panic!("{error}"),
            }
        }
    }

    /// Everything up to the close; gives the close frame.
    pub async fn until_closed(&mut self) -> Option<CloseFrame> {
        loop {
            if let Err(frame) = self.hear_or_close().await {
                return frame;
            }
        }
    }

    pub fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    /// Opens a game and reads up to where it says so.
    pub async fn open(&mut self, kind: Kind, mode: Mode) -> Seen {
        let id = self.id();
        self.say(&FromClient::Open {
            id,
            kind,
            mode,
            name: "Ada".into(),
        })
        .await;
        // What a room of before still had to say may come first.
        while self.hear().await != (ToClient::Accepted { id }) {}
        self.joined().await
    }

    /// Comes back to what was seen before.
    pub async fn resume(&mut self, seen: &mut Seen) {
        let id = self.id();
        self.say(&FromClient::Resume {
            id,
            room: seen.room.clone(),
            epoch: seen.epoch,
            offset: u32::try_from(seen.events.len()).expect("few"),
        })
        .await;
        while self.hear().await != (ToClient::Accepted { id }) {}
        let joined = self.hear().await;
        assert!(matches!(joined, ToClient::Joined { .. }), "{joined:?}");
        seen.take(&joined);
    }

    /// The room that the next message says we sit in.
    pub async fn joined(&mut self) -> Seen {
        let message = self.hear().await;
        Seen::begin(&message).unwrap_or_else(|| panic!("{message:?}"))
    }

    /// Reads on until `enough`; gives what was read.
    pub async fn follow(
        &mut self,
        seen: &mut Seen,
        enough: impl Fn(&Seen) -> bool,
    ) -> Vec<ToClient> {
        let mut read = Vec::new();
        while !enough(seen) {
            let message = self.hear().await;
            seen.take(&message);
            read.push(message);
        }
        read
    }

    /// Answers, and reads on until the answer is taken.
    pub async fn answer(&mut self, seen: &mut Seen, text: &str) {
        let id = self.id();
        self.say(&FromClient::Answer {
            id,
            round: seen.round(),
            text: text.to_owned(),
        })
        .await;
        loop {
            let message = self.hear().await;
            seen.take(&message);
            match message {
                ToClient::Accepted { id: accepted } if accepted == id => return,
                ToClient::Refused { .. } => panic!("{message:?}"),
                _ => {}
            }
        }
    }

    /// The next refusal.
    pub async fn refused(&mut self) -> (u32, RefusalCode) {
        loop {
            if let ToClient::Refused { id, code, .. } = self.hear().await {
                return (id, code);
            }
        }
    }

    /// Plays on to the end, and takes in what is unveiled then.
    pub async fn play_out(&mut self, seen: &mut Seen) {
        while !seen.is_over() {
            self.follow(seen, |seen| seen.is_over() || seen.my_turn())
                .await;
            if !seen.is_over() {
                let answer = format!("I went for a walk by the river, {} times", seen.round());
                self.answer(seen, &answer).await;
                // Our turn is over once the room says so.
                self.follow(seen, |seen| !seen.my_turn() || seen.is_over())
                    .await;
            }
        }
        self.unveiled(seen).await;
    }

    /// Reads up to the unveiling.
    pub async fn unveiled(&mut self, seen: &mut Seen) {
        loop {
            let message = self.hear().await;
            seen.take(&message);
            if matches!(message, ToClient::Unveiled { .. }) {
                return;
            }
        }
    }
}
