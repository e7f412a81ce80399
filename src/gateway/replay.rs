//! Finished games, to look at again and to take away.

mod table;

use actix_web::{HttpResponse, http::header, web};
use serde::{Deserialize, Serialize};

use super::error::GatewayError;
use crate::{
    play::{
        imitation::{Event, Game, Seat},
        party::{self, Table},
    },
    rooms::{
        House,
        identity::{is_room_id, table_code_of},
        journal::{Journal, Stored},
        play::Play,
    },
    store::StoreError,
    wire::browser::Stamped,
};

/// The form that is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    #[default]
    Json,
    Jsonl,
    Csv,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Query {
    #[serde(default)]
    pub(super) format: Format,
}

#[derive(Serialize)]
struct Replay<E> {
    room: String,
    epoch: u32,
    events: Vec<Stamped<E>>,
}

/// A kind of game whose log can be taken away as a table of what was said.
trait Told: Play {
    fn csv(events: &[Stamped<Self::Event>]) -> String;

    /// How long what was published stays as it is. What is over can still be deleted.
    const CACHE: &str;
}

impl Told for Game {
    fn csv(events: &[Stamped<Event>]) -> String {
        csv(events)
    }

    const CACHE: &str = "private, max-age=3600";
}

impl Told for Table {
    fn csv(events: &[Stamped<party::Event>]) -> String {
        table::csv(events)
    }

    // The next game is added to it.
    const CACHE: &str = "private, no-cache";
}

/// `GET /api/replay/{room}?format=json|jsonl|csv`: a game, or all finished games of a table.
/// A game that goes on is as unknown as one that never was.
pub(crate) async fn replay(
    room: web::Path<String>,
    query: web::Query<Query>,
    house: web::Data<House>,
) -> Result<HttpResponse, GatewayError> {
    let room = room.into_inner();
    if !is_room_id(&room) {
        return Err(GatewayError::NotFound);
    }
    match table_code_of(&room) {
        Some(code) => publish::<Table>(code, query.format, &house).await,
        None => publish::<Game>(room, query.format, &house).await,
    }
}

async fn publish<P: Told>(
    room: String,
    format: Format,
    house: &House,
) -> Result<HttpResponse, GatewayError> {
    let stored = match Stored::load(&house.store, &room).await {
        Ok(stored) => stored,
        Err(StoreError::NoSuchRoom(_)) => return Err(GatewayError::NotFound),
        Err(error) => return Err(GatewayError::Store(error)),
    };
    let journal = Journal::<P>::read(room.clone(), &stored).map_err(|damaged| {
        tracing::error!(room, %damaged, "a replay cannot be read");
        GatewayError::Damaged
    })?;
    let events = journal.published().ok_or(GatewayError::NotFound)?;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, P::CACHE));
    Ok(match format {
        Format::Json => response.json(Replay {
            room,
            epoch: stored.log.epoch,
            events,
        }),
        Format::Jsonl => response
            .content_type("application/x-ndjson; charset=utf-8")
            .insert_header(attachment(&room, "jsonl"))
            .body(jsonl(&events)),
        Format::Csv => response
            .content_type("text/csv; charset=utf-8")
            .insert_header(attachment(&room, "csv"))
            .body(P::csv(&events)),
    })
}

pub(super) fn attachment(room: &str, extension: &str) -> (header::HeaderName, String) {
    let name = format!("attachment; filename=\"parlour-{room}.{extension}\"");
    (header::CONTENT_DISPOSITION, name)
}

/// One line for each.
pub(super) fn jsonl<E: Serialize>(events: &[E]) -> String {
    let mut lines = String::new();
    for event in events {
        lines += &serde_json::to_string(event).expect("an event has string keys only");
        lines.push('\n');
    }
    lines
}

/// One line per thing said. `who` is `judge`, `player` or `bot`.
fn csv(events: &[Stamped<Event>]) -> String {
    let mut table = String::from("offset,at,round,what,who,seat,text,decision,confidence\r\n");
    let mut player = None;
    for Stamped { offset, at, event } in events {
        let Some(event) = event else { continue };
        let mut row = Row::default();
        match event {
            Event::Opened { player_seat, .. } => {
                player = Some(*player_seat);
                continue;
            }
            Event::Asked { round, text } => {
                row.round = round.to_string();
                row.what = "question";
                row.who = "judge";
                row.text = text;
            }
            Event::Answered { round, seat, text } => {
                row.round = round.to_string();
                row.what = "answer";
                row.who = if Some(*seat) == player {
                    "player"
                } else {
                    "bot"
                };
                row.seat = name(*seat);
                row.text = text;
            }
            Event::Judged { round, verdict } => {
                row.round = round.to_string();
                row.what = "verdict";
                row.who = "judge";
                row.text = &verdict.reasoning;
                row.decision = name(verdict.decision);
                row.confidence = verdict.confidence.to_string();
            }
            Event::Ended { ending, .. } => {
                row.what = "ending";
                let ending = serde_json::to_value(ending).unwrap_or_default();
                let ending = quoted(ending.as_str().unwrap_or_default());
                table += &format!("{offset},{at},,ending,,,{ending},,\r\n");
                continue;
            }
        }
        let Row {
            round,
            what,
            who,
            seat,
            text,
            decision,
            confidence,
        } = row;
        let text = quoted(text);
        table += &format!(
            "{offset},{at},{round},{what},{who},{seat},{text},{decision},{confidence}\r\n"
        );
    }
    table
}

#[derive(Default)]
struct Row<'a> {
    round: String,
    what: &'static str,
    who: &'static str,
    seat: &'static str,
    text: &'a str,
    decision: &'static str,
    confidence: String,
}

fn name(seat: Seat) -> &'static str {
    match seat {
        Seat::A => "A",
        Seat::B => "B",
    }
}

/// A field as RFC 4180 wants it, and as no spreadsheet takes for a formula.
pub(super) fn quoted(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if formula { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::play::imitation::{Grounds, Verdict};

    fn stamped(offset: u32, event: Event) -> Stamped<Event> {
        Stamped {
            offset,
            at: 5,
            event: Some(event),
        }
    }

    #[test]
    fn a_table_holds_one_quoted_line_for_each_thing_said() {
        let events = [
            stamped(
                1,
                Event::Asked {
                    round: 1,
                    text: "Why \"so\"?".into(),
                },
            ),
            stamped(
                2,
                Event::Answered {
                    round: 1,
                    seat: Seat::B,
                    text: "=1+1".into(),
                },
            ),
            stamped(
                3,
                Event::Judged {
                    round: 1,
                    verdict: Verdict {
                        reasoning: "B, clearly".into(),
                        decision: Seat::B,
                        confidence: 81,
                        grounds: Grounds::default(),
                    },
                },
            ),
        ];
        assert_eq!(
            csv(&events),
            "offset,at,round,what,who,seat,text,decision,confidence\r\n\
             1,5,1,question,judge,,\"Why \"\"so\"\"?\",,\r\n\
             2,5,1,answer,bot,B,\"'=1+1\",,\r\n\
             3,5,1,verdict,judge,,\"B, clearly\",B,81\r\n"
        );
    }
}
