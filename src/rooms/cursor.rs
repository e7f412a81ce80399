//! How far one client has got. A cursor is not a queue: it holds positions, and whenever the
//! client's outbox has room it sends the next thing that is missing. So a slow client costs
//! a few numbers, tokens that it was too slow for arrive in one piece, and nothing is sent
//! twice or left out.

use crate::wire::browser::{Doing, Line, ToClient};

use super::{journal::Journal, messages::Held};

/// A line that is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Writing {
    pub(crate) line: Line,
    pub(crate) round: u32,
    pub(crate) attempt: u32,
    pub(crate) text: String,
}

/// All that a client may see of a room now.
pub(crate) struct View<'a> {
    pub(crate) journal: &'a Journal,
    pub(crate) doing: Doing,
    pub(crate) lines: &'a [Writing],
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Taken,
    /// The outbox is full; try again later.
    Full,
    /// The client is gone.
    Closed,
}

#[derive(Debug)]
struct Shown {
    line: Line,
    round: u32,
    attempt: u32,
    bytes: usize,
    chars: u32,
}

/// One client's positions.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// What the client held when it came; taken once it has been told where it stands.
    arriving: Option<Option<Held>>,
    next: u32,
    doing: Option<Doing>,
    shown: Vec<Shown>,
    unveiled: bool,
}

impl Cursor {
    pub(crate) fn new(held: Option<Held>) -> Self {
        Self {
            arriving: Some(held),
            next: 0,
            doing: None,
            shown: Vec::new(),
            unveiled: false,
        }
    }

    /// Sends what is missing until nothing is, or until `send` does not take it.
    pub(crate) fn advance(
        &mut self,
        view: &View<'_>,
        send: &mut dyn FnMut(ToClient) -> Sent,
    ) -> Sent {
        match self.try_advance(view, send) {
            Ok(()) => Sent::Taken,
            Err(sent) => sent,
        }
    }

    fn try_advance(
        &mut self,
        view: &View<'_>,
        send: &mut dyn FnMut(ToClient) -> Sent,
    ) -> Result<(), Sent> {
        let mut send = |message| match send(message) {
            Sent::Taken => Ok(()),
            sent => Err(sent),
        };
        let journal = view.journal;
        if let Some(held) = self.arriving {
            send(journal.joined(held, view.doing))?;
            self.arriving = None;
            self.next = journal.len();
            self.doing = Some(view.doing);
        }
        for stamped in journal.lived(self.next) {
            send(ToClient::Event {
                room: journal.room().to_owned(),
                stamped,
            })?;
            self.next += 1;
        }
        if !self.unveiled
            && let Some(unveiled) = journal.unveiled()
        {
            send(unveiled)?;
            self.unveiled = true;
        }
        if self.doing != Some(view.doing) {
            send(ToClient::Doing {
                room: journal.room().to_owned(),
                doing: view.doing,
            })?;
            self.doing = Some(view.doing);
        }
        for writing in view.lines {
            self.show(writing, journal.room(), &mut send)?;
        }
        Ok(())
    }

    fn show(
        &mut self,
        writing: &Writing,
        room: &str,
        send: &mut dyn FnMut(ToClient) -> Result<(), Sent>,
    ) -> Result<(), Sent> {
        let known = self
            .shown
            .iter()
            .position(|shown| shown.line == writing.line);
        let (bytes, chars) = match known.map(|at| &self.shown[at]) {
            Some(shown) if (shown.round, shown.attempt) == (writing.round, writing.attempt) => {
                (shown.bytes, shown.chars)
            }
            _ => (0, 0),
        };
        // A line that starts anew is worth saying even while it is empty: half a line must
        // not be left standing.
        let half_line_stands = known.is_some_and(|at| {
            let shown = &self.shown[at];
            shown.round == writing.round && shown.attempt != writing.attempt && shown.bytes > 0
        });
        let missing = writing.text.get(bytes..).unwrap_or_default();
        if missing.is_empty() && !half_line_stands {
            return Ok(());
        }
        send(ToClient::Partial {
            room: room.to_owned(),
            round: writing.round,
            line: writing.line,
            attempt: writing.attempt,
            from: chars,
            text: missing.to_owned(),
        })?;
        let shown = Shown {
            line: writing.line,
            round: writing.round,
            attempt: writing.attempt,
            bytes: writing.text.len(),
            chars: chars.saturating_add(u32::try_from(missing.chars().count()).unwrap_or(u32::MAX)),
        };
        match known {
            Some(at) => self.shown[at] = shown,
            None => self.shown.push(shown),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::play::imitation::{Ending, Event, Kind, Mode, Rules, Seat};

    fn rules(mode: Mode) -> Rules {
        Rules {
            kind: Kind::Direct,
            mode,
            round_cap: 5,
            confident_at: 80,
            abstain_below: 60,
            idle_limit_ms: 1000,
            answer_limit: 100,
        }
    }

    fn game(mode: Mode) -> Vec<Event> {
        vec![
            Event::Opened {
                rules: rules(mode),
                player: "Ada".into(),
                player_seat: Seat::A,
                seed: Some(7),
            },
            Event::Asked {
                round: 1,
                text: "why?".into(),
            },
            Event::Answered {
                round: 1,
                seat: Seat::A,
                text: "because".into(),
            },
            Event::Answered {
                round: 1,
                seat: Seat::B,
                text: "secret".into(),
            },
            Event::Ended {
                ending: Ending::Stopped,
                outcome: None,
            },
        ]
    }

    /// What a client makes of the messages; panics where the protocol is broken.
    #[derive(Default)]
    struct Client {
        events: Vec<Option<Event>>,
        line: Option<(u32, String)>,
        joined: usize,
    }

    impl Client {
        fn hear(&mut self, message: ToClient) {
            match message {
                ToClient::Joined { offset, events, .. } => {
                    self.joined += 1;
                    assert_eq!(offset as usize, self.events.len());
                    self.events.extend(events.into_iter().map(|s| s.event));
                }
                ToClient::Event { stamped, .. } => {
                    assert_eq!(
                        stamped.offset as usize,
                        self.events.len(),
                        "a gap or a repeat"
                    );
                    self.events.push(stamped.event);
                }
                ToClient::Partial {
                    attempt,
                    from,
                    text,
                    ..
                } => match &mut self.line {
                    Some((known, line)) if *known == attempt => {
                        assert_eq!(from as usize, line.chars().count());
                        line.push_str(&text);
                    }
                    line => {
                        assert_eq!(from, 0);
                        *line = Some((attempt, text));
                    }
                },
                ToClient::Unveiled { events, .. } => {
                    for stamped in events {
                        self.events[stamped.offset as usize] = stamped.event;
                    }
                }
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_the_outbox_takes_the_client_ends_up_with_the_whole_game_once(
            takes in proptest::collection::vec(any::<bool>(), 0..200),
            pieces in proptest::collection::vec(".{0,3}", 0..12),
        ) {
            let mut takes = takes.into_iter();
            let mut journal = Journal::new("r".into(), 3);
            let mut cursor = Cursor::new(None);
            let mut client = Client::default();
            let mut lines = Vec::new();
            let mut step = |journal: &Journal, lines: &[Writing], always: bool| {
                let view = View { journal, doing: Doing::JudgeAsks, lines };
                cursor.advance(&view, &mut |message| {
                    if always || takes.next().unwrap_or(true) {
                        client.hear(message);
                        Sent::Taken
                    } else {
                        Sent::Full
                    }
                })
            };
            for event in game(Mode::Blind) {
                journal.push(1, event);
                step(&journal, &lines, false);
                lines.clear();
                lines.push(Writing { line: Line::Question, round: 1, attempt: journal.len(), text: String::new() });
                for piece in &pieces {
                    lines[0].text.push_str(piece);
                    step(&journal, &lines, false);
                }
            }
            let whole = lines[0].text.clone();
            prop_assert_eq!(step(&journal, &lines, true), Sent::Taken);
            prop_assert_eq!(client.joined, 1);
            prop_assert_eq!(client.events, game(Mode::Blind).into_iter().map(Some).collect::<Vec<_>>());
            if !whole.is_empty() {
                prop_assert_eq!(client.line.map(|(_, text)| text), Some(whole));
            }
        }
    }

    fn said(cursor: &mut Cursor, view: &View<'_>) -> Vec<ToClient> {
        let mut said = Vec::new();
        cursor.advance(view, &mut |message| {
            said.push(message);
            Sent::Taken
        });
        said
    }

    #[test]
    fn a_line_that_starts_anew_takes_its_half_back_at_once() {
        let mut journal = Journal::new("r".into(), 0);
        journal.push(1, game(Mode::Explanatory).remove(0));
        let mut cursor = Cursor::new(None);
        let mut line = Writing {
            line: Line::Question,
            round: 1,
            attempt: 0,
            text: "half a li".into(),
        };
        let doing = Doing::JudgeAsks;
        said(
            &mut cursor,
            &View {
                journal: &journal,
                doing,
                lines: std::slice::from_ref(&line),
            },
        );
        line.attempt = 1;
        line.text.clear();
        let again = said(
            &mut cursor,
            &View {
                journal: &journal,
                doing,
                lines: &[line],
            },
        );
        assert_eq!(
            again,
            [ToClient::Partial {
                room: "r".into(),
                round: 1,
                line: Line::Question,
                attempt: 1,
                from: 0,
                text: String::new(),
            }]
        );
    }

    #[test]
    fn a_returning_client_gets_the_gap_whole_or_everything() {
        let mut journal = Journal::new("r".into(), 3);
        for event in game(Mode::Explanatory) {
            journal.push(1, event);
        }
        for (held, first) in [
            (None, 0),
            (
                Some(Held {
                    epoch: 3,
                    offset: 0,
                }),
                0,
            ),
            (
                Some(Held {
                    epoch: 3,
                    offset: 2,
                }),
                2,
            ),
            (
                Some(Held {
                    epoch: 3,
                    offset: 5,
                }),
                5,
            ),
            (
                Some(Held {
                    epoch: 3,
                    offset: 6,
                }),
                0,
            ),
            (
                Some(Held {
                    epoch: 2,
                    offset: 2,
                }),
                0,
            ),
        ] {
            let view = View {
                journal: &journal,
                doing: Doing::Over,
                lines: &[],
            };
            let said = said(&mut Cursor::new(held), &view);
            let Some(ToClient::Joined {
                offset,
                events,
                epoch: 3,
                ..
            }) = said.first()
            else {
                panic!("{said:?}");
            };
            assert_eq!(*offset, first, "{held:?}");
            assert_eq!(events.len(), 5 - first as usize, "{held:?}");
        }
    }
}
