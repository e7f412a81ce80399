//! A line that is voiced: clause by clause, and no further ahead of the ear than need be, so
//! that silence comes at once.

use std::{sync::Arc, time::Duration};

use actix::Recipient;
use futures_util::StreamExt as _;
use tokio::{sync::oneshot, time::Instant};

use super::Rite;
use crate::{
    generation::speech::Voiced,
    play::seance::words,
    rooms::{
        messages::{FromMedium, MediumSays},
        sound::Sound,
    },
    wire::{
        browser::CaptionWord,
        sound::{Kind, SoundFrame},
        speech::{Language, Speak, VoicePrint},
    },
};

/// How far the sound that is sent may be ahead of the sound that is played.
const LEAD: Duration = Duration::from_millis(1_500);

/// How long a line waits for a speech process that is away, before it is read in silence.
const RETURN: Duration = Duration::from_secs(10);

/// How long somebody reads at a word, where there is no voice.
const READING: Duration = Duration::from_millis(350);

/// A line, and how it is voiced.
#[derive(Clone, Debug)]
pub(crate) struct VoicedLine {
    pub(crate) line: u32,
    pub(crate) text: String,
    /// Words that were heard before.
    pub(crate) from: u32,
    pub(crate) language: String,
    /// Whose way of speaking it takes on.
    pub(crate) like: Option<VoicePrint>,
}

/// How a voice goes on.
pub(crate) enum VoiceSays {
    /// As [`crate::wire::browser::ToClient::Caption`].
    Caption {
        clause: u32,
        words: Vec<CaptionWord>,
        from: u32,
        samples: u32,
        rate: u32,
        unlike: bool,
    },
    Sound(Sound),
    /// All was sent.
    Over,
    /// All was played, by the clock.
    Played,
}

/// Lines that sound one after the other, in the order in which they queued, whichever is ready
/// first.
#[derive(Debug, Default)]
pub(crate) struct Horizon(Option<oneshot::Receiver<Option<Instant>>>);

impl Horizon {
    /// Queues up.
    pub(crate) fn queue(&mut self) -> Queued {
        let (after, next) = oneshot::channel();
        Queued {
            before: self.0.replace(next),
            after,
        }
    }
}

/// A line's place among those that sound.
#[derive(Debug)]
pub(crate) struct Queued {
    before: Option<oneshot::Receiver<Option<Instant>>>,
    after: oneshot::Sender<Option<Instant>>,
}

impl Queued {
    /// When all that was sent before will have been played, once it has been sent. None if
    /// nothing was, or it was broken off.
    async fn comes(&mut self) -> Option<Instant> {
        self.before.take()?.await.ok().flatten()
    }

    /// Lets the next line sound.
    fn over(self, played: Option<Instant>) {
        // Gone is the last line's successor when all is silenced.
        let _ = self.after.send(played);
    }
}

/// Voices a line, and reports to the room.
pub(crate) async fn voice(
    rite: Arc<Rite>,
    line: VoicedLine,
    mut place: Queued,
    room: Recipient<FromMedium>,
) {
    let mut teller = Teller {
        line: line.line,
        room,
        clause: 0,
        at: 0,
        rate: 0,
        unlike: false,
    };
    let said: Vec<&str> = words(&line.text).collect();
    let heard = usize::try_from(line.from)
        .unwrap_or(usize::MAX)
        .min(said.len());
    let rest = said[heard..].join(" ");
    // One that starts anew is there in a moment.
    if let Some(speech) = &rite.speech {
        let mut ready = speech.ready();
        let _ = tokio::time::timeout(RETURN, ready.wait_for(|ready| *ready)).await;
    }
    let spoken = rite.speech().and_then(|speech| {
        let language = Language(line.language.clone());
        let mut voices = speech.abilities().voices.into_iter();
        let voice = voices.find(|voice| voice.language == language)?;
        let asked = speech.speak(Speak {
            text: rest.clone(),
            language,
            voice: Some(voice.name),
            like: line.like,
        });
        Some((voice.rate, asked))
    });
    let before: Vec<CaptionWord> = said[..heard].iter().map(|word| silent(word)).collect();
    let mut played = place.comes().await;
    let mut before = Some(before);
    let mut captioned = 0;
    match spoken {
        Some((rate, Ok(mut speaking))) => {
            teller.rate = rate;
            while let Some(voiced) = speaking.next().await {
                let Voiced { clause, sound } = match voiced {
                    Ok(voiced) => voiced,
                    Err(error) => {
                        tracing::warn!(%error, "a voice broke off");
                        break;
                    }
                };
                if clause.unlike && !teller.unlike {
                    tracing::warn!(line = line.line, "the asker's timbre was not taken on");
                }
                captioned += clause.words.len();
                let before = before.take().unwrap_or_default();
                let words = clause.words.into_iter().map(|word| CaptionWord {
                    text: word.text,
                    from: word.from,
                    to: word.to,
                });
                let words = words.collect();
                teller.unlike = clause.unlike;
                teller.clause(before, words, &sound, &mut played).await;
            }
        }
        Some((_, Err(error))) => tracing::warn!(%error, "a line is not voiced"),
        None => {}
    }
    let unsaid = said.get(heard + captioned..).unwrap_or_default();
    if !unsaid.is_empty() {
        // There is no voice, or it broke off: what it did not say is read.
        teller.read(before.take().unwrap_or_default(), unsaid, &mut played);
    }
    teller.say(VoiceSays::Over);
    place.over(played);
    if let Some(end) = played {
        tokio::time::sleep_until(end).await;
    }
    teller.say(VoiceSays::Played);
}

fn silent(word: &str) -> CaptionWord {
    CaptionWord {
        text: word.to_owned(),
        from: 0,
        to: 0,
    }
}

struct Teller {
    line: u32,
    room: Recipient<FromMedium>,
    clause: u32,
    /// Index of the next sample.
    at: u32,
    rate: u32,
    /// The clause keeps the voice's own timbre where another was asked for.
    unlike: bool,
}

impl Teller {
    fn say(&self, says: VoiceSays) {
        self.room.do_send(FromMedium {
            says: MediumSays::Voice {
                line: self.line,
                says,
            },
        });
    }

    fn caption(&mut self, words: Vec<CaptionWord>, samples: u32) {
        self.say(VoiceSays::Caption {
            clause: self.clause,
            words,
            from: self.at,
            samples,
            rate: self.rate,
            unlike: self.unlike && samples > 0,
        });
        self.clause += 1;
    }

    /// A clause and its sound. `before` are words that were heard before: they are counted and
    /// do not sound again.
    async fn clause(
        &mut self,
        before: Vec<CaptionWord>,
        words: Vec<CaptionWord>,
        sound: &[i16],
        played: &mut Option<Instant>,
    ) {
        let began = self.at;
        let words = words.into_iter().map(|word| CaptionWord {
            from: word.from.saturating_add(began),
            to: word.to.saturating_add(began),
            ..word
        });
        let samples = u32::try_from(sound.len()).unwrap_or(u32::MAX);
        self.caption(before.into_iter().chain(words).collect(), samples);
        // A tenth of a second each.
        let step = (self.rate / 10).max(1) as usize;
        for (place, samples) in sound.chunks(step).enumerate() {
            let end = played.map_or_else(Instant::now, |end| end.max(Instant::now()));
            if let Some(wait) = end.checked_sub(LEAD) {
                tokio::time::sleep_until(wait).await;
            }
            let frame = SoundFrame {
                kind: Kind::Voice,
                number: self.line,
                from: self.at,
                samples: samples.to_vec(),
            };
            self.say(VoiceSays::Sound(Sound {
                frame: frame.encode().into(),
                begins: place == 0,
            }));
            let count = u32::try_from(samples.len()).unwrap_or(u32::MAX);
            self.at = self.at.saturating_add(count);
            let length = f64::from(count) / f64::from(self.rate.max(1));
            *played = Some(end + Duration::from_secs_f64(length));
        }
    }

    /// Words that are read, since nothing voices them.
    fn read(&mut self, before: Vec<CaptionWord>, rest: &[&str], played: &mut Option<Instant>) {
        let words: Vec<CaptionWord> = rest.iter().map(|word| silent(word)).collect();
        let count = u32::try_from(words.len()).unwrap_or(u32::MAX);
        self.caption(before.into_iter().chain(words).collect(), 0);
        let end = played.map_or_else(Instant::now, |end| end.max(Instant::now()));
        *played = Some(end + READING * count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn lines_sound_in_the_order_in_which_they_queued_whichever_is_ready_first() {
        let mut horizon = Horizon::default();
        let (mut first, mut second) = (horizon.queue(), horizon.queue());
        let end = Instant::now() + Duration::from_secs(3);
        let waits = tokio::spawn(async move { second.comes().await });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        assert_eq!(first.comes().await, None);
        first.over(Some(end));
        assert_eq!(waits.await.expect("it waited"), Some(end));
    }

    #[actix_web::test]
    async fn a_line_that_was_broken_off_lets_the_next_one_sound() {
        let mut horizon = Horizon::default();
        let (first, mut second) = (horizon.queue(), horizon.queue());
        drop(first);
        assert_eq!(second.comes().await, None);
    }
}
