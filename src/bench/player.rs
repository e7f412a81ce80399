//! A client of the browser protocol that plays.

use anyhow::Context as _;
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use crate::{
    play::imitation::{Kind, Mode},
    wire::{
        browser::{FromClient, PROTOCOL, ToClient},
        sound::SoundFrame,
    },
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One socket, greeted.
pub(super) struct Player {
    mouth: Mouth,
    ears: Ears,
}

/// What comes over a socket.
pub(super) enum Heard {
    Message(Box<ToClient>),
    Sound(SoundFrame),
}

/// The half of a socket that says something.
pub(super) struct Mouth {
    sink: SplitSink<Socket, Message>,
    next_id: u32,
}

/// The half of a socket that hears.
pub(super) struct Ears(SplitStream<Socket>);

impl Player {
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let (socket, _) = connect_async(url).await.context("cannot connect")?;
        let (sink, stream) = socket.split();
        let mut player = Self {
            mouth: Mouth { sink, next_id: 0 },
            ears: Ears(stream),
        };
        let hello = FromClient::Hello {
            protocol: PROTOCOL,
            session: None,
        };
        player.mouth.say(&hello).await?;
        match player.hear().await? {
            ToClient::Welcome { .. } => Ok(player),
            other => anyhow::bail!("not welcomed: {other:?}"),
        }
    }

    pub async fn open(&mut self, kind: Kind, mode: Mode) -> anyhow::Result<()> {
        let open = FromClient::Open {
            id: self.mouth.id(),
            kind,
            mode,
            name: "Bench".into(),
        };
        self.mouth.say(&open).await
    }

    pub async fn answer(&mut self, round: u32, text: &str) -> anyhow::Result<()> {
        let answer = FromClient::Answer {
            id: self.mouth.id(),
            round,
            text: text.into(),
        };
        self.mouth.say(&answer).await
    }

    /// The next message. A refusal is an error: benches keep to the rules.
    pub async fn hear(&mut self) -> anyhow::Result<ToClient> {
        loop {
            if let Heard::Message(message) = self.ears.next().await? {
                return Ok(*message);
            }
        }
    }

    /// Its halves.
    pub fn split(self) -> (Mouth, Ears) {
        (self.mouth, self.ears)
    }
}

impl Ears {
    /// What comes next. A refusal is an error: benches keep to the rules.
    pub async fn next(&mut self) -> anyhow::Result<Heard> {
        loop {
            match self.0.next().await.context("the server hung up")?? {
                Message::Text(text) => match serde_json::from_str(&text)? {
                    ToClient::Refused { message, .. } => anyhow::bail!("refused: {message}"),
                    message => return Ok(Heard::Message(Box::new(message))),
                },
                Message::Binary(bytes) => {
                    let frame = SoundFrame::decode(&bytes).context("no frame of sound")?;
                    return Ok(Heard::Sound(frame));
                }
                _ => {}
            }
        }
    }
}

impl Mouth {
    /// A number for what is said next.
    pub fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    pub async fn say(&mut self, message: &FromClient) -> anyhow::Result<()> {
        let text = serde_json::to_string(message)?;
        Ok(self.sink.send(Message::text(text)).await?)
    }

    pub async fn send(&mut self, frame: SoundFrame) -> anyhow::Result<()> {
        Ok(self.sink.send(Message::binary(frame.encode())).await?)
    }
}
