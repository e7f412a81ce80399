//! The one way in which a room's log grows: commands become events, the store takes them,
//! and only then are they true.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::*;

impl<P: Stage> Room<P> {
    pub(super) fn act(&mut self, wanted: Wanted<P>, ctx: &mut Context<Self>) {
        if self.busy {
            self.wait(wanted);
            return;
        }
        let at = now();
        let game = self.journal.game();
        match game.decide(wanted.command.clone(), at, &mut OsDice) {
            Ok(events) if events.is_empty() => {
                self.accept(wanted);
                self.go_on(ctx);
            }
            Ok(events) => self.store(vec![wanted], at, events, ctx),
            Err(refusal) => {
                self.refuse(wanted, &refusal);
                self.go_on(ctx);
            }
        }
    }

    fn wait(&mut self, wanted: Wanted<P>) {
        // What machines and clocks want is little and has to be done: only players' moves
        // count against the queue.
        match wanted.from {
            Origin::Player(receipt) if self.waiting.len() >= QUEUE => {
                receipt.refuse(RefusalCode::TooFast, "the room is still busy");
            }
            _ => self.waiting.push_back(wanted),
        }
    }

    /// Stores what several wanted as one: all of it becomes true, or none.
    pub(super) fn store(
        &mut self,
        wanted: Vec<Wanted<P>>,
        at: UnixMillis,
        events: Vec<P::Event>,
        ctx: &mut Context<Self>,
    ) {
        self.busy = true;
        let store = self.house.store.clone();
        let room = self.journal.room().to_owned();
        let (fence, expected) = (self.fence, self.journal.len());
        let bodies = bodies(&events);
        let work = async move { store.append(&room, fence, expected, at, bodies).await };
        self.in_hand = true;
        ctx.spawn(work.into_actor(self).map(move |result, this, ctx| {
            this.in_hand = false;
            match result {
                Ok(_) => {
                    this.retry = RETRY;
                    for wanted in wanted {
                        this.accept(wanted);
                    }
                    this.take_in(at, events);
                    this.go_on(ctx);
                }
                Err(StoreError::Fenced { .. }) => {
                    this.waiting.extend(wanted);
                    this.lost(ctx);
                }
                Err(error) => this.not_stored(wanted, &error, ctx),
            }
        }));
    }

    /// Nothing was changed, or nobody knows. A player may try again; what nobody will repeat
    /// is repeated here.
    fn not_stored(&mut self, wanted: Vec<Wanted<P>>, error: &StoreError, ctx: &mut Context<Self>) {
        let why = match error {
            StoreError::Unanswered(_) => "the store does not answer; see whether it is there",
            _ => "it could not be stored; try again",
        };
        tracing::error!(room = self.journal.room(), %error, "an event was not stored");
        let by_players = wanted
            .iter()
            .all(|wanted| matches!(wanted.from, Origin::Player(_) | Origin::Arrival(_)));
        for Wanted { command, from } in wanted {
            match from {
                Origin::Player(receipt) => receipt.refuse(RefusalCode::Trouble, why),
                Origin::Arrival(join) => self.refuse_join(&join, RefusalCode::Trouble, why),
                Origin::Nobody => self.waiting.push_back(Wanted::by_nobody(command)),
                Origin::Turn(_) => {}
            }
        }
        if self.has_left(ctx) {
            return;
        }
        if let StoreError::Conflict { .. } | StoreError::NoSuchRoom(_) | StoreError::Unanswered(_) =
            error
        {
            // The log has or had a writer besides us, or may have taken this all the same: what
            // we hold may not be the game. Start over from the log.
            self.leave(Gone::Unexpected, ctx);
            return;
        }
        let pause = if by_players {
            Duration::ZERO
        } else {
            self.next_retry()
        };
        // Everything that machines have finished is still in `turns`, and what nobody will
        // repeat waits again, behind the players who are owed an answer: going on is trying
        // again.
        ctx.run_later(pause, |this, ctx| this.go_on(ctx));
    }

    pub(super) fn next_retry(&mut self) -> Duration {
        let pause = self.retry;
        self.retry = (pause * 2).min(RETRY_AT_MOST);
        pause
    }

    pub(super) fn take_in(&mut self, at: UnixMillis, events: Vec<P::Event>) {
        for event in &events {
            self.journal.push(at, event.clone());
        }
        self.ledger.take_up(&self.journal);
        P::took_in(self, &events);
    }

    // ---- answers to players

    fn accept(&mut self, wanted: Wanted<P>) {
        match wanted.from {
            Origin::Player(receipt) => receipt.accept(),
            // The log knows them now.
            Origin::Arrival(join) => self.arriving.push(join),
            Origin::Turn(_) | Origin::Nobody => {}
        }
    }

    fn refuse(&mut self, wanted: Wanted<P>, refusal: &P::Refusal) {
        match wanted.from {
            Origin::Player(receipt) => receipt.refuse(P::code(refusal), &refusal.to_string()),
            Origin::Turn(turn) => {
                tracing::warn!(room = self.journal.room(), ?turn, %refusal, "the rules refuse what a machine did");
                self.turns.spoil(turn);
            }
            Origin::Arrival(join) => {
                self.refuse_join(&join, P::code(refusal), &refusal.to_string());
            }
            Origin::Nobody => {}
        }
    }

    /// Somebody cannot sit down.
    pub(super) fn refuse_join(&self, join: &Join, code: RefusalCode, why: &str) {
        if let Some(id) = join.id {
            self.house.tally.refused(code);
            tell(&join.guest, ToSession::say(&refused(id, code, why)));
        }
    }
}

pub(super) fn bodies<E: serde::Serialize>(events: &[E]) -> Vec<String> {
    events
        .iter()
        .map(|event| serde_json::to_string(event).expect("an event has string keys only"))
        .collect()
}
