//! How far one client has got. A cursor is not a queue: it holds positions, and whenever the
//! client's outbox has room it sends the next thing that is missing. So a slow client costs
//! a few numbers, tokens that it was too slow for arrive in one piece, and nothing is sent
//! twice or left out.

use crate::{
    play::party::Member,
    wire::browser::{Line, ToClient},
};

use super::{
    asides::Asides,
    frame::{Frame, Frames},
    journal::Journal,
    messages::Held,
    play::{Play, Whereabouts},
};

/// A line that is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Writing {
    pub(crate) line: Line,
    /// Which of the room's games.
    pub(crate) game: u32,
    pub(crate) round: u32,
    pub(crate) attempt: u32,
    pub(crate) text: String,
}

/// Who has a socket open, as it was last told. A higher version is a later one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Present {
    pub(crate) version: u64,
    pub(crate) members: Vec<Member>,
}

/// All that clients may see of a room now.
pub(crate) struct View<'a, P: Play> {
    pub(crate) journal: &'a Journal<P>,
    pub(crate) doing: &'a dyn Fn(P::Viewer) -> P::Doing,
    pub(crate) lines: &'a [Writing],
    pub(crate) present: &'a Present,
    /// What one viewer is told besides, whenever it changes; always as many messages.
    pub(crate) apart: &'a dyn Fn(P::Viewer) -> Vec<ToClient>,
    pub(crate) asides: &'a Asides,
}

/// What makes two watchers hear the same: whatever has the same key is the same bytes, as
/// long as the view is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key<V> {
    Event(u32, V),
    Unveiled(usize, V),
    /// Place among the lines, and bytes of it that were said.
    Partial(usize, usize),
    Present,
}

/// What was written for this view already.
pub(crate) struct Written<P: Play> {
    frames: Frames<Key<P::Viewer>>,
    doing: Vec<(P::Doing, Frame)>,
}

impl<P: Play> Written<P> {
    pub(crate) fn new() -> Self {
        Self {
            frames: Frames::new(),
            doing: Vec::new(),
        }
    }

    fn doing(&mut self, room: &str, doing: &P::Doing) -> Frame {
        if let Some((_, frame)) = self.doing.iter().find(|(known, _)| known == doing) {
            return frame.clone();
        }
        let frame = Frame::of(&P::doing(room.to_owned(), doing.clone()));
        self.doing.push((doing.clone(), frame.clone()));
        frame
    }
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
    game: u32,
    round: u32,
    attempt: u32,
    bytes: usize,
    chars: u32,
}

impl Shown {
    fn is_of(&self, writing: &Writing) -> bool {
        (self.game, self.round) == (writing.game, writing.round)
    }
}

/// One client's positions.
#[derive(Debug)]
pub(crate) struct Cursor<P: Play> {
    /// What the client held when it came; taken once it has been told where it stands.
    arriving: Option<Option<Held>>,
    next: u32,
    /// Games that are over of which the client is still to be told what was veiled.
    owed: Vec<usize>,
    doing: Option<P::Doing>,
    present: u64,
    shown: Vec<Shown>,
    apart: Vec<ToClient>,
    /// Number of the next aside.
    aside: u64,
}

impl<P: Play> Cursor<P> {
    pub(crate) fn new(held: Option<Held>) -> Self {
        Self {
            arriving: Some(held),
            next: 0,
            owed: Vec::new(),
            doing: None,
            present: 0,
            shown: Vec::new(),
            apart: Vec::new(),
            aside: 0,
        }
    }

    /// Sends what is missing until nothing is, or until `send` does not take it.
    pub(crate) fn advance(
        &mut self,
        place: &P::Place,
        view: &View<'_, P>,
        written: &mut Written<P>,
        send: &mut dyn FnMut(Frame) -> Sent,
    ) -> Sent {
        match self.try_advance(place, view, written, send) {
            Ok(()) => Sent::Taken,
            Err(sent) => sent,
        }
    }

    fn try_advance(
        &mut self,
        place: &P::Place,
        view: &View<'_, P>,
        written: &mut Written<P>,
        send: &mut dyn FnMut(Frame) -> Sent,
    ) -> Result<(), Sent> {
        let mut send = |frame| match send(frame) {
            Sent::Taken => Ok(()),
            sent => Err(sent),
        };
        let journal = view.journal;
        let viewer = P::viewer(place);
        let doing = (view.doing)(viewer);
        if self.next < journal.first() {
            // It is so far behind that what it lacks was let go of: it begins anew.
            self.arriving.get_or_insert(None);
        }
        if let Some(held) = self.arriving {
            let offset = journal.start(held);
            let at = Whereabouts {
                room: journal.room(),
                epoch: journal.epoch(),
                offset,
                doing: doing.clone(),
                present: &view.present.members,
            };
            let events = journal.stamped(viewer, offset).collect();
            send(Frame::of(&journal.game().joined(place, at, events)))?;
            self.arriving = None;
            self.next = journal.len();
            self.owed = journal.owed(offset).collect();
            self.doing = Some(doing.clone());
            self.present = view.present.version;
        }
        self.unveil(viewer, journal, written, &mut send)?;
        while self.next < journal.len() {
            let offset = self.next;
            let eyes = journal.eyes(viewer, offset);
            send(written.frames.get(Key::Event(offset, eyes), || {
                P::happened(journal.room().to_owned(), journal.lived(eyes, offset))
            }))?;
            self.owed.extend(journal.ended_at(offset));
            self.next += 1;
            self.unveil(viewer, journal, written, &mut send)?;
        }
        if self.doing.as_ref() != Some(&doing) {
            send(written.doing(journal.room(), &doing))?;
            self.doing = Some(doing);
        }
        if self.present != view.present.version {
            send(written.frames.get(Key::Present, || ToClient::Present {
                room: journal.room().to_owned(),
                present: view.present.members.clone(),
            }))?;
            self.present = view.present.version;
        }
        for (at, message) in (view.apart)(viewer).into_iter().enumerate() {
            if self.apart.get(at) != Some(&message) {
                send(Frame::of(&message))?;
                if at < self.apart.len() {
                    self.apart[at] = message;
                } else {
                    self.apart.push(message);
                }
            }
        }
        self.aside = self.aside.max(view.asides.first());
        while self.aside < view.asides.next() {
            if let Some(frame) = view.asides.get(self.aside)
                && journal.game().hears(viewer)
            {
                send(frame.clone())?;
            }
            self.aside += 1;
        }
        for (place, writing) in view.lines.iter().enumerate() {
            self.show(place, writing, journal.room(), written, &mut send)?;
        }
        Ok(())
    }

    fn unveil(
        &mut self,
        viewer: P::Viewer,
        journal: &Journal<P>,
        written: &mut Written<P>,
        send: &mut dyn FnMut(Frame) -> Result<(), Sent>,
    ) -> Result<(), Sent> {
        while let Some(&game) = self.owed.first() {
            let eyes = journal.eyes_after(viewer, game);
            if journal.unveiled(eyes, game).next().is_some() {
                send(written.frames.get(Key::Unveiled(game, eyes), || {
                    let events = journal.unveiled(eyes, game).collect();
                    P::unveiled(journal.room().to_owned(), events)
                }))?;
            }
            self.owed.remove(0);
        }
        Ok(())
    }

    fn show(
        &mut self,
        place: usize,
        writing: &Writing,
        room: &str,
        written: &mut Written<P>,
        send: &mut dyn FnMut(Frame) -> Result<(), Sent>,
    ) -> Result<(), Sent> {
        let known = self
            .shown
            .iter()
            .position(|shown| shown.line == writing.line);
        let (bytes, chars) = match known.map(|at| &self.shown[at]) {
            Some(shown) if shown.is_of(writing) && shown.attempt == writing.attempt => {
                (shown.bytes, shown.chars)
            }
            _ => (0, 0),
        };
        // A line that starts anew is worth saying even while it is empty: half a line must
        // not be left standing.
        let half_line_stands = known.is_some_and(|at| {
            let shown = &self.shown[at];
            shown.is_of(writing) && shown.attempt != writing.attempt && shown.bytes > 0
        });
        let missing = writing.text.get(bytes..).unwrap_or_default();
        if missing.is_empty() && !half_line_stands {
            return Ok(());
        }
        send(
            written
                .frames
                .get(Key::Partial(place, bytes), || ToClient::Partial {
                    room: room.to_owned(),
                    round: writing.round,
                    line: writing.line,
                    attempt: writing.attempt,
                    from: chars,
                    text: missing.to_owned(),
                }),
        )?;
        let shown = Shown {
            line: writing.line,
            game: writing.game,
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
mod tests;
