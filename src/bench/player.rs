//! A client of the browser protocol that plays.

use anyhow::Context as _;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use crate::{
    play::imitation::{Kind, Mode},
    wire::browser::{FromClient, PROTOCOL, ToClient},
};

/// One socket, greeted.
pub(super) struct Player {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_id: u32,
}

impl Player {
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let (socket, _) = connect_async(url).await.context("cannot connect")?;
        let mut player = Self { socket, next_id: 0 };
        player
            .say(&FromClient::Hello {
                protocol: PROTOCOL,
                session: None,
            })
            .await?;
        match player.hear().await? {
            ToClient::Welcome { .. } => Ok(player),
            other => anyhow::bail!("not welcomed: {other:?}"),
        }
    }

    pub async fn open(&mut self, kind: Kind, mode: Mode) -> anyhow::Result<()> {
        let id = self.id();
        self.say(&FromClient::Open {
            id,
            kind,
            mode,
            name: "Bench".into(),
        })
        .await
    }

    pub async fn answer(&mut self, round: u32, text: &str) -> anyhow::Result<()> {
        let id = self.id();
        self.say(&FromClient::Answer {
            id,
            round,
            text: text.into(),
        })
        .await
    }

    /// The next message. A refusal is an error: benches keep to the rules.
    pub async fn hear(&mut self) -> anyhow::Result<ToClient> {
        loop {
            let frame = self.socket.next().await.context("the server hung up")??;
            if let Message::Text(text) = frame {
                match serde_json::from_str(&text)? {
                    ToClient::Refused { message, .. } => anyhow::bail!("refused: {message}"),
                    message => return Ok(message),
                }
            }
        }
    }

    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    async fn say(&mut self, message: &FromClient) -> anyhow::Result<()> {
        let text = serde_json::to_string(message)?;
        Ok(self.socket.send(Message::text(text)).await?)
    }
}
