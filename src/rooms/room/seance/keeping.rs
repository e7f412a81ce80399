//! How much of a séance is kept: a gallery holds one for months, in one room.
//!
//! - A log that has grown to [`LONG`] events is **trimmed** while it goes on: the store keeps
//!   the state (a snapshot) and the events of the sitting of now, or, where that alone is long,
//!   those from one of its last questions on. The same is let go of in memory.
//! - Once it had [`WORN`] events, or is a **day** old with anything asked in it, it is **closed** as
//!   soon as nobody sits and nothing is said; whoever comes then is at a new one. What is closed
//!   expires with everything else that is over.

use actix::{ActorFutureExt as _, WrapFuture as _};

use super::*;
use crate::{
    rooms::journal::Journal,
    store::{Snapshot, Store as _, StoreError},
};

/// Events that are kept before some are let go of: what a room takes in memory goes by it.
const LONG: u32 = 2_000;

/// Events of a sitting that are kept at least.
const KEPT: u32 = 1_000;

/// Events after which a log ends, and the next visitor begins a new one.
const WORN: u32 = 5_000;

/// After how many more events a store that failed is asked again.
const AGAIN: u32 = 500;

/// Age at which a log that holds a question is closed, milliseconds.
const OLD: UnixMillis = 24 * 60 * 60 * 1000;

/// How often a quiet room looks whether its log is old.
const LOOK: Duration = Duration::from_secs(60 * 60);

/// What a room knows of its keeping.
#[derive(Default)]
pub(crate) struct Keeping {
    /// Whether the store is trimming the log now.
    trimming: bool,
    /// Length of the log below which the store is not asked again.
    not_before: u32,
    looking: bool,
}

/// Has a long log trimmed.
pub(super) fn settle(room: &mut Room<Seance>, ctx: &mut Context<Room<Seance>>) {
    if !std::mem::replace(&mut room.own.keeping.looking, true) {
        ctx.run_interval(LOOK, |room, ctx| room.look_round(ctx));
    }
    let journal = &room.journal;
    let keeping = &mut room.own.keeping;
    let held = journal.len() - journal.first();
    if held < LONG || keeping.trimming || journal.len() < keeping.not_before {
        return;
    }
    let Some(body) = journal.game().snapshot() else {
        return;
    };
    keeping.trimming = true;
    let before = cut(journal);
    let offset = journal.len();
    let store = room.house.store.clone();
    let (name, fence) = (journal.room().to_owned(), room.fence);
    let work = async move {
        let snapshot = Snapshot { offset, body };
        store.put_snapshot(&name, fence, &snapshot).await?;
        store.trim(&name, fence, before).await
    };
    ctx.spawn(
        work.into_actor(room)
            .map(|result: Result<u32, StoreError>, room, _| {
                room.own.keeping.trimming = false;
                match result {
                    Ok(first) => room.journal.forget(first),
                    // Whether the room is ours still is seen when it writes next.
                    Err(error) => {
                        let room_name = room.journal.room();
                        tracing::warn!(room = room_name, %error, "a long log was not trimmed");
                        room.own.keeping.not_before = room.journal.len().saturating_add(AGAIN);
                    }
                }
            }),
    );
}

/// The first event that is kept.
fn cut(journal: &Journal<Seance>) -> u32 {
    let recent = journal.len().saturating_sub(KEPT);
    if journal.beginning() >= recent {
        return journal.beginning();
    }
    // Not in the middle of an answer, if that can be had.
    journal
        .find(recent, |event| matches!(event, Event::Asked { .. }))
        .unwrap_or(recent)
}

/// Whether the next séance is to begin with a log of its own, once this one is quiet.
pub(super) fn is_worn(journal: &Journal<Seance>, now: UnixMillis) -> bool {
    let is_old = now.saturating_sub(journal.first_at()) >= OLD;
    let asked = |event: &Event| matches!(event, Event::Asked { .. });
    journal.len() >= WORN || (is_old && journal.find(0, asked).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::play::seance::{Put, SeedFrom};

    fn asked(question: u32) -> Event {
        Event::Asked {
            question,
            member: Member(0),
            put: Put::Typed,
            text: "Who?".into(),
            language: "en".into(),
            inner: None,
            seed: 7,
            seed_from: SeedFrom::Dice,
        }
    }

    fn came(journal: &mut Journal<Seance>, member: u32) {
        let member = Member(member);
        let key = Some(format!("{}", member.0));
        journal.push(0, Event::Came { member, key });
        journal.push(0, Event::Sat { member });
    }

    fn opened() -> Journal<Seance> {
        let mut journal = Journal::new("seance-1".into(), 1);
        let setup = Setup::default();
        journal.push(0, Event::Opened { setup });
        came(&mut journal, 0);
        journal
    }

    #[test]
    fn of_a_long_log_the_sitting_of_now_is_kept_or_its_last_questions() {
        let mut journal = opened();
        let mut question = 1;
        let mut ask = |journal: &mut Journal<Seance>, times: u32| {
            for _ in 0..times {
                journal.push(0, asked(question));
                journal.push(0, Event::PauseOver);
                question += 1;
            }
        };
        ask(&mut journal, 3_000);
        assert_eq!(
            cut(&journal),
            5_003,
            "a question, with at most {KEPT} events"
        );
        let why = crate::play::seance::Leaving::Wanted;
        let member = Member(0);
        journal.push(0, Event::Left { member, why });
        came(&mut journal, 1);
        let sat = journal.len() - 1;
        ask(&mut journal, 400);
        assert_eq!(cut(&journal), sat, "nothing of the sitting is missing");
        journal.forget(sat);
        assert_eq!((journal.first(), journal.start(None)), (sat, sat));
        assert_eq!(journal.len(), sat + 801);
        let told: Vec<u32> = journal
            .stamped(Viewer::Watcher, 0)
            .map(|stamped| stamped.offset)
            .collect();
        assert_eq!(told, (sat..sat + 801).collect::<Vec<_>>());
    }

    #[test]
    fn a_log_is_worn_when_it_is_long_or_words_in_it_are_a_day_old() {
        let mut journal = opened();
        assert!(!is_worn(&journal, 30 * OLD), "nothing was said in it");
        journal.push(5, asked(1));
        assert!(!is_worn(&journal, OLD - 1));
        assert!(is_worn(&journal, OLD));
        for _ in 0..WORN {
            journal.push(5, Event::PauseOver);
        }
        assert!(is_worn(&journal, 5));
    }
}
