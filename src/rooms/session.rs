//! One browser socket: reads, limits, passes on, writes. It knows no rules and keeps
//! nothing that the hall or a room could not tell it again.

mod asked;
mod pump;

use std::{any::Any, sync::Arc, time::Duration};

use actix::{
    Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, Recipient, Running,
    prelude::SendError,
};

use asked::{Asked, id_of};
use pump::{Drain, Pump};

use super::{
    bucket::Bucket,
    cast::Cast,
    frame::Frame,
    hall::{ANSWER_LIMIT, Hall},
    identity::NAME_LIMIT,
    link::{FrameLimits, Heard, Link},
    messages::{
        FromGuest, FromPlayer, FromSitter, Move, SignIn, SignOut, Stream, ToSession, Wish, refused,
    },
    microphone::{Microphone, Verdict},
    pulse::{Pulse, SocketId, ticks},
    receipt::Receipt,
    sound::Clause,
    tally::Tally,
};
use crate::{
    play::party::{Act, Setup},
    wire::browser::{Bye, FromClient, Limits, MAX_CLIENT_FRAME, PROTOCOL, RefusalCode, ToClient},
};

/// Messages that wait for a client before its room keeps them back.
const MAILBOX: usize = 64;

/// Pings that may go unanswered.
const PATIENCE: u32 = 3;

/// Bytes that wait for a client before its messages are left in the mailbox, and nothing
/// more is read from it.
const HIGH_WATER: usize = 16 << 10;

/// Bytes that wait for a client before sound is left out: what it could not take in time it
/// could not play in time.
const SOUND_HIGH_WATER: usize = 32 << 10;

/// What a client of ours may send.
pub const LIMITS: FrameLimits = FrameLimits {
    message: MAX_CLIENT_FRAME,
    frames: 32,
};

/// A place among the sockets that may be open. It comes back when this is dropped.
pub type Place = Box<dyn Any + Send>;

/// It is time to ping, and to see whether the client is still there.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Tick;

/// What a session needs of its house.
#[derive(Clone)]
pub struct Doorway {
    pub hall: Addr<Hall>,
    pub tally: Arc<Tally>,
    pub ping_every: Duration,
    /// Who can be set up to play at a table.
    pub cast: Cast,
}

enum State {
    /// Nothing was heard yet.
    Fresh,
    /// The hall is looking it up.
    Arriving,
    In,
    /// The close frame is written; whatever comes is ignored.
    Closed,
}

/// The actor.
pub struct Session {
    door: Arc<Doorway>,
    socket: SocketId,
    pulse: Arc<Pulse>,
    state: State,
    moves: Option<Recipient<FromPlayer>>,
    /// Where sound goes, at a séance.
    sounds: Option<Recipient<FromSitter>>,
    clause: Clause,
    /// Whether the gate's cookie came with the handshake.
    inside: bool,
    microphone: Microphone,
    bucket: Bucket,
    /// None once it is handed on to say goodbye.
    link: Option<Link>,
    pings: u32,
    /// Why there is none, otherwise: the client is told so and goes.
    place: Result<Place, &'static str>,
}

impl Session {
    pub fn new(
        door: Arc<Doorway>,
        socket: SocketId,
        pulse: Arc<Pulse>,
        link: Link,
        place: Result<Place, &'static str>,
        inside: bool,
    ) -> Self {
        Self {
            door,
            socket,
            pulse,
            state: State::Fresh,
            moves: None,
            sounds: None,
            clause: Clause::default(),
            inside,
            microphone: Microphone::new(ticks()),
            bucket: Bucket::new(ticks()),
            link: Some(link),
            pings: 0,
            place,
        }
    }

    fn say(&mut self, message: &ToClient, ctx: &mut Context<Self>) {
        self.send(&Frame::of(message), ctx);
    }

    fn send(&mut self, frame: &Frame, ctx: &mut Context<Self>) {
        if let Some(link) = &mut self.link {
            link.say(frame.text());
            if link.backlog() > HIGH_WATER && !ctx.waiting() {
                ctx.wait(Drain);
            }
        }
    }

    fn refuse(&mut self, id: u32, code: RefusalCode, why: &str, ctx: &mut Context<Self>) {
        self.door.tally.refused(code);
        self.say(&refused(id, code, why), ctx);
    }

    fn bye(&mut self, bye: Bye, why: &str, ctx: &mut Context<Self>) {
        if matches!(self.state, State::Closed) {
            return;
        }
        self.state = State::Closed;
        let (code, come_back) = close_code(bye);
        let message = ToClient::Bye {
            code: bye,
            come_back,
            message: why.to_owned(),
        };
        self.say(&message, ctx);
        if let Some(link) = &mut self.link {
            link.close(Some(code), why);
        }
        // The rest is for whoever lingers with the link.
        ctx.stop();
    }

    /// Goes if others left word that it must.
    fn heed(&mut self, ctx: &mut Context<Self>) -> bool {
        let Some(bye) = self.pulse.doomed() else {
            return false;
        };
        let why = match bye {
            Bye::Elsewhere => "this session was opened elsewhere",
            Bye::Restarting => "the server restarts",
            Bye::Moved => "the room is another server's now",
            _ => "you read too slowly",
        };
        self.bye(bye, why, ctx);
        true
    }

    fn look_after(&mut self, ctx: &mut Context<Self>) {
        if matches!(self.state, State::Closed) || self.heed(ctx) {
            return;
        }
        let limit = self.door.ping_every * PATIENCE;
        let silence = Duration::from_millis(self.pulse.silence(ticks()));
        self.pings += 1;
        let never_came = matches!(self.state, State::Fresh) && self.pings > PATIENCE;
        if silence > limit || never_came {
            self.bye(Bye::Silent, "nothing was heard from you", ctx);
        } else if let Some(link) = &mut self.link {
            link.ping();
        }
    }

    fn read(&mut self, text: &str, ctx: &mut Context<Self>) {
        let message = match serde_json::from_str::<FromClient>(text) {
            Ok(message) => message,
            Err(_) if matches!(self.state, State::Fresh) => {
                self.bye(Bye::OldClient, "the first message must be hello", ctx);
                return;
            }
            Err(error) => {
                let id = id_of(text).unwrap_or_default();
                if self.bucket.take(ticks()) {
                    self.refuse(id, RefusalCode::Malformed, &error.to_string(), ctx);
                } else {
                    self.refuse(id, RefusalCode::TooFast, "slow down", ctx);
                }
                return;
            }
        };
        let asked = Asked::of(message);
        if let Asked::Hello { protocol, session } = asked {
            self.hello(protocol, session, ctx);
            return;
        }
        if matches!(self.state, State::Fresh) {
            self.bye(Bye::OldClient, "the first message must be hello", ctx);
            return;
        }
        let allowed = self.bucket.take(ticks());
        match asked {
            Asked::Hello { .. } => {}
            Asked::Ping { nonce } if allowed => self.say(&ToClient::Pong { nonce }, ctx),
            Asked::Heard { line, words } if allowed => self.stream(Stream::Heard { line, words }),
            Asked::Ping { .. } | Asked::Heard { .. } => {}
            Asked::House { id, wish } => {
                if self.listens_to(id, allowed, ctx) {
                    self.wish(id, wish, ctx);
                }
            }
            Asked::Room { id, what } => {
                if self.listens_to(id, allowed, ctx) {
                    self.play(id, what, ctx);
                }
            }
        }
    }

    /// Whether a request may be looked at now; refuses it otherwise.
    fn listens_to(&mut self, id: u32, allowed: bool, ctx: &mut Context<Self>) -> bool {
        let arriving = matches!(self.state, State::Arriving);
        if !allowed {
            self.refuse(id, RefusalCode::TooFast, "slow down", ctx);
        } else if arriving {
            self.refuse(id, RefusalCode::NotNow, "wait for the welcome", ctx);
        }
        allowed && !arriving
    }

    fn hello(&mut self, protocol: u16, session: Option<String>, ctx: &mut Context<Self>) {
        if !matches!(self.state, State::Fresh) {
            self.refuse(0, RefusalCode::NotNow, "you are known already", ctx);
        } else if protocol != PROTOCOL {
            self.bye(Bye::OldClient, "this server speaks another protocol", ctx);
        } else {
            self.state = State::Arriving;
            self.door.hall.do_send(SignIn {
                socket: self.socket,
                token: session,
                outbox: ctx.address().recipient(),
                pulse: Arc::clone(&self.pulse),
            });
        }
    }

    fn wish(&mut self, id: u32, wish: Wish, ctx: &mut Context<Self>) {
        match &wish {
            Wish::EnterSeance { .. } if !self.inside => {
                self.refuse(id, RefusalCode::Locked, "the gate is shut", ctx);
                return;
            }
            Wish::OpenTable { setup, .. } if !self.can_cast(id, setup, ctx) => return,
            _ => {}
        }
        let request = FromGuest {
            socket: self.socket,
            id,
            wish,
        };
        if self.door.hall.try_send(request).is_err() {
            self.refuse(id, RefusalCode::Trouble, "the house is overrun", ctx);
        }
    }

    /// Whether the house has everybody whom a table is to be set for; refuses it otherwise.
    fn can_cast(&mut self, id: u32, setup: &Setup, ctx: &mut Context<Self>) -> bool {
        let checked = self.door.cast.check(setup);
        if let Err(why) = &checked {
            self.refuse(id, RefusalCode::Malformed, why, ctx);
        }
        checked.is_ok()
    }

    fn play(&mut self, id: u32, what: Move, ctx: &mut Context<Self>) {
        if let Move::Act(Act::Setup { setup }) = &what
            && !self.can_cast(id, setup, ctx)
        {
            return;
        }
        let Some(moves) = &self.moves else {
            self.refuse(id, RefusalCode::NoSuchRoom, "you sit in no room", ctx);
            return;
        };
        let receipt = Receipt {
            socket: self.socket,
            id,
            outbox: ctx.address().recipient(),
            pulse: Arc::clone(&self.pulse),
            tally: Arc::clone(&self.door.tally),
            answered: false,
        };
        let (back, code, why) = match moves.try_send(FromPlayer { receipt, what }) {
            Ok(()) => return,
            Err(SendError::Full(back)) => (back, RefusalCode::TooFast, "the room is still busy"),
            Err(SendError::Closed(back)) => {
                (back, RefusalCode::Trouble, "the room is being rebuilt")
            }
        };
        back.receipt.give_up();
        self.refuse(id, code, why, ctx);
    }

    /// Hands on what has no answer. A room that is too busy for it loses it.
    fn stream(&self, what: Stream) {
        if let Some(sounds) = &self.sounds {
            let socket = self.socket;
            let _ = sounds.try_send(FromSitter { socket, what });
        }
    }

    fn hear_sound(&mut self, bytes: &[u8], ctx: &mut Context<Self>) {
        match self.microphone.take(bytes, ticks()) {
            Verdict::Pass(frame) => self.stream(Stream::Sound(frame)),
            Verdict::Offence(why) => {
                tracing::debug!(socket = self.socket, why, "no sound of a client of ours");
                self.bye(Bye::Hostile, why, ctx);
            }
        }
    }

    fn hear(&mut self, heard: Heard, ctx: &mut Context<Self>) {
        self.pulse.beat(ticks());
        match heard {
            Heard::Text(text) => self.read(&text, ctx),
            Heard::Ping(payload) => {
                if self.bucket.take(ticks())
                    && let Some(link) = &mut self.link
                {
                    link.pong(&payload);
                }
            }
            Heard::Pong => {}
            // One who got up may have frames on the way.
            Heard::Binary(bytes) if self.microphone.is_open() => self.hear_sound(&bytes, ctx),
            Heard::Binary(_) => self.bye(Bye::Hostile, "text frames only", ctx),
            Heard::Close(code) => {
                self.state = State::Closed;
                if let Some(link) = &mut self.link {
                    link.close(code, "");
                }
                ctx.stop();
            }
        }
    }
}

/// The WebSocket close code of a goodbye, and whether the client should come back.
pub fn close_code(bye: Bye) -> (u16, bool) {
    match bye {
        Bye::Restarting => (4000, true),
        Bye::TooSlow => (4001, true),
        Bye::Silent => (4002, true),
        Bye::Full => (4003, true),
        Bye::Moved => (4004, true),
        Bye::OldClient => (4100, false),
        Bye::Hostile => (4101, false),
        Bye::Elsewhere => (4102, false),
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        match self.place {
            Ok(_) => drop(ctx.spawn(Pump)),
            Err(why) => self.bye(Bye::Full, why, ctx),
        }
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        Running::Stop
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.door.hall.do_send(SignOut {
            socket: self.socket,
        });
        // Only who was told something has to hear it out.
        if matches!(self.state, State::Closed)
            && let Some(link) = self.link.take()
        {
            let place = std::mem::replace(&mut self.place, Err(""));
            actix::spawn(async move {
                link.linger().await;
                drop(place);
            });
        }
    }
}

impl Handler<Tick> for Session {
    type Result = ();

    fn handle(&mut self, _: Tick, ctx: &mut Self::Context) {
        self.look_after(ctx);
    }
}

impl Handler<ToSession> for Session {
    type Result = ();

    fn handle(&mut self, message: ToSession, ctx: &mut Self::Context) {
        match message {
            ToSession::SignedIn(signed_in) => {
                self.state = State::In;
                let welcome = ToClient::Welcome {
                    protocol: PROTOCOL,
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    session: signed_in.token.expose().to_owned(),
                    room: signed_in.room,
                    limits: Limits {
                        frame: u32::try_from(MAX_CLIENT_FRAME).unwrap_or(u32::MAX),
                        answer: ANSWER_LIMIT,
                        name: u32::try_from(NAME_LIMIT).unwrap_or(u32::MAX),
                    },
                };
                self.say(&welcome, ctx);
            }
            ToSession::Seated { moves, sounds } => {
                self.moves = Some(moves);
                if sounds.is_some() {
                    self.microphone.open();
                }
                self.sounds = sounds;
            }
            ToSession::Unseated => {
                self.moves = None;
                self.sounds = None;
            }
            ToSession::Say(frame) => self.send(&frame, ctx),
            ToSession::Sound(sound) => {
                if let Some(link) = &mut self.link {
                    self.clause.take(&sound, || {
                        link.flush_now();
                        let has_room = link.backlog() <= SOUND_HIGH_WATER;
                        if has_room {
                            link.say_binary(&sound.frame);
                        }
                        has_room
                    });
                }
            }
            ToSession::Bye { bye, why } => self.bye(bye, why, ctx),
        }
    }
}

#[cfg(test)]
mod tests;
