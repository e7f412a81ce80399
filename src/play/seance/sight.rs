//! Who is told what.

use super::{Event, Member, Seance, Viewer};

impl Seance {
    /// What `viewer` may see of `event` as the séance stands now: see the privacy rule of
    /// [`crate::play::seance`]. None where nothing may be seen. Nobody sees whose session
    /// somebody is.
    pub fn shown(&self, viewer: Viewer, event: &Event) -> Option<Event> {
        match event {
            Event::Came { member, key: _ } => Some(Event::Came {
                member: *member,
                key: None,
            }),
            Event::Asked { question, .. } => self
                .tells(viewer, self.is_question_of_now(*question))
                .then(|| event.clone()),
            Event::Said { line, .. } => self
                .tells(viewer, self.is_line_of_now(*line))
                .then(|| event.clone()),
            _ => Some(event.clone()),
        }
    }

    /// Whether captions and sound of what goes on now are for this viewer.
    pub fn hears(&self, viewer: Viewer) -> bool {
        self.tells(viewer, true)
    }

    /// Members who see something else of the event than one who watches: those who wait.
    pub fn kept_out(&self, event: &Event) -> Vec<Member> {
        match event {
            Event::Asked { .. } | Event::Said { .. } => self.waiting().collect(),
            _ => Vec::new(),
        }
    }

    fn tells(&self, viewer: Viewer, of_now: bool) -> bool {
        of_now
            && match viewer {
                Viewer::Member(member) => self.place(member).is_none(),
                Viewer::Watcher => true,
                Viewer::Public => false,
            }
    }
}
