//! One room: the owner of one game and the only writer of its log.
//!
//! Whatever is wanted of the game becomes a command; the rules turn it into events; the
//! store takes them; only then are they true and told. While the store writes, commands
//! wait in a bounded queue. What must be done next is read off the game after every change,
//! so that a room rebuilt from its log goes on where it stood.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, SpawnHandle,
    WrapFuture,
};

use super::{
    House,
    audience::{Audience, tell},
    bot::Bot,
    briefs,
    cursor::View,
    hall::Hall,
    identity::now,
    journal::Journal,
    judge::Judge,
    messages::{
        Answer, AskQuestion, FromPlayer, FromTurn, GetUp, GiveVerdict, Gone, Guest, Join, LetGo,
        Move, RoomEnded, RoomGone, RoomIdle, Shut, ToSession, TurnId, refused,
    },
    seeds::{OsDice, Purpose},
    turns::{Follow, Turns},
};
use crate::{
    play::{
        UnixMillis,
        imitation::{Command, Effect, Event, Refusal, Rules},
    },
    store::{Store, StoreError},
    wire::browser::{Doing, Line, RefusalCode, ToClient},
};

/// Player's commands that wait while the store writes.
const QUEUE: usize = 16;

/// Messages that wait in a room's mailbox before players are told to slow down.
const MAILBOX: usize = 128;

/// How soon somebody whose outbox was full is tried again.
const CATCH_UP: Duration = Duration::from_millis(100);

/// How soon the store is tried again for what no player will repeat: at first, and at most.
const RETRY: Duration = Duration::from_millis(500);
const RETRY_AT_MOST: Duration = Duration::from_secs(30);

/// How a room comes to be.
pub(crate) enum Start {
    /// A new game for this guest, who asked for it in message `id`.
    New {
        guest: Guest,
        id: u32,
        rules: Rules,
        player: String,
    },
    /// Back from the store.
    Load,
}

/// Who wants something of the game.
#[derive(Clone, Debug)]
enum Origin {
    Player {
        id: u32,
        socket: u64,
    },
    Turn(TurnId),
    /// The clock, or a player who plays elsewhere now. Nobody waits for an answer.
    Nobody,
}

#[derive(Clone, Debug)]
struct Wanted {
    command: Command,
    from: Origin,
}

/// Tells the hall that the room is no more, whichever way it went.
struct DeathNotice {
    hall: Addr<Hall>,
    room: String,
    life: u32,
    how: Gone,
}

impl Drop for DeathNotice {
    fn drop(&mut self) {
        self.hall.do_send(RoomGone {
            room: std::mem::take(&mut self.room),
            life: self.life,
            how: self.how,
        });
    }
}

/// The actor.
pub(crate) struct Room {
    house: Arc<House>,
    hall: Addr<Hall>,
    life: u32,
    start: Option<Start>,
    journal: Journal,
    audience: Audience,
    turns: Turns,
    bot: Option<Addr<Bot>>,
    judge: Option<Addr<Judge>>,
    /// Whether the log is being read or written.
    busy: bool,
    waiting: VecDeque<Wanted>,
    arriving: Vec<Join>,
    /// Whether the store knows that the game is over.
    closed: bool,
    timer: Option<SpawnHandle>,
    catching_up: bool,
    retry: Duration,
    notice: DeathNotice,
}

impl Room {
    /// `life` counts the actors that this room has had.
    pub(crate) fn new(
        house: Arc<House>,
        room: String,
        life: u32,
        start: Start,
        hall: Addr<Hall>,
    ) -> Self {
        Self {
            house,
            hall: hall.clone(),
            life,
            start: Some(start),
            journal: Journal::new(room.clone(), 0),
            audience: Audience::default(),
            turns: Turns::default(),
            bot: None,
            judge: None,
            busy: true,
            waiting: VecDeque::new(),
            arriving: Vec::new(),
            closed: false,
            timer: None,
            catching_up: false,
            retry: RETRY,
            notice: DeathNotice {
                hall,
                room,
                life,
                how: Gone::Unexpected,
            },
        }
    }

    /// The hall knows who is on the way here, so it decides.
    fn ask_leave(&self) {
        self.hall.do_send(RoomIdle {
            room: self.journal.room().to_owned(),
            life: self.life,
        });
    }

    fn leave(&mut self, how: Gone, ctx: &mut Context<Self>) {
        self.let_go(Purpose::Answer);
        self.let_go(Purpose::Question);
        self.notice.how = how;
        ctx.stop();
    }

    // ---- beginnings

    fn open(
        &mut self,
        guest: Guest,
        id: u32,
        rules: Rules,
        player: String,
        ctx: &mut Context<Self>,
    ) {
        let at = now();
        let command = Command::Open { rules, player };
        let events = match self.journal.game().decide(command, at, &mut OsDice) {
            Ok(events) => events,
            Err(refusal) => {
                tracing::error!(%refusal, "the house's own rules cannot be played");
                self.refuse_opening(&guest, id, ctx);
                return;
            }
        };
        let store = self.house.store.clone();
        let room = self.journal.room().to_owned();
        let bodies = bodies(&events);
        let work = async move {
            let epoch = store.create(&room, at).await?;
            store.append(&room, 0, at, bodies).await?;
            Ok::<u32, StoreError>(epoch)
        };
        ctx.spawn(
            work.into_actor(self)
                .map(move |result, this, ctx| match result {
                    Ok(epoch) => {
                        this.journal = Journal::new(this.journal.room().to_owned(), epoch);
                        this.take_in(at, events);
                        this.arriving.insert(
                            0,
                            Join {
                                guest,
                                id: Some(id),
                                held: None,
                            },
                        );
                        this.go_on(ctx);
                    }
                    Err(error) => {
                        tracing::error!(%error, "a room could not be opened");
                        this.refuse_opening(&guest, id, ctx);
                    }
                }),
        );
    }

    fn refuse_opening(&mut self, guest: &Guest, id: u32, ctx: &mut Context<Self>) {
        self.house.tally.refused(RefusalCode::Trouble);
        let refusal = refused(id, RefusalCode::Trouble, "the room could not be opened");
        tell(guest, ToSession::Say(Arc::new(refusal)));
        self.leave(Gone::Done, ctx);
    }

    fn load(&mut self, ctx: &mut Context<Self>) {
        let store = self.house.store.clone();
        let room = self.journal.room().to_owned();
        let work = async move { store.read(&room, 0).await };
        ctx.spawn(work.into_actor(self).map(|result, this, ctx| {
            let room = this.journal.room().to_owned();
            match result.map(|log| Journal::read(room, &log)) {
                Ok(Ok(journal)) if journal.len() > 0 => {
                    this.journal = journal;
                    this.report_end(None);
                    this.go_on(ctx);
                }
                Ok(Ok(_)) => this.turn_away(RefusalCode::NoSuchRoom, "its game never began", ctx),
                Ok(Err(damaged)) => {
                    tracing::error!(room = this.journal.room(), %damaged, "a room is lost");
                    this.turn_away(RefusalCode::Trouble, "the room's log is damaged", ctx);
                }
                Err(StoreError::NoSuchRoom(_)) => {
                    this.turn_away(RefusalCode::NoSuchRoom, "there is no such room", ctx);
                }
                Err(error) => {
                    tracing::error!(room = this.journal.room(), %error, "a room cannot be read; again soon");
                    let pause = this.next_retry();
                    ctx.run_later(pause, |this, ctx| this.load(ctx));
                }
            }
        }));
    }

    /// Nobody can sit here.
    fn turn_away(&mut self, code: RefusalCode, why: &str, ctx: &mut Context<Self>) {
        for join in std::mem::take(&mut self.arriving) {
            if let Some(id) = join.id {
                self.house.tally.refused(code);
                tell(
                    &join.guest,
                    ToSession::Say(Arc::new(refused(id, code, why))),
                );
            }
        }
        self.leave(Gone::Done, ctx);
    }

    fn seat(&mut self, join: Join, ctx: &mut Context<Self>) {
        let Join { guest, id, held } = join;
        tell(
            &guest,
            ToSession::Seated {
                moves: ctx.address().recipient(),
            },
        );
        if let Some(id) = id {
            tell(&guest, ToSession::Say(Arc::new(ToClient::Accepted { id })));
        }
        self.audience.seat(guest, held);
    }

    // ---- the one way in which the log grows

    fn act(&mut self, wanted: Wanted, ctx: &mut Context<Self>) {
        if self.busy {
            self.wait(wanted);
            return;
        }
        let at = now();
        let game = self.journal.game();
        match game.decide(wanted.command.clone(), at, &mut OsDice) {
            Ok(events) if events.is_empty() => {
                self.accept(&wanted);
                self.go_on(ctx);
            }
            Ok(events) => self.store(wanted, at, events, ctx),
            Err(refusal) => {
                self.refuse(&wanted, &refusal);
                self.go_on(ctx);
            }
        }
    }

    fn wait(&mut self, wanted: Wanted) {
        // What machines and clocks want is little and has to be done: only players' moves
        // count against the queue.
        if let Origin::Player { id, socket } = wanted.from
            && self.waiting.len() >= QUEUE
        {
            self.reply_refused(socket, id, RefusalCode::TooFast, "the room is still busy");
            return;
        }
        self.waiting.push_back(wanted);
    }

    fn store(
        &mut self,
        wanted: Wanted,
        at: UnixMillis,
        events: Vec<Event>,
        ctx: &mut Context<Self>,
    ) {
        self.busy = true;
        let store = self.house.store.clone();
        let room = self.journal.room().to_owned();
        let expected = self.journal.len();
        let bodies = bodies(&events);
        let work = async move { store.append(&room, expected, at, bodies).await };
        ctx.spawn(
            work.into_actor(self)
                .map(move |result, this, ctx| match result {
                    Ok(_) => {
                        this.retry = RETRY;
                        this.accept(&wanted);
                        this.take_in(at, events);
                        this.go_on(ctx);
                    }
                    Err(error) => this.not_stored(wanted, &error, ctx),
                }),
        );
    }

    /// Nothing was changed. A player may try again; what nobody will repeat is repeated here.
    fn not_stored(&mut self, wanted: Wanted, error: &StoreError, ctx: &mut Context<Self>) {
        tracing::error!(room = self.journal.room(), %error, "an event was not stored");
        if let Origin::Player { id, socket } = wanted.from {
            self.reply_refused(
                socket,
                id,
                RefusalCode::Trouble,
                "it could not be stored; try again",
            );
        }
        if let StoreError::Conflict { .. } = error {
            // The log has a writer besides us, so what we hold is not the game: start over
            // from the log.
            self.leave(Gone::Unexpected, ctx);
            return;
        }
        let pause = match wanted.from {
            Origin::Player { .. } => Duration::ZERO,
            _ => self.next_retry(),
        };
        // Everything that machines have finished is still in `turns`, and the clock is read
        // off the game: going on is trying again.
        ctx.run_later(pause, |this, ctx| this.go_on(ctx));
    }

    fn next_retry(&mut self) -> Duration {
        let pause = self.retry;
        self.retry = (pause * 2).min(RETRY_AT_MOST);
        pause
    }

    fn take_in(&mut self, at: UnixMillis, events: Vec<Event>) {
        for event in events {
            let ending = match &event {
                Event::Ended { ending, .. } => Some(*ending),
                _ => None,
            };
            self.journal.push(at, event);
            if let Some(ending) = ending {
                self.report_end(Some(ending));
            }
        }
    }

    fn report_end(&self, fresh: Option<crate::play::imitation::Ending>) {
        if self.journal.game().is_over() {
            self.hall.do_send(RoomEnded {
                room: self.journal.room().to_owned(),
                life: self.life,
                fresh,
            });
        }
    }

    // ---- answers to players

    fn accept(&self, wanted: &Wanted) {
        if let Origin::Player { id, socket } = wanted.from {
            self.audience.tell(socket, ToClient::Accepted { id });
        }
    }

    fn refuse(&mut self, wanted: &Wanted, refusal: &Refusal) {
        match wanted.from {
            Origin::Player { id, socket } => {
                let code = match refusal {
                    Refusal::Empty | Refusal::TooLong { .. } => RefusalCode::Malformed,
                    _ => RefusalCode::NotNow,
                };
                self.reply_refused(socket, id, code, &refusal.to_string());
            }
            Origin::Turn(turn) => {
                tracing::warn!(room = self.journal.room(), ?turn, %refusal, "the rules refuse what a machine did");
                self.turns.spoil(turn);
            }
            Origin::Nobody => {}
        }
    }

    fn reply_refused(&self, socket: u64, id: u32, code: RefusalCode, why: &str) {
        self.house.tally.refused(code);
        self.audience.tell(socket, refused(id, code, why));
    }

    // ---- what follows from where the game stands

    /// Everything that may follow from a change: tells the audience, does what the game
    /// needs next, and takes the next command.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        self.busy = false;
        for join in std::mem::take(&mut self.arriving) {
            self.seat(join, ctx);
        }
        self.follow_effects(ctx);
        self.show(ctx);
        if let Some(next) = self.waiting.pop_front().or_else(|| self.finished_turn()) {
            self.act(next, ctx);
        } else if self.journal.game().is_over() && self.audience.is_empty() {
            self.close(ctx);
        }
    }

    /// A line that came whole and may go into the log now.
    fn finished_turn(&self) -> Option<Wanted> {
        // In blind mode the bot's line waits for the player's, so that neither its place in
        // the log nor its time tells how long the other witness took.
        let game = self.journal.game();
        let held = self.journal.is_blind() && game.player_due().is_some();
        self.turns
            .done()
            .find(|(_, command)| !(held && matches!(command, Command::BotAnswers { .. })))
            .map(|(turn, command)| Wanted {
                command: command.clone(),
                from: Origin::Turn(turn),
            })
    }

    fn follow_effects(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let effects = self.journal.game().effects();
        let wanted: Vec<TurnId> = effects.iter().filter_map(turn_of).collect();
        for dropped in self.turns.keep(&wanted) {
            self.let_go(dropped.purpose);
        }
        for turn in wanted {
            if !self.turns.has(turn) {
                self.turns.begin(turn);
                self.ask(turn, 0, ctx);
            }
        }
        for effect in effects {
            if let Effect::WaitForPlayer { until } = effect {
                let pause = Duration::from_millis(until.saturating_sub(now()));
                self.timer = Some(ctx.run_later(pause, |this, ctx| {
                    this.timer = None;
                    let tick = Wanted {
                        command: Command::Tick,
                        from: Origin::Nobody,
                    };
                    this.act(tick, ctx);
                }));
            }
        }
    }

    fn ask(&mut self, turn: TurnId, attempt: u32, ctx: &mut Context<Self>) {
        let room = ctx.address().recipient();
        let game = self.journal.game();
        match turn.purpose {
            Purpose::Question => {
                let brief = briefs::question(game);
                self.judge().do_send(AskQuestion {
                    turn,
                    attempt,
                    brief,
                    room,
                });
            }
            Purpose::Answer => {
                let asked = self.journal.asked_at().unwrap_or_else(now);
                let asked_ago = Duration::from_millis(now().saturating_sub(asked));
                if let Some(brief) = briefs::answer(game, self.house.typing, asked_ago) {
                    self.bot().do_send(Answer {
                        turn,
                        attempt,
                        brief,
                        room,
                    });
                }
            }
            Purpose::Verdict => {
                if let Some(brief) = briefs::verdict(game) {
                    self.judge().do_send(GiveVerdict {
                        turn,
                        attempt,
                        brief,
                        room,
                    });
                }
            }
        }
    }

    fn bot(&mut self) -> Addr<Bot> {
        match &self.bot {
            Some(bot) if bot.connected() => bot.clone(),
            _ => {
                let bot = Bot::new(self.house.witness.clone()).start();
                self.bot.insert(bot).clone()
            }
        }
    }

    fn judge(&mut self) -> Addr<Judge> {
        match &self.judge {
            Some(judge) if judge.connected() => judge.clone(),
            _ => {
                let judge = Judge::new(self.house.judge.clone()).start();
                self.judge.insert(judge).clone()
            }
        }
    }

    fn let_go(&self, purpose: Purpose) {
        match purpose {
            Purpose::Answer => {
                if let Some(bot) = &self.bot {
                    bot.do_send(LetGo);
                }
            }
            Purpose::Question | Purpose::Verdict => {
                if let Some(judge) = &self.judge {
                    judge.do_send(LetGo);
                }
            }
        }
    }

    fn doing(&self) -> Doing {
        let game = self.journal.game();
        if game.is_over() {
            return Doing::Over;
        }
        let until = game.player_due();
        if until.is_some() {
            return Doing::WitnessesAnswer {
                your_turn: true,
                until,
            };
        }
        let waits_for = game.effects().iter().find_map(turn_of);
        match waits_for.map(|turn| turn.purpose) {
            Some(purpose) if self.turns.is_away(purpose) => Doing::WaitsForModel,
            Some(Purpose::Question) => Doing::JudgeAsks,
            Some(Purpose::Verdict) => Doing::JudgeWeighs,
            Some(Purpose::Answer) | None => Doing::WitnessesAnswer {
                your_turn: false,
                until: None,
            },
        }
    }

    fn show(&mut self, ctx: &mut Context<Self>) {
        let blind = self.journal.is_blind();
        let lines: Vec<_> = self
            .turns
            .lines()
            .filter(|writing| !blind || writing.line == Line::Question)
            .collect();
        let view = View {
            journal: &self.journal,
            doing: self.doing(),
            lines: &lines,
        };
        let updated = self.audience.update(&view, Instant::now());
        self.house.tally.too_slow(updated.too_slow);
        if updated.behind && !self.catching_up {
            self.catching_up = true;
            ctx.run_later(CATCH_UP, |this, ctx| {
                this.catching_up = false;
                this.show(ctx);
            });
        }
    }

    /// Nobody is here and nothing will happen any more.
    fn close(&mut self, ctx: &mut Context<Self>) {
        if self.closed {
            self.ask_leave();
            return;
        }
        self.busy = true;
        let store = self.house.store.clone();
        let room = self.journal.room().to_owned();
        let work = async move { store.close(&room, now()).await };
        ctx.spawn(work.into_actor(self).map(|result, this, ctx| {
            if let Err(error) = result {
                // It stays open in the store and is closed after the next start.
                tracing::warn!(room = this.journal.room(), %error, "a room was not closed");
            }
            this.closed = true;
            this.go_on(ctx);
        }));
    }
}

fn turn_of(effect: &Effect) -> Option<TurnId> {
    let (purpose, round) = match effect {
        Effect::AskQuestion { round } => (Purpose::Question, *round),
        Effect::AskBot { round } => (Purpose::Answer, *round),
        Effect::AskVerdict { round } => (Purpose::Verdict, *round),
        Effect::WaitForPlayer { .. } => return None,
    };
    Some(TurnId { purpose, round })
}

fn bodies(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| serde_json::to_string(event).expect("an event has string keys only"))
        .collect()
}

impl Actor for Room {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        match self.start.take() {
            Some(Start::New {
                guest,
                id,
                rules,
                player,
            }) => self.open(guest, id, rules, player, ctx),
            Some(Start::Load) | None => self.load(ctx),
        }
    }
}

impl Handler<Join> for Room {
    type Result = ();

    fn handle(&mut self, join: Join, ctx: &mut Self::Context) {
        self.arriving.push(join);
        if !self.busy {
            self.go_on(ctx);
        }
    }
}

impl Handler<GetUp> for Room {
    type Result = ();

    fn handle(&mut self, message: GetUp, ctx: &mut Self::Context) {
        self.arriving
            .retain(|join| join.guest.socket != message.socket);
        self.audience.remove(message.socket);
        if message.for_good {
            self.act(
                Wanted {
                    command: Command::Stop,
                    from: Origin::Nobody,
                },
                ctx,
            );
        } else if !self.busy {
            self.go_on(ctx);
        }
    }
}

impl Handler<FromPlayer> for Room {
    type Result = ();

    fn handle(&mut self, message: FromPlayer, ctx: &mut Self::Context) {
        let FromPlayer { socket, id, what } = message;
        if !self.audience.has(socket) {
            return;
        }
        let command = match what {
            Move::Answer { round, text } => Command::PlayerAnswers { round, text },
            Move::Stop => Command::Stop,
        };
        self.act(
            Wanted {
                command,
                from: Origin::Player { id, socket },
            },
            ctx,
        );
    }
}

impl Handler<FromTurn> for Room {
    type Result = ();

    fn handle(&mut self, report: FromTurn, ctx: &mut Self::Context) {
        match self.turns.hear(report) {
            Follow::Stale => {}
            Follow::Show => self.show(ctx),
            Follow::Done => {}
            Follow::AskAgain(turn, attempt) => {
                self.ask(turn, attempt, ctx);
                self.show(ctx);
            }
            Follow::GiveUp(error) => {
                tracing::error!(room = self.journal.room(), %error, "a game is broken off");
            }
            Follow::Vanished => {
                tracing::error!(
                    room = self.journal.room(),
                    "a game is broken off: its turn vanished"
                );
            }
        }
        if !self.busy && self.finished_turn().is_some() {
            self.go_on(ctx);
        }
    }
}

impl Handler<Shut> for Room {
    type Result = ();

    fn handle(&mut self, _: Shut, ctx: &mut Self::Context) {
        self.leave(Gone::Done, ctx);
    }
}
