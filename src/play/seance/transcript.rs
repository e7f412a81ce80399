//! What a sitting sounded like: what was asked, and of what the spirit said the part that
//! was heard.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{Event, Member, Put, SeedFrom, Tongue, words};
use crate::play::UnixMillis;

/// Something that was asked, or that was heard of the spirit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum TranscriptTurn {
    Asked {
        #[ts(type = "number")]
        at: UnixMillis,
        question: u32,
        /// Who asked, by the number that they have in this séance.
        member: Member,
        put: Put,
        text: String,
        /// ISO 639-1.
        language: String,
        seed: u32,
        seed_from: SeedFrom,
    },
    Said {
        /// When it was made, which is before it was heard.
        #[ts(type = "number")]
        at: UnixMillis,
        line: u32,
        /// 0: asked by nobody, said to the empty room.
        question: u32,
        /// 0: the answer; else a continuation.
        part: u32,
        /// The words that were heard.
        text: String,
        /// ISO 639-1.
        language: String,
        tongue: Tongue,
        /// There was more of it that was not heard, or was not yet.
        cut: bool,
    },
}

/// A line while its end is not known.
struct Line {
    turn: TranscriptTurn,
    heard: u32,
    words: u32,
    /// Nothing more of it can be heard.
    settled: bool,
}

/// The transcript that these events tell: those of one sitting, as somebody may see them.
/// What was not heard is not in it.
pub fn transcript<'a>(
    events: impl IntoIterator<Item = (UnixMillis, &'a Event)>,
) -> Vec<TranscriptTurn> {
    let mut lines = Vec::new();
    for (at, event) in events {
        take(&mut lines, at, event);
    }
    lines.into_iter().filter_map(Line::heard).collect()
}

fn take(lines: &mut Vec<Line>, at: UnixMillis, event: &Event) {
    match event {
        Event::Listening { .. } | Event::Hushed { .. } => silence(lines),
        Event::Asked {
            question,
            member,
            put,
            text,
            language,
            seed,
            seed_from,
            ..
        } => {
            silence(lines);
            lines.push(Line::settled(TranscriptTurn::Asked {
                at,
                question: *question,
                member: *member,
                put: *put,
                text: text.clone(),
                language: language.clone(),
                seed: *seed,
                seed_from: *seed_from,
            }));
        }
        Event::Said {
            line,
            question,
            part,
            text,
            language,
            tongue,
            ..
        } => lines.push(Line {
            turn: TranscriptTurn::Said {
                at,
                line: *line,
                question: *question,
                part: *part,
                text: text.clone(),
                language: language.clone(),
                tongue: *tongue,
                cut: false,
            },
            heard: 0,
            words: u32::try_from(words(text).count()).unwrap_or(u32::MAX),
            settled: false,
        }),
        Event::Heard { line, words } => {
            for known in lines.iter_mut().filter(|known| !known.settled) {
                known.hear(*line, *words);
            }
        }
        _ => {}
    }
}

fn silence(lines: &mut [Line]) {
    for line in lines {
        line.settled = true;
    }
}

impl Line {
    fn settled(turn: TranscriptTurn) -> Self {
        Self {
            turn,
            heard: 0,
            words: 0,
            settled: true,
        }
    }

    /// So many words of that line were played, and all lines before it.
    fn hear(&mut self, number: u32, words: u32) {
        let TranscriptTurn::Said { line, .. } = &self.turn else {
            return;
        };
        let heard = match line.cmp(&number) {
            std::cmp::Ordering::Less => self.words,
            std::cmp::Ordering::Equal => words.min(self.words),
            std::cmp::Ordering::Greater => 0,
        };
        self.heard = self.heard.max(heard);
    }

    /// What was heard of it; nothing of a line that was not.
    fn heard(mut self) -> Option<TranscriptTurn> {
        if let TranscriptTurn::Said { text, cut, .. } = &mut self.turn {
            if self.heard == 0 {
                return None;
            }
            *cut = self.heard < self.words;
            if *cut {
                let heard = usize::try_from(self.heard).unwrap_or(usize::MAX);
                *text = words(text).take(heard).collect::<Vec<_>>().join(" ");
            }
        }
        Some(self.turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(question: u32) -> Event {
        Event::Asked {
            question,
            member: Member(3),
            put: Put::Typed,
            text: "Who?".into(),
            language: "en".into(),
            inner: None,
            seed: 7,
            seed_from: SeedFrom::Dice,
        }
    }

    fn said(line: u32, text: &str) -> Event {
        Event::Said {
            line,
            question: 1,
            part: line - 1,
            text: text.into(),
            language: "en".into(),
            inner: Some("never told".into()),
            tongue: Tongue::Own,
        }
    }

    fn heard(line: u32, words: u32) -> Event {
        Event::Heard { line, words }
    }

    /// What the spirit said, and whether there was more.
    fn lines(events: &[Event]) -> Vec<(String, bool)> {
        let events = (0..).zip(events);
        let turns = transcript(events).into_iter();
        let lines = turns.filter_map(|turn| match turn {
            TranscriptTurn::Said { text, cut, .. } => Some((text, cut)),
            TranscriptTurn::Asked { .. } => None,
        });
        lines.collect()
    }

    #[test]
    fn only_what_was_heard_is_in_a_transcript() {
        let mut events = vec![asked(1), said(1, "I was here."), said(2, "Still I am.")];
        assert!(lines(&events).is_empty());
        events.push(heard(1, 2));
        assert_eq!(lines(&events), [("I was".into(), true)]);
        events.push(heard(2, 1));
        let now = [("I was here.".into(), false), ("Still".into(), true)];
        assert_eq!(lines(&events), now, "what came before was heard whole");
    }

    #[test]
    fn what_was_silenced_is_not_heard_afterwards() {
        let silences = [
            Event::Listening {
                member: Member(3),
                utterance: 1,
            },
            Event::Hushed { member: Member(3) },
            asked(2),
        ];
        for silence in silences {
            let events = [
                asked(1),
                said(1, "I was here."),
                heard(1, 1),
                silence,
                said(3, "Anew."),
                heard(3, 1),
            ];
            let told = lines(&events);
            assert_eq!(told, [("I".into(), true), ("Anew.".into(), false)]);
        }
    }

    #[test]
    fn a_question_is_told_with_who_asked_it_how_and_its_seed() {
        let question = TranscriptTurn::Asked {
            at: 0,
            question: 1,
            member: Member(3),
            put: Put::Typed,
            text: "Who?".into(),
            language: "en".into(),
            seed: 7,
            seed_from: SeedFrom::Dice,
        };
        assert_eq!(transcript([(0, &asked(1))]), [question]);
    }
}
