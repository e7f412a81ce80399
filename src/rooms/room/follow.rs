//! What follows from where a game stands: who is asked, who waits, who is shown what.

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::*;

impl Room {
    /// Everything that may follow from a change: tells the audience, does what the game
    /// needs next, and takes the next command.
    pub(super) fn go_on(&mut self, ctx: &mut Context<Self>) {
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
    pub(super) fn finished_turn(&self) -> Option<Wanted> {
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

    pub(super) fn follow_effects(&mut self, ctx: &mut Context<Self>) {
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

    pub(super) fn ask(&mut self, turn: TurnId, attempt: u32, ctx: &mut Context<Self>) {
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

    pub(super) fn bot(&mut self) -> Addr<Bot> {
        match &self.bot {
            Some(bot) if bot.connected() => bot.clone(),
            _ => {
                let bot = Bot::new(self.house.witness.clone()).start();
                self.bot.insert(bot).clone()
            }
        }
    }

    pub(super) fn judge(&mut self) -> Addr<Judge> {
        match &self.judge {
            Some(judge) if judge.connected() => judge.clone(),
            _ => {
                let judge = Judge::new(self.house.judge.clone()).start();
                self.judge.insert(judge).clone()
            }
        }
    }

    pub(super) fn let_go(&self, purpose: Purpose) {
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

    pub(super) fn doing(&self) -> Doing {
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

    pub(super) fn show(&mut self, ctx: &mut Context<Self>) {
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
    pub(super) fn close(&mut self, ctx: &mut Context<Self>) {
        if self.closed {
            self.ask_leave();
            return;
        }
        self.busy = true;
        let store = self.house.store.clone();
        let room = self.journal.room().to_owned();
        let work = async move { store.close(&room, Fence::UNLEASED, now()).await };
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
