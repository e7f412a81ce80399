//! The lines that sound: begun when the rules want them voiced, broken off when they do not.
//!
//! How far they were heard is for the sitter's page to say. Where it does not (its line was
//! broken, it was too slow for the sound), they are said once more, from the first word that was
//! not heard; then the spirit waits, for as long as the rules let one sit who does nothing.

use std::collections::BTreeMap;

use super::*;
use crate::rooms::medium::{Horizon, VoiceSays, VoicedLine};

/// How long after the last sound a page may take to say that it was heard.
const PATIENCE: Duration = Duration::from_secs(6);

/// One line as far as it is voiced.
struct Sounding {
    line: u32,
    /// Words that were captioned.
    words: u32,
    over: bool,
    /// By the clock.
    played: bool,
    #[expect(dead_code, reason = "held for its drop, which breaks the voice off")]
    task: AbortOnDropHandle<()>,
}

/// What nobody has heard of the lines that are made.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Unheard {
    /// The first of them, and how many words of it were heard.
    first: (u32, u32),
    last: u32,
}

/// What sounds now, in order.
#[derive(Default)]
pub(crate) struct Voicing {
    lines: Vec<Sounding>,
    horizon: Horizon,
    /// Most words that were captioned of each line that is wanted.
    captioned: BTreeMap<u32, u32>,
    /// What was said once more.
    said_again: Option<Unheard>,
}

impl Voicing {
    /// Breaks everything off.
    pub(super) fn silence(&mut self) {
        self.lines.clear();
        self.horizon = Horizon::default();
    }

    /// How many words of a line were heard, when a client says so many were: not those that it
    /// was not sent yet. Of a line that was captioned to its end and heard to its end that is
    /// all of them, however voice and rules count.
    pub(super) fn told(&self, line: u32, words: u32) -> u32 {
        let known = self.lines.iter().find(|known| known.line == line);
        match known {
            Some(known) if known.over && words >= known.words => u32::MAX,
            _ => words.min(self.captioned.get(&line).copied().unwrap_or(0)),
        }
    }

    fn find(&mut self, line: u32) -> Option<&mut Sounding> {
        self.lines.iter_mut().find(|known| known.line == line)
    }
}

/// Begins and breaks off what the rules want.
pub(super) fn settle(room: &mut Room<Seance>, ctx: &mut Context<Room<Seance>>) {
    let game = room.journal.game();
    let wanted: Vec<(u32, u32)> = game
        .effects()
        .iter()
        .filter_map(|effect| match effect {
            Effect::Voice { line, from } => Some((*line, *from)),
            Effect::Speak { .. } | Effect::Wait { .. } => None,
        })
        .collect();
    let is_wanted = |line: u32| wanted.iter().any(|(known, _)| *known == line);
    let broken_off = room
        .own
        .voicing
        .lines
        .iter()
        .any(|known| !is_wanted(known.line) && !known.over);
    if broken_off {
        room.own.voicing.silence();
    }
    room.own.voicing.lines.retain(|known| is_wanted(known.line));
    room.own
        .voicing
        .captioned
        .retain(|line, _| is_wanted(*line));
    room.own.asides.keep(is_wanted);
    // While somebody presses the key that the log does not know of yet, nothing begins.
    if room.own.ear.is_some() {
        return;
    }
    let Some(rite) = room.house.rite.clone() else {
        return;
    };
    for (line, from) in wanted {
        if room.own.voicing.find(line).is_some() {
            continue;
        }
        let game = room.journal.game();
        let Some(said) = game.line(line) else {
            continue;
        };
        let asker = game.memory().last().and_then(|exchange| exchange.by);
        let like = asker.and_then(|asker| room.own.prints.get(&asker));
        let work = medium::voice(
            Arc::clone(&rite),
            VoicedLine {
                line,
                text: said.text.clone(),
                from,
                language: said.language.clone(),
                like: like.filter(|_| rite.like_asker).cloned(),
            },
            room.own.voicing.horizon.queue(),
            ctx.address().recipient(),
        );
        room.own.voicing.lines.push(Sounding {
            line,
            words: 0,
            over: false,
            played: false,
            task: AbortOnDropHandle::new(actix::spawn(work)),
        });
    }
}

/// A voice goes on.
pub(super) fn hear(
    room: &mut Room<Seance>,
    line: u32,
    says: VoiceSays,
    ctx: &mut Context<Room<Seance>>,
) {
    let name = room.journal.room().to_owned();
    let Some(known) = room.own.voicing.find(line) else {
        return;
    };
    match says {
        VoiceSays::Caption {
            clause,
            words,
            from,
            samples,
            rate,
            unlike,
        } => {
            let count = u32::try_from(words.len()).unwrap_or(u32::MAX);
            known.words = known.words.saturating_add(count);
            let told = known.words;
            let caption = ToClient::Caption {
                room: name,
                line,
                clause,
                words,
                from,
                samples,
                rate,
                unlike,
            };
            let most = room.own.voicing.captioned.entry(line).or_default();
            *most = told.max(*most);
            room.own.asides.say(line, &caption);
            room.show(ctx);
        }
        VoiceSays::Sound(sound) => {
            let game = room.journal.game();
            room.audience.play(&sound, |viewer| game.hears(viewer));
        }
        VoiceSays::Over => {
            known.over = true;
            let over = ToClient::LineOver { room: name, line };
            room.own.asides.say(line, &over);
            room.show(ctx);
        }
        VoiceSays::Played => {
            known.played = true;
            // Where somebody sits, their page says what was heard.
            if room.journal.game().sitters().next().is_none() {
                room.own.heard = Some((None, line, u32::MAX));
                room.look_round(ctx);
            } else if room.own.voicing.lines.iter().all(|known| known.played) {
                ctx.run_later(PATIENCE, move |room, ctx| say_again(room, line, ctx));
            }
        }
    }
}

/// Voices once more what nobody said to have heard, if `last` is still the last that sounded.
fn say_again(room: &mut Room<Seance>, last: u32, ctx: &mut Context<Room<Seance>>) {
    let voicing = &room.own.voicing;
    let is_last = voicing.lines.last().is_some_and(|known| known.line == last);
    if !is_last || !voicing.lines.iter().all(|known| known.played) {
        return;
    }
    let effects = room.journal.game().effects();
    // What is being made yet is waited for.
    let is_made = |effect: &Effect| matches!(effect, Effect::Speak { .. });
    let first = effects.iter().find_map(|effect| match effect {
        Effect::Voice { line, from } => Some((*line, *from)),
        Effect::Speak { .. } | Effect::Wait { .. } => None,
    });
    let unheard = first.map(|first| Unheard { first, last });
    if unheard.is_none() || voicing.said_again == unheard || effects.iter().any(is_made) {
        return;
    }
    room.own.voicing.silence();
    room.own.voicing.said_again = unheard;
    room.own.asides.keep(|_| false);
    room.look_round(ctx);
}
