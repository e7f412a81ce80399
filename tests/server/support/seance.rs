//! Somebody at a séance: sits or watches, asks, listens, and keeps all captions and sound.

use std::collections::BTreeMap;

use futures_util::{SinkExt, StreamExt};
use parlour::{
    play::seance::Event,
    wire::{
        browser::{FromClient, Held, RefusalCode, SeanceDoing, ToClient},
        sound::{Kind, MICROPHONE_FRAME, SoundFrame},
    },
    worker::speech::deterministic::spell,
};
use tokio_tungstenite::tungstenite::Message;

use super::{client::Client, house::House};

/// The speech process as a toy.
pub const SPEECH: [(&str, &str); 3] = [
    ("PARLOUR_SPEECH", "true"),
    ("PARLOUR_EAR", "deterministic"),
    ("PARLOUR_VOICES", "deterministic"),
];

/// A house with a toy model and a toy voice.
pub fn house(more: &[(&str, &str)]) -> House {
    let settings: Vec<_> = SPEECH.iter().chain(more).copied().collect();
    House::with_toy(&settings)
}

/// What one hears.
#[derive(Debug)]
pub enum Heard {
    Text(ToClient),
    Sound(SoundFrame),
}

/// A line as it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    pub words: Vec<String>,
    /// Samples that the captions announce, and that came.
    pub announced: u32,
    pub samples: Vec<i16>,
    /// Sound that was left out, from where to where.
    pub holes: Vec<(u32, u32)>,
    /// Indices at which clauses begin.
    pub clauses: Vec<u32>,
    pub over: bool,
}

impl Line {
    /// Whether all of its sound came.
    pub fn is_whole(&self) -> bool {
        self.over && self.holes.is_empty() && self.samples.len() == self.announced as usize
    }
}

impl Line {
    fn sound(&mut self, frame: &SoundFrame, may_miss: bool) {
        let next = u32::try_from(self.samples.len()).expect("short");
        if frame.from != next {
            assert!(may_miss && frame.from > next, "a gap or a repeat");
            self.holes.push((next, frame.from));
            self.samples.resize(frame.from as usize, 0);
        }
        self.samples.extend(&frame.samples);
    }
}

pub struct Guest {
    pub client: Client,
    pub room: String,
    pub epoch: u32,
    pub offset: u32,
    pub events: Vec<Event>,
    pub lines: BTreeMap<u32, Line>,
    /// How often each line was begun.
    pub begun: BTreeMap<u32, u32>,
    /// It may miss sound.
    pub is_slow: bool,
    pub doing: SeanceDoing,
    /// Place in the queue, who wait, whether somebody sits.
    pub standing: (Option<u32>, u32, bool),
    pub hearing: Vec<String>,
    /// Whether somebody listens.
    pub listens: bool,
    utterance: u32,
}

impl Guest {
    pub async fn enter(house: &House, session: Option<&str>, sit: bool) -> Self {
        let client = Client::enter(house, session).await;
        Self::enter_by(client, sit).await
    }

    /// Comes to the séance on that socket.
    pub async fn enter_by(client: Client, sit: bool) -> Self {
        let mut guest = Self::strange(client);
        guest.come(sit).await;
        guest
    }

    /// One who has not come yet.
    pub fn strange(client: Client) -> Self {
        Self {
            client,
            room: String::new(),
            epoch: 0,
            offset: 0,
            events: Vec::new(),
            lines: BTreeMap::new(),
            begun: BTreeMap::new(),
            is_slow: false,
            doing: SeanceDoing::Quiet,
            standing: (None, 0, false),
            hearing: Vec::new(),
            listens: false,
            utterance: 0,
        }
    }

    /// Asks for a seat and does not wait for the answer.
    pub async fn knock(&mut self) {
        let id = self.client.id();
        let enter = FromClient::EnterSeance {
            id,
            sit: true,
            room: None,
            held: None,
        };
        self.client.say(&enter).await;
    }

    /// Comes, or comes back with what it has.
    pub async fn come(&mut self, sit: bool) {
        let id = self.client.id();
        let held = (!self.room.is_empty()).then_some(Held {
            epoch: self.epoch,
            offset: self.offset,
        });
        let room = held.map(|_| self.room.clone());
        let enter = FromClient::EnterSeance {
            id,
            sit,
            room,
            held,
        };
        self.client.say(&enter).await;
        self.room.clear();
        self.until(|guest| !guest.room.is_empty()).await;
    }

    pub async fn hear(&mut self) -> Heard {
        loop {
            let message = self.client.socket.next().await.expect("open");
            match message.expect("a message") {
                Message::Text(text) => {
                    let message = serde_json::from_str(&text).expect("a message");
                    self.take(&message);
                    return Heard::Text(message);
                }
                Message::Binary(bytes) => {
                    let frame = SoundFrame::decode(&bytes).expect("sound");
                    assert_eq!(frame.kind, Kind::Voice);
                    let line = self.lines.get_mut(&frame.number).expect("captioned");
                    line.sound(&frame, self.is_slow);
                    return Heard::Sound(frame);
                }
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    fn take(&mut self, message: &ToClient) {
        match message {
            ToClient::Seance {
                room,
                epoch,
                offset,
                events,
                doing,
                ..
            } => {
                self.room = room.clone();
                self.epoch = *epoch;
                self.offset = *offset + u32::try_from(events.len()).expect("few");
                self.events
                    .extend(events.iter().filter_map(|at| at.event.clone()));
                self.doing = *doing;
            }
            ToClient::SeanceEvent { stamped, .. } => {
                assert_eq!(stamped.offset, self.offset, "a gap or a repeat");
                self.offset += 1;
                self.events.extend(stamped.event.clone());
            }
            ToClient::SeanceDoing { doing, .. } => self.doing = *doing,
            ToClient::Waiting {
                place,
                waiting,
                taken,
                ..
            } => self.standing = (*place, *waiting, *taken),
            ToClient::SeanceMeans { means, .. } => self.listens = !means.hears.is_empty(),
            ToClient::Hearing { text, .. } => self.hearing.push(text.clone()),
            ToClient::Caption {
                line,
                clause,
                words,
                from,
                samples,
                ..
            } => {
                if *clause == 0 {
                    self.lines.insert(*line, Line::default());
                    *self.begun.entry(*line).or_default() += 1;
                }
                let line = self.lines.get_mut(line).expect("it began with clause 0");
                line.words
                    .extend(words.iter().map(|word| word.text.clone()));
                line.clauses.push(*from);
                line.announced += samples;
            }
            ToClient::LineOver { line, .. } => {
                self.lines.get_mut(line).expect("it was captioned").over = true;
            }
            _ => {}
        }
    }

    pub async fn until(&mut self, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            self.hear().await;
        }
    }

    /// Says something and reads up to its answer.
    pub async fn ask_for(&mut self, message: &FromClient, id: u32) -> Result<(), RefusalCode> {
        self.client.say(message).await;
        loop {
            match self.hear().await {
                Heard::Text(ToClient::Accepted { id: answer }) if answer == id => return Ok(()),
                Heard::Text(ToClient::Refused {
                    id: answer, code, ..
                }) if answer == id => return Err(code),
                _ => {}
            }
        }
    }

    pub async fn question(&mut self, text: &str) -> Result<(), RefusalCode> {
        let id = self.client.id();
        let question = FromClient::Question {
            id,
            text: text.into(),
            language: None,
            seed: Some(7),
        };
        self.ask_for(&question, id).await
    }

    /// Says that it gets up.
    pub async fn leave(&mut self) {
        let id = self.client.id();
        let leave = FromClient::Leave { id };
        self.ask_for(&leave, id).await.expect("it leaves");
    }

    /// Hears whole lines to their end, and says so, until it has heard so many samples more.
    pub async fn listen_for(&mut self, samples: usize) {
        let heard =
            |guest: &Self| -> usize { guest.lines.values().map(|line| line.samples.len()).sum() };
        let enough = heard(self) + samples;
        let mut last = 0;
        while heard(self) < enough {
            self.until(|guest| {
                heard(guest) >= enough || guest.whole().is_some_and(|(line, _)| line > last)
            })
            .await;
            if let Some((line, voiced)) = self.whole()
                && line > last
            {
                last = line;
                let words = u32::try_from(voiced.words.len()).expect("few");
                self.heard(line, words).await;
            }
        }
    }

    /// Asks something, once there is a translator, that the toy answers in three words; the
    /// number of the line, which begins to sound.
    pub async fn ask_in_german(&mut self) -> u32 {
        self.until(|guest| guest.listens).await;
        let id = self.client.id();
        let question = FromClient::Question {
            id,
            text: "Wer bist du?".into(),
            language: Some("de".into()),
            seed: Some(7),
        };
        self.ask_for(&question, id).await.expect("it is taken");
        self.until(|guest| !guest.lines.is_empty()).await;
        let (line, told) = self.lines.first_key_value().expect("a line");
        assert!(!told.words.is_empty());
        *line
    }

    /// Presses the key.
    pub async fn press(&mut self) -> Result<u32, RefusalCode> {
        let id = self.client.id();
        self.utterance += 1;
        let utterance = self.utterance;
        let listen = FromClient::Listen {
            id,
            utterance,
            languages: Vec::new(),
        };
        self.ask_for(&listen, id).await.map(|()| utterance)
    }

    pub async fn speak(&mut self, utterance: u32, text: &str) {
        let mut from = 0;
        for samples in spell(text).chunks(*MICROPHONE_FRAME.end()) {
            let frame = SoundFrame {
                kind: Kind::Microphone,
                number: utterance,
                from,
                samples: samples.to_vec(),
            };
            from += u32::try_from(samples.len()).expect("few");
            let frame = Message::binary(frame.encode());
            self.client.socket.send(frame).await.expect("it is sent");
        }
    }

    pub async fn release(&mut self, utterance: u32) -> Result<(), RefusalCode> {
        let id = self.client.id();
        let spoken = FromClient::Spoken {
            id,
            utterance,
            seed: None,
        };
        self.ask_for(&spoken, id).await
    }

    /// Tells how far a line was played.
    pub async fn heard(&mut self, line: u32, words: u32) {
        self.client.say(&FromClient::Heard { line, words }).await;
    }

    /// The lines that were said, by the log.
    pub fn said(&self) -> Vec<(u32, u32, String)> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Said {
                    line, part, text, ..
                } => Some((*line, *part, text.clone())),
                _ => None,
            })
            .collect()
    }

    pub fn asked(&self) -> Vec<String> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Asked { text, .. } => Some(text.clone()),
                _ => None,
            })
            .collect()
    }

    /// The newest line that came whole, with its sound.
    pub fn whole(&self) -> Option<(u32, Line)> {
        let whole = |line: &&u32| self.lines[*line].is_whole();
        let line = self.lines.keys().rev().find(whole)?;
        Some((*line, self.lines[line].clone()))
    }
}
