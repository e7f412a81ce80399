//! One browser socket: reads, limits, passes on, writes. It knows no rules and keeps
//! nothing that the hall or a room could not tell it again.

use std::{sync::Arc, time::Duration};

use actix::{
    Actor, ActorContext, Addr, AsyncContext, Handler, Recipient, Running, StreamHandler,
    prelude::SendError,
};
use actix_http::ws::Item;
use actix_web_actors::ws::{self, CloseCode, CloseReason, WebsocketContext};

use tokio::sync::OwnedSemaphorePermit;

use super::{
    bucket::Bucket,
    hall::{ANSWER_LIMIT, Hall},
    identity::{NAME_LIMIT, now},
    messages::{FromGuest, FromPlayer, Move, SignIn, SignOut, ToSession, Want, Wish, refused},
    pulse::{Pulse, SocketId},
    tally::Tally,
};
use crate::wire::browser::{
    Bye, FromClient, Limits, MAX_CLIENT_FRAME, PROTOCOL, RefusalCode, ToClient,
};

/// Messages that wait for a client before its room keeps them back.
const MAILBOX: usize = 64;

/// Pings that may go unanswered.
const PATIENCE: u32 = 3;

/// What a session needs of its house.
#[derive(Clone)]
pub struct Doorway {
    pub hall: Addr<Hall>,
    pub tally: Arc<Tally>,
    pub ping_every: Duration,
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
    door: Doorway,
    socket: SocketId,
    pulse: Arc<Pulse>,
    state: State,
    moves: Option<Recipient<FromPlayer>>,
    bucket: Bucket,
    /// A message that comes in several frames.
    fragments: Option<Vec<u8>>,
    pings: u32,
    /// Its place among the sockets that may be open; comes back when the actor goes. None
    /// when every place is taken: it is told so and goes.
    place: Option<OwnedSemaphorePermit>,
}

impl Session {
    pub fn new(
        door: Doorway,
        socket: SocketId,
        pulse: Arc<Pulse>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            door,
            socket,
            pulse,
            state: State::Fresh,
            moves: None,
            bucket: Bucket::new(now()),
            fragments: None,
            pings: 0,
            place,
        }
    }

    fn say(&self, message: &ToClient, ctx: &mut WebsocketContext<Self>) {
        let text = serde_json::to_string(message).expect("a message has string keys only");
        ctx.text(text);
    }

    fn refuse(&self, id: u32, code: RefusalCode, why: &str, ctx: &mut WebsocketContext<Self>) {
        self.door.tally.refused(code);
        self.say(&refused(id, code, why), ctx);
    }

    fn bye(&mut self, bye: Bye, why: &str, ctx: &mut WebsocketContext<Self>) {
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
        ctx.close(Some(CloseReason {
            code: CloseCode::Other(code),
            description: Some(why.to_owned()),
        }));
        // The close frame alone would leave the actor running until the client answers.
        ctx.stop();
    }

    fn look_after(&mut self, ctx: &mut WebsocketContext<Self>) {
        if let Some(bye) = self.pulse.doomed() {
            let why = match bye {
                Bye::Elsewhere => "this session was opened elsewhere",
                Bye::Restarting => "the server restarts",
                _ => "you read too slowly",
            };
            self.bye(bye, why, ctx);
            return;
        }
        let limit = self.door.ping_every * PATIENCE;
        let silence = Duration::from_millis(self.pulse.silence(now()));
        self.pings += 1;
        let never_came = matches!(self.state, State::Fresh) && self.pings > PATIENCE;
        if silence > limit || never_came {
            self.bye(Bye::Silent, "nothing was heard from you", ctx);
        } else {
            ctx.ping(b"");
        }
    }

    fn read(&mut self, text: &str, ctx: &mut WebsocketContext<Self>) {
        let message = match serde_json::from_str::<FromClient>(text) {
            Ok(message) => message,
            Err(_) if matches!(self.state, State::Fresh) => {
                self.bye(Bye::OldClient, "the first message must be hello", ctx);
                return;
            }
            Err(error) => {
                let id = id_of(text).unwrap_or_default();
                if self.bucket.take(now()) {
                    self.refuse(id, RefusalCode::Malformed, &error.to_string(), ctx);
                } else {
                    self.refuse(id, RefusalCode::TooFast, "slow down", ctx);
                }
                return;
            }
        };
        if let FromClient::Hello { protocol, session } = message {
            self.hello(protocol, session, ctx);
            return;
        }
        if matches!(self.state, State::Fresh) {
            self.bye(Bye::OldClient, "the first message must be hello", ctx);
            return;
        }
        let allowed = self.bucket.take(now());
        let arriving = matches!(self.state, State::Arriving);
        let id = match &message {
            FromClient::Ping { nonce } => {
                if allowed {
                    self.say(&ToClient::Pong { nonce: *nonce }, ctx);
                }
                return;
            }
            FromClient::Hello { .. } => return,
            FromClient::Open { id, .. }
            | FromClient::Resume { id, .. }
            | FromClient::Answer { id, .. }
            | FromClient::Stop { id }
            | FromClient::Leave { id }
            | FromClient::OpenTable { id, .. }
            | FromClient::JoinTable { id, .. }
            | FromClient::Act { id, .. }
            | FromClient::Lobby { id, .. } => *id,
        };
        if !allowed {
            self.refuse(id, RefusalCode::TooFast, "slow down", ctx);
        } else if arriving {
            self.refuse(id, RefusalCode::NotNow, "wait for the welcome", ctx);
        } else {
            self.pass_on(id, message, ctx);
        }
    }

    fn hello(&mut self, protocol: u16, session: Option<String>, ctx: &mut WebsocketContext<Self>) {
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

    fn pass_on(&mut self, id: u32, message: FromClient, ctx: &mut WebsocketContext<Self>) {
        let wish = match message {
            FromClient::Answer { round, text, .. } => {
                return self.play(id, Move::Answer { round, text }, ctx);
            }
            FromClient::Stop { .. } => return self.play(id, Move::Stop, ctx),
            FromClient::Open {
                kind, mode, name, ..
            } => Wish::Open { kind, mode, name },
            FromClient::Resume {
                room,
                epoch,
                offset,
                ..
            } => Wish::Resume {
                room,
                epoch,
                offset,
            },
            FromClient::Leave { .. } => Wish::Leave,
            FromClient::Act { act, .. } => return self.play(id, Move::Act(act), ctx),
            FromClient::OpenTable {
                setup, role, name, ..
            } => Wish::OpenTable { setup, role, name },
            FromClient::JoinTable {
                room,
                role,
                name,
                seat,
                held,
                ..
            } => Wish::JoinTable {
                room,
                want: Want { role, name, seat },
                held,
            },
            FromClient::Lobby { watch, .. } => Wish::Lobby { watch },
            FromClient::Hello { .. } | FromClient::Ping { .. } => return,
        };
        let request = FromGuest {
            socket: self.socket,
            id,
            wish,
        };
        if self.door.hall.try_send(request).is_err() {
            self.refuse(id, RefusalCode::Trouble, "the house is overrun", ctx);
        }
    }

    fn play(&mut self, id: u32, what: Move, ctx: &mut WebsocketContext<Self>) {
        let Some(moves) = &self.moves else {
            self.refuse(id, RefusalCode::NoSuchRoom, "you sit in no room", ctx);
            return;
        };
        let socket = self.socket;
        match moves.try_send(FromPlayer { socket, id, what }) {
            Ok(()) => {}
            Err(SendError::Full(_)) => {
                self.refuse(id, RefusalCode::TooFast, "the room is still busy", ctx);
            }
            Err(SendError::Closed(_)) => {
                self.refuse(id, RefusalCode::Trouble, "the room is being rebuilt", ctx);
            }
        }
    }

    fn gather(&mut self, item: Item, ctx: &mut WebsocketContext<Self>) {
        let (piece, last) = match item {
            Item::FirstText(piece) if self.fragments.is_none() => {
                self.fragments = Some(Vec::new());
                (piece, false)
            }
            Item::Continue(piece) => (piece, false),
            Item::Last(piece) => (piece, true),
            Item::FirstText(_) | Item::FirstBinary(_) => {
                return self.bye(Bye::Hostile, "text frames only", ctx);
            }
        };
        let Some(fragments) = &mut self.fragments else {
            return self.bye(Bye::Hostile, "a continuation of nothing", ctx);
        };
        if fragments.len() + piece.len() > MAX_CLIENT_FRAME {
            return self.bye(Bye::Hostile, "the message is too long", ctx);
        }
        fragments.extend_from_slice(&piece);
        if last && let Some(whole) = self.fragments.take() {
            match String::from_utf8(whole) {
                Ok(text) => self.read(&text, ctx),
                Err(_) => self.bye(Bye::Hostile, "the text is not UTF-8", ctx),
            }
        }
    }
}

/// The `id` of a message that is otherwise not understood.
fn id_of(text: &str) -> Option<u32> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    u32::try_from(value.get("id")?.as_u64()?).ok()
}

/// The WebSocket close code of a goodbye, and whether the client should come back.
pub fn close_code(bye: Bye) -> (u16, bool) {
    match bye {
        Bye::Restarting => (4000, true),
        Bye::TooSlow => (4001, true),
        Bye::Silent => (4002, true),
        Bye::Full => (4003, true),
        Bye::OldClient => (4100, false),
        Bye::Hostile => (4101, false),
        Bye::Elsewhere => (4102, false),
    }
}

impl Actor for Session {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        if self.place.is_none() {
            self.bye(Bye::Full, "every place is taken; come back later", ctx);
            return;
        }
        ctx.run_interval(self.door.ping_every, Self::look_after);
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        Running::Stop
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.door.hall.do_send(SignOut {
            socket: self.socket,
        });
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
            ToSession::Seated { moves } => self.moves = Some(moves),
            ToSession::Unseated => self.moves = None,
            ToSession::Say(frame) => ctx.text(frame.text()),
            ToSession::Bye { bye, why } => self.bye(bye, why, ctx),
        }
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Session {
    fn handle(&mut self, item: Result<ws::Message, ws::ProtocolError>, ctx: &mut Self::Context) {
        if matches!(self.state, State::Closed) {
            return;
        }
        self.pulse.beat(now());
        match item {
            Ok(ws::Message::Text(text)) => self.read(&text, ctx),
            Ok(ws::Message::Continuation(item)) => self.gather(item, ctx),
            Ok(ws::Message::Ping(payload)) => {
                if self.bucket.take(now()) {
                    ctx.pong(&payload);
                }
            }
            Ok(ws::Message::Pong(_) | ws::Message::Nop) => {}
            Ok(ws::Message::Binary(_)) => self.bye(Bye::Hostile, "text frames only", ctx),
            Ok(ws::Message::Close(reason)) => {
                self.state = State::Closed;
                ctx.close(reason);
                ctx.stop();
            }
            Err(error) => {
                tracing::debug!(socket = self.socket, %error, "a socket breaks the protocol");
                self.bye(Bye::Hostile, "frames no client of ours sends", ctx);
            }
        }
    }
}
