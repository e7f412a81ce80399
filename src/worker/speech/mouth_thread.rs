//! The threads that speak and translate: one request after another.

use std::{ops::ControlFlow, sync::Arc};

use super::{Interpreter, Mouth, desk::Desk, ticket::Ticket};
use crate::wire::speech::{FromSpeech, Speak, Translate};

/// A request that waits for its turn.
pub(super) struct Order<R> {
    pub(super) ticket: Arc<Ticket>,
    pub(super) request: R,
}

/// Speaks until the desk is closed.
pub(super) fn speak(mut mouth: Box<dyn Mouth>, desk: &Desk<Order<Speak>>) {
    let stopper = mouth.stopper();
    while let Some(Order { ticket, request }) = desk.take() {
        let mut say = |clause: crate::wire::speech::Clause, sound: Vec<i16>| {
            desk.beat();
            if ticket.is_cancelled() {
                return ControlFlow::Break(());
            }
            let id = ticket.id();
            ticket.say(FromSpeech::Clause { id, clause });
            ticket.sound(&sound);
            ControlFlow::Continue(())
        };
        ticket.worked_on(stopper.clone());
        let result = if ticket.is_cancelled() {
            Ok(())
        } else {
            mouth.speak(&request, &mut say)
        };
        ticket.worked_on(None);
        ticket.end(result.map(|()| FromSpeech::Spoken { id: ticket.id() }));
    }
}

/// Translates until the desk is closed.
pub(super) fn translate(mut interpreter: Box<dyn Interpreter>, desk: &Desk<Order<Translate>>) {
    while let Some(Order { ticket, request }) = desk.take() {
        let id = ticket.id();
        let result = if ticket.is_cancelled() {
            Ok(String::new())
        } else {
            interpreter.translate(&request, &|| {
                desk.beat();
                ticket.is_cancelled()
            })
        };
        ticket.end(result.map(|text| FromSpeech::Translated { id, text }));
    }
}
