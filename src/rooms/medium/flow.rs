//! An answer that is said while it is still being written, a sentence after the other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    generation::{GenerationError, GenerationStream, Output},
    persona::spirit::{SpiritDraft, sayable, settled},
};

/// A text on its way from the model.
pub(super) struct Writing {
    stream: GenerationStream,
    text: String,
    over: bool,
}

impl Writing {
    pub(super) fn new(stream: GenerationStream) -> Self {
        Self {
            stream,
            text: String::new(),
            over: false,
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Waits for more. False when all was written.
    ///
    /// # Errors
    /// When the model cannot go on.
    pub(super) async fn goes_on(&mut self) -> Result<bool, GenerationError> {
        while let Some(item) = self.stream.next().await {
            match item? {
                Output::Piece(piece) => {
                    self.text.push_str(&piece);
                    return Ok(true);
                }
                Output::LogProbs(_) => {}
                Output::Done { .. } => break,
            }
        }
        self.over = true;
        Ok(false)
    }
}

/// What decides which sentences of a text may be said.
pub(super) struct Sieve {
    pub(super) draft: SpiritDraft,
    pub(super) question: String,
    /// Lines that were said to this question before.
    pub(super) earlier: Vec<String>,
}

impl Sieve {
    /// Of all that is there.
    pub(super) fn all(&self, writing: &Writing) -> Vec<String> {
        self.of(&writing.text)
    }

    /// Of what will not change any more.
    pub(super) fn settled(&self, writing: &Writing) -> Vec<String> {
        if writing.over {
            self.all(writing)
        } else {
            self.of(settled(&writing.text))
        }
    }

    fn of(&self, text: &str) -> Vec<String> {
        let earlier: Vec<&str> = self.earlier.iter().map(String::as_str).collect();
        sayable(text, &self.draft, &self.question, &earlier)
    }
}

/// The answer of a room's spirit that is being written. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Flow(Arc<Mutex<Option<Ongoing>>>);

struct Ongoing {
    question: u32,
    /// The part of the answer that comes next.
    part: u32,
    sentences: mpsc::UnboundedReceiver<String>,
    #[expect(dead_code, reason = "held for its drop, which ends the writing")]
    writes: AbortOnDropHandle<()>,
}

impl Flow {
    fn lock(&self) -> MutexGuard<'_, Option<Ongoing>> {
        // Nobody panics who holds it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer's next sentence, when it is written. None where nothing is being written to
    /// this question that has such a part.
    pub(super) async fn next(&self, question: u32, part: u32) -> Option<String> {
        let mut ongoing = self.lock().take()?;
        if (ongoing.question, ongoing.part) != (question, part) {
            return None;
        }
        let sentence = ongoing.sentences.recv().await?;
        ongoing.part += 1;
        *self.lock() = Some(ongoing);
        Some(sentence)
    }

    /// Says the first sentence, empty if there is none, and has the rest written on.
    pub(super) fn begin(
        &self,
        question: u32,
        part: u32,
        mut writing: Writing,
        sieve: Sieve,
    ) -> String {
        let first = sieve.settled(&writing).into_iter().next();
        let Some(first) = first else {
            return String::new();
        };
        // No more than the model writes to one prompt ever waits there.
        let (sender, sentences) = mpsc::unbounded_channel();
        let writes = actix::spawn(async move {
            let mut said = 1;
            loop {
                let is_whole = writing.over;
                for sentence in sieve.settled(&writing).into_iter().skip(said) {
                    said += 1;
                    if sender.send(sentence).is_err() {
                        return;
                    }
                }
                if is_whole {
                    return;
                }
                if let Err(error) = writing.goes_on().await {
                    // The spirit goes on from what was heard.
                    tracing::info!(%error, "an answer broke off while it was written");
                    return;
                }
            }
        });
        *self.lock() = Some(Ongoing {
            question,
            part: part + 1,
            sentences,
            writes: AbortOnDropHandle::new(writes),
        });
        first
    }

    /// Ends the writing.
    pub(crate) fn stop(&self) {
        *self.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::{persona::spirit::Prompts, play::seance::Exchange};

    /// A model that writes what it is handed, and how it is handed on.
    fn model() -> (mpsc::UnboundedSender<&'static str>, Writing) {
        let (pen, mut pieces) = mpsc::unbounded_channel();
        let written = stream::poll_fn(move |context| pieces.poll_recv(context));
        let written = written.map(|piece: &str| Ok(Output::Piece(piece.to_owned())));
        (pen, Writing::new(GenerationStream::new(written)))
    }

    fn sieve() -> Sieve {
        let nobody = [Exchange::default()];
        let draft = Prompts::builtin().draft("en", &nobody, 0);
        Sieve {
            draft: draft.expect("renders").expect("is there"),
            question: "Where are you?".into(),
            earlier: Vec::new(),
        }
    }

    #[actix_web::test]
    async fn a_sentence_is_said_as_soon_as_the_next_one_begins() {
        let (pen, mut writing) = model();
        pen.send("I am in the old forum. It").expect("it is read");
        assert_eq!(writing.goes_on().await, Ok(true));
        let flow = Flow::default();
        assert_eq!(flow.begin(4, 0, writing, sieve()), "I am in the old forum.");
        pen.send(" is dark here. No").expect("it is read");
        assert_eq!(flow.next(4, 1).await.as_deref(), Some("It is dark here."));
        pen.send("body writes.").expect("it is read");
        drop(pen);
        assert_eq!(flow.next(4, 2).await.as_deref(), Some("Nobody writes."));
        assert_eq!(flow.next(4, 3).await, None);
    }

    #[actix_web::test]
    async fn an_answer_to_another_question_says_nothing_here() {
        let (pen, mut writing) = model();
        pen.send("I am here. You are there. ").expect("it is read");
        assert_eq!(writing.goes_on().await, Ok(true));
        let flow = Flow::default();
        flow.begin(4, 0, writing, sieve());
        assert_eq!(flow.next(5, 1).await, None);
        assert_eq!(flow.next(4, 1).await, None, "it is over with the question");
    }

    #[actix_web::test]
    async fn nothing_is_written_on_when_it_is_stopped() {
        let (pen, mut writing) = model();
        pen.send("I am here. And").expect("it is read");
        assert_eq!(writing.goes_on().await, Ok(true));
        let flow = Flow::default();
        flow.begin(4, 0, writing, sieve());
        flow.stop();
        pen.closed().await;
        assert_eq!(flow.next(4, 1).await, None);
    }
}
