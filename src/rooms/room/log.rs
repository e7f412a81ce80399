//! The one way in which a room's log grows: a command becomes events, the store takes them,
//! and only then are they true.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::*;

impl Room {
    pub(super) fn act(&mut self, wanted: Wanted, ctx: &mut Context<Self>) {
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

    pub(super) fn wait(&mut self, wanted: Wanted) {
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

    pub(super) fn store(
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
        let work = async move {
            store
                .append(&room, Fence::UNLEASED, expected, at, bodies)
                .await
        };
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

    /// Nothing was changed, or nobody knows. A player may try again; what nobody will repeat
    /// is repeated here.
    pub(super) fn not_stored(
        &mut self,
        wanted: Wanted,
        error: &StoreError,
        ctx: &mut Context<Self>,
    ) {
        tracing::error!(room = self.journal.room(), %error, "an event was not stored");
        if let Origin::Player { id, socket } = wanted.from {
            let why = match error {
                StoreError::Unanswered(_) => "the store does not answer; see whether it is there",
                _ => "it could not be stored; try again",
            };
            self.reply_refused(socket, id, RefusalCode::Trouble, why);
        }
        if let StoreError::Conflict { .. }
        | StoreError::Fenced { .. }
        | StoreError::NoSuchRoom(_)
        | StoreError::Unanswered(_) = error
        {
            // The log has or had a writer besides us, or may have taken this all the same: what
            // we hold may not be the game. Start over from the log.
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

    pub(super) fn next_retry(&mut self) -> Duration {
        let pause = self.retry;
        self.retry = (pause * 2).min(RETRY_AT_MOST);
        pause
    }

    pub(super) fn take_in(&mut self, at: UnixMillis, events: Vec<Event>) {
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

    pub(super) fn report_end(&self, fresh: Option<crate::play::imitation::Ending>) {
        if self.journal.game().is_over() {
            self.hall.do_send(RoomEnded {
                room: self.journal.room().to_owned(),
                life: self.life,
                fresh,
            });
        }
    }

    // ---- answers to players

    pub(super) fn accept(&self, wanted: &Wanted) {
        if let Origin::Player { id, socket } = wanted.from {
            self.audience.tell(socket, ToClient::Accepted { id });
        }
    }

    pub(super) fn refuse(&mut self, wanted: &Wanted, refusal: &Refusal) {
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

    pub(super) fn reply_refused(&self, socket: u64, id: u32, code: RefusalCode, why: &str) {
        self.house.tally.refused(code);
        self.audience.tell(socket, refused(id, code, why));
    }
}

pub(super) fn bodies(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| serde_json::to_string(event).expect("an event has string keys only"))
        .collect()
}
