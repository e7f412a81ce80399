//! What was said at the séance, to take away while the sitting lasts: who may read it on the
//! page may keep it, and nobody else. What nobody heard is in no transcript.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderMap},
    web,
};

use super::{
    error::GatewayError,
    replay::{Format, Query, attachment, jsonl, quoted},
};
use crate::{
    play::seance::{Seance, TranscriptTurn, Viewer, transcript},
    rooms::{
        House,
        identity::{SessionKey, Token, is_seance},
        journal::{Journal, Stored},
    },
    store::StoreError,
    wire::transcript::SeanceTranscript,
};

/// `GET /api/seance/transcript/{room}?format=json|jsonl|csv`. With `Authorization: Bearer`
/// and a session's token, what that session sees; else what one sees who watches. Empty for
/// who waits, and of every sitting that is over.
pub(crate) async fn sitting(
    request: HttpRequest,
    room: web::Path<String>,
    query: web::Query<Query>,
    house: web::Data<House>,
) -> Result<HttpResponse, GatewayError> {
    let room = room.into_inner();
    if !is_seance(&room) {
        return Err(GatewayError::NotFound);
    }
    let stored = match Stored::load(&house.store, &room).await {
        Ok(stored) => stored,
        Err(StoreError::NoSuchRoom(_)) => return Err(GatewayError::NotFound),
        Err(error) => return Err(GatewayError::Store(error)),
    };
    let journal = Journal::<Seance>::read(room.clone(), &stored).map_err(|damaged| {
        tracing::error!(room, %damaged, "a transcript cannot be read");
        GatewayError::Damaged
    })?;
    let you = who(request.headers()).and_then(|key| journal.game().member_of(&key.0));
    let viewer = you.map_or(Viewer::Watcher, Viewer::Member);
    let seen: Vec<_> = journal.stamped(viewer, journal.start(None)).collect();
    let known = seen
        .iter()
        .filter_map(|seen| Some((seen.at, seen.event.as_ref()?)));
    let turns = transcript(known);
    let mut response = HttpResponse::Ok();
    // It is forgotten when the sitting is.
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    Ok(match query.format {
        Format::Json => response.json(SeanceTranscript { room, you, turns }),
        Format::Jsonl => response
            .content_type("application/x-ndjson; charset=utf-8")
            .insert_header(attachment(&room, "jsonl"))
            .body(jsonl(&turns)),
        Format::Csv => response
            .content_type("text/csv; charset=utf-8")
            .insert_header(attachment(&room, "csv"))
            .body(csv(&turns)),
    })
}

/// The session of the one who asks.
fn who(headers: &HeaderMap) -> Option<SessionKey> {
    let said = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    Some(Token::parse(said.strip_prefix("Bearer ")?)?.key())
}

/// One line per question and per line of the spirit.
fn csv(turns: &[TranscriptTurn]) -> String {
    let mut table = String::from("at,who,member,question,line,put,language,seed,cut,text\r\n");
    for turn in turns {
        table += &match turn {
            TranscriptTurn::Asked {
                at,
                question,
                member,
                put,
                text,
                language,
                seed,
                ..
            } => {
                let put = serde_json::to_value(put).unwrap_or_default();
                format!(
                    "{at},sitter,{},{question},,{},{},{seed},,{}\r\n",
                    member.0,
                    put.as_str().unwrap_or_default(),
                    quoted(language),
                    quoted(text)
                )
            }
            TranscriptTurn::Said {
                at,
                line,
                question,
                text,
                language,
                cut,
                ..
            } => format!(
                "{at},spirit,,{question},{line},,{},,{cut},{}\r\n",
                quoted(language),
                quoted(text)
            ),
        };
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::play::seance::{Member, Put, SeedFrom, Tongue};

    #[test]
    fn a_table_holds_one_quoted_line_for_each_question_and_each_line_that_was_heard() {
        let turns = [
            TranscriptTurn::Asked {
                at: 5,
                question: 1,
                member: Member(2),
                put: Put::Spoken,
                text: "=1+1, \"you\"?".into(),
                language: "en".into(),
                seed: 7,
                seed_from: SeedFrom::Dice,
            },
            TranscriptTurn::Said {
                at: 6,
                line: 4,
                question: 1,
                part: 0,
                text: "I was".into(),
                language: "en".into(),
                tongue: Tongue::Own,
                cut: true,
            },
        ];
        assert_eq!(
            csv(&turns),
            "at,who,member,question,line,put,language,seed,cut,text\r\n\
             5,sitter,2,1,,spoken,\"en\",7,,\"'=1+1, \"\"you\"\"?\"\r\n\
             6,spirit,,1,4,,\"en\",,true,\"I was\"\r\n"
        );
    }
}
