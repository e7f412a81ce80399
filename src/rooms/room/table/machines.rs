//! The machines at a table: one that asks and weighs, and one for each chair that a machine
//! answers on.

use actix::Actor;

use super::*;
use crate::rooms::{
    bot::AnswerBrief,
    briefs,
    messages::{Answer, AskQuestion, GiveOpinion, LetGo},
};

pub(super) fn ask(
    room: &mut Room<Table>,
    turn: TurnId,
    attempt: u32,
    ctx: &mut Context<Room<Table>>,
) {
    let report = ctx.address().recipient();
    let table = room.journal.game();
    let name = room.journal.room();
    match (turn.purpose, turn.chair) {
        (Purpose::Question, _) => {
            let brief = briefs::table::question(table);
            judge(room).do_send(AskQuestion {
                turn,
                attempt,
                brief,
                room: report,
            });
        }
        (Purpose::Verdict, _) => {
            if let Some(brief) = briefs::table::opinion(table) {
                judge(room).do_send(GiveOpinion {
                    turn,
                    attempt,
                    brief,
                    room: report,
                });
            }
        }
        (Purpose::Answer, Some(chair)) => {
            let asked = room
                .journal
                .last_at(|event| matches!(event, Event::Questioned { .. }))
                .unwrap_or_else(now);
            let pace = briefs::table::Pace {
                typing: room.house.typing,
                asked_ago: Duration::from_millis(now().saturating_sub(asked)),
            };
            if let Some(brief) = briefs::table::answer(table, name, chair, pace) {
                answer(room, chair, turn, attempt, brief, ctx);
            }
        }
        // Only chairs answer.
        (Purpose::Answer, None) => {}
    }
}

fn answer(
    room: &mut Room<Table>,
    chair: Chair,
    turn: TurnId,
    attempt: u32,
    brief: AnswerBrief,
    ctx: &mut Context<Room<Table>>,
) {
    let mind = &room.house.witness;
    let bot = room
        .own
        .bots
        .entry(chair)
        .or_insert_with(|| Bot::new(mind.clone()).start());
    if !bot.connected() {
        *bot = Bot::new(mind.clone()).start();
    }
    bot.do_send(Answer {
        turn,
        attempt,
        brief,
        room: ctx.address().recipient(),
    });
}

pub(super) fn let_go(room: &mut Room<Table>, turn: TurnId) {
    match turn.chair {
        Some(chair) => {
            // The next game has other machines on other chairs.
            if let Some(bot) = room.own.bots.remove(&chair) {
                bot.do_send(LetGo);
            }
        }
        None => {
            if let Some(judge) = &room.own.judge {
                judge.do_send(LetGo);
            }
        }
    }
}

fn judge(room: &mut Room<Table>) -> Addr<Judge> {
    match &room.own.judge {
        Some(judge) if judge.connected() => judge.clone(),
        _ => {
            let judge = Judge::new(room.house.judge.clone()).start();
            room.own.judge.insert(judge).clone()
        }
    }
}
