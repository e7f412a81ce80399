//! Somebody whose socket may be cut at any moment, and who keeps an account of what they
//! said and of what became of it.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    sync::{Arc, Mutex},
    time::Instant,
};

use futures_util::{SinkExt, StreamExt};
use parlour::{
    play::party::Ballot,
    wire::browser::{Bye, FromClient, Held, PROTOCOL, RefusalCode, ToClient},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async, tungstenite::protocol::Message,
};

use crate::{known::Known, seen::Seen};

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The socket is gone.
#[derive(Debug)]
pub struct Cut;

/// What became of something that was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The socket was gone before the answer came.
    Unknown,
    Accepted,
    Refused(RefusalCode),
    /// Half of it was sent.
    Torn,
}

/// What must not be lost.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A line that nobody else ever says, nor this one again.
    Line(String),
    /// A ballot in the game of that number.
    Vote(u32, Ballot),
}

/// One thing that was said.
#[derive(Clone, Debug)]
pub struct Said {
    pub room: String,
    pub what: What,
    pub fate: Fate,
}

/// Where somebody sits.
#[derive(Clone, Debug)]
pub enum Place {
    Game(Seen),
    Table(Known),
}

impl Place {
    pub fn room(&self) -> &str {
        match self {
            Self::Game(seen) => &seen.room,
            Self::Table(known) => &known.room,
        }
    }

    /// How many events of the log are here.
    pub fn held(&self) -> usize {
        match self {
            Self::Game(seen) => seen.events.len(),
            Self::Table(known) => known.events.len(),
        }
    }

    fn begin(message: &ToClient) -> Option<Self> {
        let game = Seen::begin(message).map(Self::Game);
        game.or_else(|| Known::begin(message).map(Self::Table))
    }

    fn take(&mut self, message: &ToClient) {
        match self {
            Self::Game(seen) => seen.take(message),
            Self::Table(known) => known.take(message),
        }
    }
}

/// A frame, and how much of which room's log was known once it was here.
pub struct Frame {
    pub text: String,
    pub room: String,
    pub held: usize,
}

/// What a socket is told as its end, if anything.
pub async fn last_words(mut socket: Socket) -> Option<Bye> {
    let mut bye = None;
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Text(text) = message
            && let Ok(ToClient::Bye { code, .. }) = serde_json::from_str(&text)
        {
            bye = Some(code);
        }
    }
    bye
}

/// What somebody went through lately, for whoever has to find out why they wait.
#[derive(Default)]
pub struct Diary(VecDeque<(Instant, String)>);

impl Diary {
    /// Entries that are kept.
    const LENGTH: usize = 40;

    pub fn note(&mut self, entry: String) {
        self.0.push_back((Instant::now(), entry));
        if self.0.len() > Self::LENGTH {
            self.0.pop_front();
        }
    }
}

impl fmt::Display for Diary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, entry) in &self.0 {
            let ago = at.elapsed().as_millis();
            writeln!(
                f,
                "{ago} ms ago: {}",
                entry.chars().take(300).collect::<String>()
            )?;
        }
        Ok(())
    }
}

/// The person.
pub struct Guest {
    pub name: String,
    pub diary: Arc<Mutex<Diary>>,
    pub session: Option<String>,
    /// The room that the last welcome named.
    pub welcomed: Option<String>,
    pub place: Option<Place>,
    /// Places of before.
    pub past: Vec<Place>,
    /// A room was opened or entered, and the server said that it was done.
    pub owed_a_place: bool,
    /// Another room was asked for, and nobody knows whether this one sits there now.
    opening: bool,
    /// Somebody may show this one the door.
    pub removable: bool,
    /// Rooms of which they did.
    pub removed_from: BTreeSet<String>,
    pub said: Vec<Said>,
    /// Every frame, for those who look for secrets.
    pub frames: Option<Vec<Frame>>,
    /// When something was heard last.
    pub heard: Instant,
    /// Where this one notes when something happened in the room, to the last token.
    pub signs: Option<Arc<Mutex<Vec<Instant>>>>,
    socket: Option<Socket>,
    ids: u32,
    lines: u32,
}

impl Guest {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            diary: Arc::default(),
            session: None,
            welcomed: None,
            place: None,
            past: Vec::new(),
            owed_a_place: false,
            opening: false,
            removable: false,
            removed_from: BTreeSet::new(),
            said: Vec::new(),
            frames: None,
            heard: Instant::now(),
            signs: None,
            socket: None,
            ids: 0,
            lines: 0,
        }
    }

    /// Writes something down, to be read when nothing goes on.
    pub fn confide(&self, entry: String) {
        self.diary.lock().expect("no panic").note(entry);
    }

    pub fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    pub fn hang_up(&mut self) -> Option<Socket> {
        self.socket.take()
    }

    pub fn id(&mut self) -> u32 {
        self.ids += 1;
        self.ids
    }

    /// Something that was never said before.
    pub fn line(&mut self) -> String {
        self.lines += 1;
        format!("{}-{}- tastes like the sea in March", self.name, self.lines)
    }

    /// A new socket, and who we are.
    pub async fn connect(&mut self, url: &str) -> Result<(), Cut> {
        self.socket = None;
        let (socket, _) = connect_async(url).await.map_err(|_| Cut)?;
        self.socket = Some(socket);
        let hello = FromClient::Hello {
            protocol: PROTOCOL,
            session: self.session.clone(),
        };
        self.say(&hello).await?;
        match self.hear().await? {
            ToClient::Welcome { session, room, .. } => {
                let sat = self.place.is_some() || self.owed_a_place;
                let same = self.session.as_ref().is_none_or(|known| *known == session);
                assert!(same || !sat, "{}'s session is forgotten", self.name);
                self.session = Some(session);
                self.welcomed = room;
                Ok(())
            }
            other => panic!("{} is not welcome: {other:?}", self.name),
        }
    }

    pub async fn say(&mut self, message: &FromClient) -> Result<(), Cut> {
        let text = serde_json::to_string(message).expect("json");
        self.confide(format!("says {text}"));
        let socket = self.socket.as_mut().ok_or(Cut)?;
        if socket.send(Message::text(text)).await.is_err() {
            self.socket = None;
            return Err(Cut);
        }
        Ok(())
    }

    /// The next message, taken in. May be dropped while it waits.
    pub async fn hear(&mut self) -> Result<ToClient, Cut> {
        loop {
            let socket = self.socket.as_mut().ok_or(Cut)?;
            let next = socket.next().await;
            self.heard = Instant::now();
            match next {
                Some(Ok(Message::Text(text))) => {
                    self.confide(format!("hears {text}"));
                    let message = serde_json::from_str(&text).expect("a message of the protocol");
                    self.take(&message);
                    self.keep(&text);
                    if let ToClient::Bye { code, .. } = message {
                        assert!(
                            !matches!(code, Bye::Hostile | Bye::OldClient),
                            "{}: {message:?}",
                            self.name
                        );
                        self.socket = None;
                        return Err(Cut);
                    }
                    return Ok(message);
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => {
                    self.confide("finds the socket closed".into());
                    self.socket = None;
                    return Err(Cut);
                }
                Some(Ok(_)) => {}
            }
        }
    }

    fn take(&mut self, message: &ToClient) {
        if let (
            Some(signs),
            ToClient::Event { .. } | ToClient::TableEvent { .. } | ToClient::Partial { .. },
        ) = (&self.signs, message)
        {
            signs.lock().expect("no panic").push(self.heard);
        }
        let (ToClient::Joined { room, .. }
        | ToClient::Event { room, .. }
        | ToClient::Doing { room, .. }
        | ToClient::Unveiled { room, .. }
        | ToClient::Seated { room, .. }
        | ToClient::TableEvent { room, .. }
        | ToClient::TableUnveiled { room, .. }
        | ToClient::TableDoing { room, .. }
        | ToClient::Present { room, .. }) = message
        else {
            return;
        };
        match &mut self.place {
            Some(place) if place.room() == room => place.take(message),
            _ => {
                if let Some(place) = Place::begin(message) {
                    self.past.extend(self.place.replace(place));
                    self.owed_a_place = false;
                    self.opening = false;
                }
            }
        }
    }

    fn keep(&mut self, text: &str) {
        if let (Some(frames), Some(place)) = (&mut self.frames, &self.place) {
            frames.push(Frame {
                text: text.to_owned(),
                room: place.room().to_owned(),
                held: place.held(),
            });
        }
    }

    /// Asks whether the server is there, and reads up to its answer.
    pub async fn ping(&mut self) -> Result<(), Cut> {
        let nonce = self.id();
        self.say(&FromClient::Ping { nonce }).await?;
        while self.hear().await? != (ToClient::Pong { nonce }) {}
        Ok(())
    }

    /// Says something that has an answer, and reads up to that.
    pub async fn ask(
        &mut self,
        id: u32,
        message: &FromClient,
    ) -> Result<Result<(), RefusalCode>, Cut> {
        self.say(message).await?;
        loop {
            match self.hear().await? {
                ToClient::Accepted { id: now } if now == id => return Ok(Ok(())),
                ToClient::Refused { id: now, code, .. } if now == id => return Ok(Err(code)),
                _ => {}
            }
        }
    }

    /// Says something that must not be lost.
    pub async fn vow(
        &mut self,
        id: u32,
        what: What,
        message: &FromClient,
    ) -> Result<Result<(), RefusalCode>, Cut> {
        let at = self.note(what, Fate::Unknown);
        let answer = self.ask(id, message).await?;
        self.said[at].fate = match answer {
            Ok(()) => Fate::Accepted,
            Err(code) => Fate::Refused(code),
        };
        Ok(answer)
    }

    /// Writes down what is about to be said; gives its place in the account.
    pub fn note(&mut self, what: What, fate: Fate) -> usize {
        let room = self.place.as_ref().map(|place| place.room().to_owned());
        let room = room.expect("who says something sits somewhere");
        self.said.push(Said { room, what, fate });
        self.said.len() - 1
    }

    /// Sits down where this one sat, with what is held. Gives false when that is not to be
    /// now.
    pub async fn sit(&mut self) -> Result<bool, Cut> {
        let room = match (&self.place, &self.welcomed) {
            (Some(_), None) if self.opening => return Ok(true),
            (Some(_), Some(room)) if self.opening => room.clone(),
            (Some(place), _) => place.room().to_owned(),
            (None, Some(room)) => room.clone(),
            (None, None) => {
                assert!(!self.owed_a_place, "{}'s place is lost", self.name);
                return Ok(false);
            }
        };
        let id = self.id();
        let place = self.place.as_ref().filter(|place| place.room() == room);
        let message = match place {
            Some(Place::Game(seen)) => FromClient::Resume {
                id,
                room: room.clone(),
                epoch: seen.epoch,
                offset: u32::try_from(seen.events.len()).expect("few"),
            },
            Some(Place::Table(known)) => self.join(id, &room, Some(known)),
            None if room.contains('-') => self.join(id, &room, None),
            None => FromClient::Resume {
                id,
                room: room.clone(),
                epoch: 0,
                offset: 0,
            },
        };
        match self.ask(id, &message).await? {
            Ok(()) => {
                while self.place.as_ref().map(Place::room) != Some(room.as_str()) {
                    self.hear().await?;
                }
                Ok(true)
            }
            Err(RefusalCode::NotYours) if self.removable => {
                self.go(&room);
                Ok(true)
            }
            Err(RefusalCode::NoSuchRoom | RefusalCode::NotYours)
                if !self.opening && (self.place.is_some() || self.owed_a_place) =>
            {
                panic!("{}'s seat in {room} is lost", self.name)
            }
            Err(_) => Ok(false),
        }
    }

    /// Was shown the door.
    pub fn go(&mut self, room: &str) {
        self.removed_from.insert(room.to_owned());
        self.past.extend(self.place.take());
        self.owed_a_place = false;
    }

    fn join(&self, id: u32, room: &str, known: Option<&Known>) -> FromClient {
        FromClient::JoinTable {
            id,
            room: room.to_owned(),
            role: parlour::play::party::Role::Witness,
            name: self.name.clone(),
            seat: known.map(|known| known.seat.clone()),
            held: known.map(|known| Held {
                epoch: known.epoch,
                offset: u32::try_from(known.events.len()).expect("few"),
            }),
        }
    }

    /// Opens a room, or comes to a table; what was accepted is owed from then on.
    pub async fn enter(&mut self, id: u32, message: &FromClient) -> Result<bool, Cut> {
        let before = self.place.as_ref().map(|place| place.room().to_owned());
        self.opening = true;
        let answer = self.ask(id, message).await?;
        // Who is told of trouble may have left the room of before.
        self.opening = answer == Err(RefusalCode::Trouble);
        let accepted = answer.is_ok();
        if accepted {
            self.past.extend(self.place.take());
            self.owed_a_place = true;
            while self.place.is_none() {
                self.hear().await?;
            }
            assert_ne!(self.place.as_ref().map(Place::room), before.as_deref());
        }
        Ok(accepted)
    }
}
