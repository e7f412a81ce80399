//! One who sits at a séance: speaks into the microphone, and hears what comes, when it came.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::{
    sync::mpsc,
    time::{Instant as Clock, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    bench::player::{Ears, Heard, Mouth, Player},
    wire::{
        browser::{FromClient, ToClient},
        sound::{Kind, MICROPHONE_RATE, SoundFrame},
    },
};

/// Samples of a frame of the microphone, as the page has it: 40 ms.
const FRAME: usize = 640;

/// Something came.
pub(super) struct Arrived {
    pub at: Instant,
    pub what: Heard,
}

/// A socket at a séance. What comes is stamped when it comes, whatever is done meanwhile.
pub(super) struct Sitter {
    mouth: Mouth,
    arrived: mpsc::UnboundedReceiver<anyhow::Result<Arrived>>,
    utterance: u32,
    _ears: AbortOnDropHandle<()>,
}

impl Sitter {
    /// Connects, and sits down.
    pub async fn sit(url: &str) -> anyhow::Result<Self> {
        let (mouth, ears) = Player::connect(url).await?.split();
        let (sender, arrived) = mpsc::unbounded_channel();
        let listen = AbortOnDropHandle::new(tokio::spawn(listen(ears, sender)));
        let mut sitter = Self {
            mouth,
            arrived,
            utterance: 0,
            _ears: listen,
        };
        sitter.enter().await?;
        Ok(sitter)
    }

    /// Comes to the séance.
    pub async fn enter(&mut self) -> anyhow::Result<()> {
        let id = self.mouth.id();
        let enter = FromClient::EnterSeance {
            id,
            sit: true,
            room: None,
            held: None,
        };
        self.mouth.say(&enter).await?;
        loop {
            if let Heard::Message(message) = self.next().await?.what
                && let ToClient::Seance { .. } = *message
            {
                return Ok(());
            }
        }
    }

    /// Gets up.
    pub async fn leave(&mut self) -> anyhow::Result<()> {
        let id = self.mouth.id();
        self.mouth.say(&FromClient::Leave { id }).await?;
        self.until_accepted(id).await.map(drop)
    }

    /// What comes next.
    pub async fn next(&mut self) -> anyhow::Result<Arrived> {
        self.arrived.recv().await.context("the socket is gone")?
    }

    /// Presses the key and waits until it is said that somebody listens: since the press.
    ///
    /// # Errors
    /// Where nobody listens.
    pub async fn press(&mut self) -> anyhow::Result<(u32, Duration)> {
        let id = self.mouth.id();
        self.utterance += 1;
        let utterance = self.utterance;
        let pressed = Instant::now();
        let listen = FromClient::Listen {
            id,
            utterance,
            languages: Vec::new(),
        };
        self.mouth.say(&listen).await?;
        let accepted = self.until_accepted(id).await?;
        Ok((utterance, accepted - pressed))
    }

    async fn until_accepted(&mut self, wanted: u32) -> anyhow::Result<Instant> {
        loop {
            let Arrived { at, what } = self.next().await?;
            if let Heard::Message(message) = what
                && let ToClient::Accepted { id } = *message
                && id == wanted
            {
                return Ok(at);
            }
        }
    }

    /// Says all of it and lets the key go: when the last sample was sent. `haste` is how much
    /// faster than people it speaks.
    pub async fn speak(
        &mut self,
        utterance: u32,
        samples: &[i16],
        haste: u32,
    ) -> anyhow::Result<Instant> {
        let began = Clock::now();
        let mut from = 0;
        for samples in samples.chunks(FRAME) {
            let next = from + u32::try_from(samples.len())?;
            let seconds = f64::from(next) / f64::from(MICROPHONE_RATE) / f64::from(haste);
            // A frame can be sent when its last sample was said.
            sleep_until(began + Duration::from_secs_f64(seconds)).await;
            let samples = samples.to_vec();
            let frame = SoundFrame {
                kind: Kind::Microphone,
                number: utterance,
                from,
                samples,
            };
            self.mouth.send(frame).await?;
            from = next;
        }
        let ended = Instant::now();
        let id = self.mouth.id();
        let spoken = FromClient::Spoken {
            id,
            utterance,
            seed: None,
        };
        self.mouth.say(&spoken).await?;
        Ok(ended)
    }

    /// Tells how much of a line was played.
    pub async fn heard(&mut self, line: u32, words: u32) -> anyhow::Result<()> {
        self.mouth.say(&FromClient::Heard { line, words }).await
    }
}

async fn listen(mut ears: Ears, sender: mpsc::UnboundedSender<anyhow::Result<Arrived>>) {
    loop {
        let heard = ears.next().await;
        let at = Instant::now();
        let is_over = heard.is_err();
        let closed = sender.send(heard.map(|what| Arrived { at, what })).is_err();
        if closed || is_over {
            return;
        }
    }
}
