//! The room of one person's game: one seat, one bot, one judge.

use actix::{Actor, Addr, AsyncContext, Context, Handler};

use super::{Arrival, Room, Stage, Wanted, now};
use crate::{
    play::{
        UnixMillis,
        imitation::{Command, Effect, Ending, Event, Game, Mode, Rules},
    },
    rooms::{
        bot::Bot,
        briefs,
        cursor::Present,
        judge::Judge,
        messages::{
            Abandoned, Answer, AskQuestion, GiveVerdict, Guest, Join, LetGo, Made, Move, RoomEnded,
            TurnId,
        },
        play::Play,
        seeds::Purpose,
        turns::Turns,
    },
    wire::browser::{Doing, Line, RefusalCode},
};

/// What a game starts from.
pub(crate) struct NewGame {
    pub(crate) rules: Rules,
    pub(crate) player: String,
}

/// The machines of one game.
#[derive(Default)]
pub(crate) struct Machines {
    bot: Option<Addr<Bot>>,
    judge: Option<Addr<Judge>>,
    nobody: Present,
}

impl Stage for Game {
    type Opening = NewGame;
    type Own = Machines;

    const STAYS: bool = true;

    fn opening(guest: &Guest, NewGame { rules, player }: NewGame) -> Command {
        Command::Open {
            rules,
            player,
            key: guest.key.0.clone(),
        }
    }

    fn arrive(
        room: &mut Room<Self>,
        joins: Vec<Join>,
        ctx: &mut Context<Room<Self>>,
    ) -> Arrival<Self> {
        for join in joins {
            room.seat(join, (), ctx);
        }
        Arrival::Seated
    }

    fn left(room: &mut Room<Self>, (): &(), for_good: bool, ctx: &mut Context<Room<Self>>) {
        if for_good {
            room.act(Wanted::by_nobody(Command::Stop), ctx);
        }
    }

    fn understand((): &(), what: Move) -> Result<Command, (RefusalCode, &'static str)> {
        match what {
            Move::Answer { round, text } => Ok(Command::PlayerAnswers { round, text }),
            Move::Stop => Ok(Command::Stop),
            Move::Act(_) => Err((RefusalCode::NotNow, "you sit at no table")),
            Move::Seance(_) => Err((RefusalCode::NotNow, "you sit at no séance")),
        }
    }

    fn ask(room: &mut Room<Self>, turn: TurnId, attempt: u32, ctx: &mut Context<Room<Self>>) {
        let report = ctx.address().recipient();
        let game = room.journal.game();
        match turn.purpose {
            Purpose::Question => {
                let brief = briefs::question(game);
                judge(room).do_send(AskQuestion {
                    turn,
                    attempt,
                    brief,
                    room: report,
                });
            }
            Purpose::Answer => {
                let asked = room
                    .journal
                    .last_at(|event| matches!(event, Event::Asked { .. }))
                    .unwrap_or_else(now);
                let asked_ago = std::time::Duration::from_millis(now().saturating_sub(asked));
                if let Some(brief) = briefs::answer(game, room.house.typing, asked_ago) {
                    bot(room).do_send(Answer {
                        turn,
                        attempt,
                        brief,
                        room: report,
                    });
                }
            }
            Purpose::Verdict => {
                if let Some(brief) = briefs::verdict(game) {
                    judge(room).do_send(GiveVerdict {
                        turn,
                        attempt,
                        brief,
                        room: report,
                    });
                }
            }
        }
    }

    fn let_go(room: &mut Room<Self>, turn: TurnId) {
        match turn.purpose {
            Purpose::Answer => {
                if let Some(bot) = &room.own.bot {
                    bot.do_send(LetGo);
                }
            }
            Purpose::Question | Purpose::Verdict => {
                if let Some(judge) = &room.own.judge {
                    judge.do_send(LetGo);
                }
            }
        }
    }

    fn command(turn: TurnId, made: Made) -> Command {
        let round = turn.round;
        match made {
            Made::Question(text) => Command::Ask { round, text },
            Made::Answer(text) => Command::BotAnswers { round, text },
            Made::Verdict(verdict) => Command::Judge { round, verdict },
            // Nobody asks for one here.
            Made::Opinion(_) | Made::Line(_) => Command::GiveUp,
        }
    }

    fn holds(&self, turn: TurnId, _: UnixMillis) -> bool {
        // In blind mode the bot's line waits for the player's, so that neither its place in
        // the log nor its time tells how long the other witness took.
        turn.purpose == Purpose::Answer && is_blind(self) && self.player_due().is_some()
    }

    fn shows(&self, line: Line) -> bool {
        !is_blind(self) || line == Line::Question
    }

    fn doing_now(&self, turns: &Turns) -> Box<dyn Fn(()) -> Doing + '_> {
        let doing = doing(self, turns);
        Box::new(move |()| doing)
    }

    fn present(room: &Room<Self>) -> &Present {
        &room.own.nobody
    }

    fn changed(_: &mut Room<Self>, _: &mut Context<Room<Self>>) {}

    fn told(_: &mut Room<Self>, _: &mut Context<Room<Self>>) {}

    fn took_in(room: &Room<Self>, events: &[Event]) {
        for event in events {
            if let Event::Ended { ending, .. } = event {
                report_end(room, Some(*ending));
            }
        }
    }

    fn read_back(room: &mut Room<Self>, _: &mut Context<Room<Self>>) {
        if room.journal.game().is_over() {
            report_end(room, None);
        }
    }

    fn is_done(room: &Room<Self>) -> bool {
        room.journal.game().is_over() && room.audience.is_empty()
    }
}

impl Handler<Abandoned> for Room<Game> {
    type Result = ();

    fn handle(&mut self, _: Abandoned, ctx: &mut Self::Context) {
        self.act(Wanted::by_nobody(Command::Stop), ctx);
    }
}

fn is_blind(game: &Game) -> bool {
    game.rules().is_none_or(|rules| rules.mode == Mode::Blind)
}

fn doing(game: &Game, turns: &Turns) -> Doing {
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
    let waits_for = game
        .effects()
        .iter()
        .find_map(|effect: &Effect| Play::turn(game, effect));
    match waits_for.map(|turn| turn.purpose) {
        Some(purpose) if turns.is_away(purpose) => Doing::WaitsForModel,
        Some(Purpose::Question) => Doing::JudgeAsks,
        Some(Purpose::Verdict) => Doing::JudgeWeighs,
        Some(Purpose::Answer) | None => Doing::WitnessesAnswer {
            your_turn: false,
            until: None,
        },
    }
}

fn report_end(room: &Room<Game>, fresh: Option<Ending>) {
    room.hall.do_send(RoomEnded {
        room: room.journal.room().to_owned(),
        life: room.life,
        fresh,
    });
}

fn bot(room: &mut Room<Game>) -> Addr<Bot> {
    match &room.own.bot {
        Some(bot) if bot.connected() => bot.clone(),
        _ => {
            let bot = Bot::new(room.house.witness.clone()).start();
            room.own.bot.insert(bot).clone()
        }
    }
}

fn judge(room: &mut Room<Game>) -> Addr<Judge> {
    match &room.own.judge {
        Some(judge) if judge.connected() => judge.clone(),
        _ => {
            let judge = Judge::new(room.house.judge.clone()).start();
            room.own.judge.insert(judge).clone()
        }
    }
}
