//! One question and what follows, as the one who asks has it.

use std::time::{Duration, Instant};

use tokio::time::{Instant as Clock, sleep_until};

use super::{
    loudspeaker::Loudspeaker,
    sitter::{Arrived, Sitter},
};
use crate::{
    bench::player::Heard,
    play::seance::Event,
    wire::{
        browser::{SeanceDoing, ToClient},
        sound::SoundFrame,
    },
};

/// How a question is put.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// How much faster than people it is said.
    pub haste: u32,
    /// Lines that are listened to, the last one only half a second long, before the key is
    /// pressed again.
    pub lines: u32,
}

/// Each time is counted from the last sample of the question.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// From the key to nothing more being sent, where something sounded then.
    pub barge_in: Option<Duration>,
    /// The question was known, and what it was taken for.
    pub transcript: Option<(Duration, String)>,
    /// The answer was written.
    pub answer: Option<Duration>,
    /// Its first sound came.
    pub sound: Option<Duration>,
    /// Lines of which sound came.
    pub lines: u32,
    /// The spirit had nothing to say.
    pub silences: u32,
    /// Lines that no voice said.
    pub unvoiced: u32,
}

/// Somebody who sits, and the loudspeaker before them.
pub(super) struct Listener {
    pub sitter: Sitter,
    pub speaker: Loudspeaker,
    /// The line that is captioned, and its samples per second.
    captioned: (u32, u32),
}

impl Listener {
    pub fn new(sitter: Sitter) -> Self {
        Self {
            sitter,
            speaker: Loudspeaker::default(),
            captioned: (0, 0),
        }
    }

    /// Waits until it is said that somebody listens and has a voice.
    pub async fn until_means(&mut self) -> anyhow::Result<()> {
        loop {
            if let Heard::Message(message) = self.sitter.next().await?.what
                && let ToClient::SeanceMeans { means, .. } = *message
                && !means.hears.is_empty()
                && !means.voices.is_empty()
            {
                return Ok(());
            }
        }
    }

    /// Asks, and listens for a while.
    pub async fn ask(&mut self, question: &[i16], manner: Manner) -> anyhow::Result<Turn> {
        let mut turn = Turn::default();
        let speaks = self.speaker.is_playing(Instant::now());
        let (utterance, pressed) = self.sitter.press().await?;
        turn.barge_in = speaks.then_some(pressed);
        self.speaker.silence();
        let ended = self.sitter.speak(utterance, question, manner.haste).await?;
        loop {
            let due = self.speaker.next();
            tokio::select! {
                arrived = self.sitter.next() => {
                    if self.take(arrived?, ended, manner, &mut turn) {
                        return Ok(turn);
                    }
                }
                () = sleep_until(due.map_or_else(Clock::now, Clock::from_std)), if due.is_some() => {
                    while let Some(heard) = self.speaker.heard(Instant::now()) {
                        self.sitter.heard(heard.line, heard.words).await?;
                    }
                }
            }
        }
    }

    /// Whether it was listened to for long enough.
    fn take(&mut self, arrived: Arrived, ended: Instant, manner: Manner, turn: &mut Turn) -> bool {
        let since = arrived.at.saturating_duration_since(ended);
        match arrived.what {
            Heard::Sound(frame) => {
                turn.sound.get_or_insert(since);
                return self.play(arrived.at, &frame, manner, turn);
            }
            Heard::Message(message) => match *message {
                ToClient::SeanceEvent { stamped, .. } => match stamped.event {
                    Some(Event::Asked { text, .. }) => turn.transcript = Some((since, text)),
                    Some(Event::Unheard { .. }) => return true,
                    Some(Event::Said { .. }) => {
                        turn.answer.get_or_insert(since);
                    }
                    Some(Event::Silence { .. }) => turn.silences += 1,
                    _ => {}
                },
                ToClient::Caption {
                    line,
                    words,
                    from,
                    samples,
                    rate,
                    ..
                } => {
                    let words = u32::try_from(words.len()).unwrap_or(u32::MAX);
                    let silent = samples == 0;
                    turn.unvoiced += u32::from(silent);
                    self.captioned = (line, rate);
                    let end = from.saturating_add(samples);
                    self.speaker.caption(arrived.at, line, words, end, silent);
                }
                ToClient::SeanceDoing {
                    doing: SeanceDoing::Quiet,
                    ..
                } => return turn.transcript.is_some(),
                _ => {}
            },
        }
        false
    }

    fn play(&mut self, at: Instant, frame: &SoundFrame, manner: Manner, turn: &mut Turn) -> bool {
        let (_, rate) = self.captioned;
        let samples = u32::try_from(frame.samples.len()).unwrap_or(u32::MAX);
        turn.lines += u32::from(frame.from == 0);
        self.speaker
            .play(at, frame.number, frame.from, samples, rate);
        let enough = turn.lines > manner.lines || frame.from >= rate / 2;
        turn.lines >= manner.lines && enough
    }
}
