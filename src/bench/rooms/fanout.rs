//! Servers that do nothing but fan out, for comparison. All of them, and the peers in
//! tests/peers, speak the same few texts over a WebSocket:
//!
//! | client | server |
//! |---|---|
//! | `join ROOM` | `joined` |
//! | `say LINE` | `LINE`, to everybody who joined that room |
//!
//! and ping every socket every five seconds. They print `ready on http://ADDRESS` first.

use std::{
    collections::HashMap,
    convert::Infallible,
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use actix::{
    Actor, ActorContext as _, ActorFuture, AsyncContext as _, Context, Handler, Message, Recipient,
};
use actix_codec::Framed;
use actix_http::{HttpService, Request, Response, h1};
use actix_service::fn_service;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt::net::TcpStream, web};
use clap::ValueEnum;
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::{
    gateway::socket::accept,
    rooms::{
        link::{Heard, Link},
        session::LIMITS,
    },
};

const PING_EVERY: Duration = Duration::from_secs(5);

/// Lines that may wait for a member before it misses some.
const MAILBOX: usize = 64;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FanOut {
    /// Parlour's own sockets: its link in an actor each, without the product behind them
    Sockets,
    /// The least that one writes on actix-ws
    Baseline,
}

impl FanOut {
    /// As the command line names it.
    pub(super) fn argument(self) -> &'static str {
        match self {
            Self::Sockets => "sockets",
            Self::Baseline => "baseline",
        }
    }
}

/// What a client asks.
enum Asks<'a> {
    Join(&'a str),
    Say(&'a str),
}

impl<'a> Asks<'a> {
    fn read(text: &'a str) -> Option<Self> {
        match text.split_once(' ')? {
            ("join", room) => Some(Self::Join(room)),
            ("say", line) => Some(Self::Say(line)),
            _ => None,
        }
    }
}

/// Rooms and who is in them.
type Rooms<T> = Arc<Mutex<HashMap<String, Vec<T>>>>;

/// Serves on a free port until it is killed.
///
/// # Errors
/// When the port cannot be had.
pub(super) async fn serve(which: FanOut) -> anyhow::Result<()> {
    match which {
        FanOut::Sockets => sockets().await,
        FanOut::Baseline => baseline().await,
    }
}

fn announce(address: std::net::SocketAddr) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready on http://{address}")?;
    Ok(out.flush()?)
}

// ---- our own sockets

#[derive(Clone, Message)]
#[rtype(result = "()")]
struct Line(Arc<str>);

#[derive(Message)]
#[rtype(result = "()")]
struct Tick;

struct Member {
    link: Link,
    rooms: Rooms<Recipient<Line>>,
    room: String,
}

impl Member {
    fn hear(&mut self, text: &str, ctx: &Context<Self>) {
        match Asks::read(text) {
            Some(Asks::Join(room)) => {
                room.clone_into(&mut self.room);
                let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
                let members = rooms.entry(self.room.clone()).or_default();
                members.push(ctx.address().recipient());
                drop(rooms);
                self.link.say("joined");
            }
            Some(Asks::Say(line)) => {
                let line = Line(line.into());
                let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(members) = rooms.get_mut(&self.room) {
                    members.retain(|member| {
                        !matches!(
                            member.try_send(line.clone()),
                            Err(actix::prelude::SendError::Closed(_))
                        )
                    });
                }
            }
            None => {}
        }
    }
}

impl Actor for Member {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.spawn(Pump);
    }
}

impl Handler<Line> for Member {
    type Result = ();

    fn handle(&mut self, Line(line): Line, _: &mut Self::Context) {
        self.link.say(&line);
    }
}

impl Handler<Tick> for Member {
    type Result = ();

    fn handle(&mut self, _: Tick, _: &mut Self::Context) {
        self.link.ping();
    }
}

struct Pump;

impl ActorFuture<Member> for Pump {
    type Output = ();

    fn poll(
        self: std::pin::Pin<&mut Self>,
        member: &mut Member,
        ctx: &mut Context<Member>,
        task: &mut std::task::Context<'_>,
    ) -> Poll<()> {
        loop {
            match member.link.poll_hear(task) {
                Poll::Pending => break,
                Poll::Ready(Ok(Heard::Text(text))) => member.hear(&text, ctx),
                Poll::Ready(Ok(Heard::Close(_)) | Err(_)) => {
                    ctx.stop();
                    return Poll::Ready(());
                }
                Poll::Ready(Ok(_)) => {}
            }
        }
        if let Poll::Ready(Err(_)) = member.link.poll_flush(task) {
            ctx.stop();
        }
        Poll::Pending
    }
}

async fn sockets() -> anyhow::Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let rooms = Rooms::default();
    let everybody: Arc<Mutex<Vec<Recipient<Tick>>>> = Arc::default();
    let sweep = Arc::clone(&everybody);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(PING_EVERY);
            sweep
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .retain(|member| member.connected() && member.try_send(Tick).is_ok());
        }
    });
    let server = actix_server::Server::build()
        .backlog(4096)
        .listen("fan-out", listener, move || {
            let (rooms, everybody) = (Arc::clone(&rooms), Arc::clone(&everybody));
            HttpService::build()
                .upgrade(fn_service(
                    move |(request, framed): (Request, Framed<TcpStream, h1::Codec>)| {
                        let (rooms, everybody) = (Arc::clone(&rooms), Arc::clone(&everybody));
                        async move {
                            let parts = framed.into_parts();
                            let mut stream = parts.io;
                            if let Ok(answer) = accept(request.head())
                                && stream.write_all(answer.as_bytes()).await.is_ok()
                            {
                                let member = Member {
                                    link: Link::new(stream, &parts.read_buf, LIMITS),
                                    rooms,
                                    room: String::new(),
                                };
                                let member = member.start().recipient();
                                everybody
                                    .lock()
                                    .unwrap_or_else(PoisonError::into_inner)
                                    .push(member);
                            }
                            Ok::<_, Infallible>(())
                        }
                    },
                ))
                .finish(|_: Request| async { Ok::<_, Infallible>(Response::not_found()) })
                .tcp()
        })?
        .run();
    announce(address)?;
    Ok(server.await?)
}

// ---- actix-ws

async fn baseline() -> anyhow::Result<()> {
    let rooms: web::Data<Mutex<HashMap<String, Vec<actix_ws::Session>>>> =
        web::Data::new(Mutex::default());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(rooms.clone())
            .route("/ws", web::get().to(join))
    })
    .backlog(4096)
    .bind("127.0.0.1:0")?;
    let address = server.addrs()[0];
    let server = server.run();
    announce(address)?;
    Ok(server.await?)
}

async fn join(
    request: HttpRequest,
    body: web::Payload,
    rooms: web::Data<Mutex<HashMap<String, Vec<actix_ws::Session>>>>,
) -> Result<HttpResponse, actix_web::Error> {
    let (response, session, mut messages) = actix_ws::handle(&request, body)?;
    actix_web::rt::spawn(async move {
        let mut session = session;
        let mut beat = tokio::time::interval(PING_EVERY);
        let mut mine = String::new();
        loop {
            let message = tokio::select! {
                message = messages.next() => message,
                _ = beat.tick() => {
                    if session.ping(b"").await.is_err() { return }
                    continue;
                }
            };
            let Some(Ok(actix_ws::Message::Text(text))) = message else {
                match message {
                    Some(Ok(actix_ws::Message::Ping(payload))) => {
                        if session.pong(&payload).await.is_err() {
                            return;
                        }
                    }
                    Some(Ok(actix_ws::Message::Pong(_))) => {}
                    _ => return,
                }
                continue;
            };
            match Asks::read(&text) {
                Some(Asks::Join(room)) => {
                    room.clone_into(&mut mine);
                    rooms
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .entry(mine.clone())
                        .or_default()
                        .push(session.clone());
                    if session.text("joined").await.is_err() {
                        return;
                    }
                }
                Some(Asks::Say(line)) => {
                    let members = rooms
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .get(&mine)
                        .cloned()
                        .unwrap_or_default();
                    for mut member in members {
                        // Who is gone misses it.
                        let _ = member.text(line).await;
                    }
                }
                None => {}
            }
        }
    });
    Ok(response)
}
