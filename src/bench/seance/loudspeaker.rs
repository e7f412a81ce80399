//! A loudspeaker that plays on the clock alone: when sound that came is heard, and when there
//! was none to hear.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What a page waits for before it begins to play, and begins again after running dry: as
/// `PREROLL` of the page's own loudspeaker (frontend/src/seance/ring.ts).
const PREROLL: Duration = Duration::from_millis(50);

/// Words that will have been heard, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub at: Instant,
    pub line: u32,
    /// Counted from the beginning of the line.
    pub words: u32,
}

/// A clause that is captioned, and whose end has not come yet.
#[derive(Clone, Copy, Debug)]
struct Clause {
    line: u32,
    words: u32,
    end: u32,
}

/// What came, as it is played.
#[derive(Debug, Default)]
pub(super) struct Loudspeaker {
    /// When all that came will have been played.
    dry: Option<Instant>,
    /// The line that sounds last.
    line: Option<u32>,
    clauses: VecDeque<Clause>,
    /// Words of each line that was captioned last.
    counted: (u32, u32),
    due: VecDeque<Heard>,
    /// How long nothing was heard between two lines, for each but the first.
    pub between: Vec<Duration>,
    /// How long nothing was heard inside a line, each time that it happened.
    pub inside: Vec<Duration>,
}

impl Loudspeaker {
    /// A clause is captioned; its sound follows. `end` is the first sample behind it.
    pub fn caption(&mut self, at: Instant, line: u32, words: u32, end: u32, silent: bool) {
        let before = match self.counted {
            (known, words) if known == line => words,
            _ => 0,
        };
        let words = before.saturating_add(words);
        self.counted = (line, words);
        if silent {
            // Nothing follows that could tell when it is over.
            let at = self.dry.map_or(at, |dry| dry.max(at));
            self.due.push_back(Heard { at, line, words });
        } else {
            self.clauses.push_back(Clause { line, words, end });
        }
    }

    /// A frame of `samples` came, at `rate` samples per second, the first one being `from`.
    pub fn play(&mut self, at: Instant, line: u32, from: u32, samples: u32, rate: u32) {
        let of =
            |samples: u32| Duration::from_secs_f64(f64::from(samples) / f64::from(rate.max(1)));
        let is_new = self.line.replace(line) != Some(line);
        let starts = match self.dry {
            Some(dry) if dry >= at => {
                if is_new {
                    self.between.push(Duration::ZERO);
                }
                dry
            }
            dry => {
                let starts = at + PREROLL;
                if let Some(dry) = dry {
                    let gaps = if is_new {
                        &mut self.between
                    } else {
                        &mut self.inside
                    };
                    gaps.push(starts - dry);
                }
                starts
            }
        };
        self.dry = Some(starts + of(samples));
        let behind = from.saturating_add(samples);
        while let Some(clause) = self.clauses.front() {
            let ended = clause.line < line || (clause.line == line && clause.end <= behind);
            if !ended {
                break;
            }
            let at = starts + of(clause.end.saturating_sub(from).min(samples));
            let (line, words) = (clause.line, clause.words);
            self.due.push_back(Heard { at, line, words });
            self.clauses.pop_front();
        }
    }

    /// Leaves out of account what went wrong so far.
    pub fn forget(&mut self) {
        self.between.clear();
        self.inside.clear();
    }

    /// Whether something is to be heard.
    pub fn is_playing(&self, now: Instant) -> bool {
        self.dry.is_some_and(|dry| dry > now)
    }

    /// When the next words will have been heard.
    pub fn next(&self) -> Option<Instant> {
        self.due.front().map(|heard| heard.at)
    }

    /// The words that were heard by now.
    pub fn heard(&mut self, now: Instant) -> Option<Heard> {
        let is_due = self.due.front().is_some_and(|heard| heard.at <= now);
        is_due.then(|| self.due.pop_front()).flatten()
    }

    /// The key is pressed: what was to be played is gone.
    pub fn silence(&mut self) {
        let (between, inside) = (
            std::mem::take(&mut self.between),
            std::mem::take(&mut self.inside),
        );
        *self = Self {
            between,
            inside,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 1_000;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn lines_that_come_in_time_follow_each_other_without_a_gap() {
        let mut speaker = Loudspeaker::default();
        let start = Instant::now();
        speaker.play(start, 0, 0, 500, RATE);
        speaker.play(start + millis(549), 1, 0, 500, RATE);
        assert_eq!(speaker.between, [Duration::ZERO]);
        assert!(speaker.inside.is_empty());
    }

    #[test]
    fn a_line_that_comes_late_leaves_a_gap_as_long_as_nothing_is_heard() {
        let mut speaker = Loudspeaker::default();
        let start = Instant::now();
        speaker.play(start, 0, 0, 500, RATE);
        speaker.play(start + millis(850), 1, 0, 500, RATE);
        assert_eq!(speaker.between, [millis(300) + PREROLL]);
        speaker.play(start + millis(2_000), 1, 500, 500, RATE);
        assert_eq!(speaker.inside, [millis(600) + PREROLL]);
    }

    #[test]
    fn words_are_heard_when_the_end_of_their_clause_is_played() {
        let mut speaker = Loudspeaker::default();
        let start = Instant::now();
        speaker.caption(start, 0, 3, 150, false);
        speaker.caption(start, 0, 2, 300, false);
        speaker.play(start, 0, 0, 100, RATE);
        assert_eq!(speaker.next(), None);
        speaker.play(start, 0, 100, 100, RATE);
        let first = start + PREROLL + millis(150);
        assert_eq!(speaker.next(), Some(first));
        assert_eq!(speaker.heard(first - millis(1)), None);
        let heard = speaker.heard(first).expect("it was played");
        assert_eq!((heard.line, heard.words), (0, 3));
        speaker.play(start, 0, 200, 100, RATE);
        let heard = speaker
            .heard(start + PREROLL + millis(300))
            .expect("the second clause");
        assert_eq!((heard.line, heard.words), (0, 5));
    }

    #[test]
    fn what_is_silenced_is_heard_no_more_and_what_went_wrong_stays_known() {
        let mut speaker = Loudspeaker::default();
        let start = Instant::now();
        speaker.caption(start, 0, 3, 100, false);
        speaker.play(start, 0, 0, 100, RATE);
        speaker.play(start + millis(400), 1, 0, 100, RATE);
        speaker.silence();
        assert_eq!(speaker.next(), None);
        assert_eq!(speaker.between.len(), 1);
        speaker.play(start + millis(900), 2, 0, 100, RATE);
        assert_eq!(speaker.between.len(), 1, "a first line follows nothing");
    }
}
