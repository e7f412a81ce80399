//! Between the connection and one reader: text waits here until it is read.
//!
//! Text that has not been read yet is one string, so that a slow reader gets fewer and
//! longer pieces and never holds up the connection. Its size is bounded by the request's
//! own `max_tokens`.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use super::{GenerationError, Output};
use crate::wire::worker::TokenLogProb;

#[derive(Debug, Default)]
struct State {
    logprobs: Vec<TokenLogProb>,
    text: String,
    end: Option<Result<Output, GenerationError>>,
    ended: bool,
    waker: Option<Waker>,
}

/// Both ends hold one of these.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffer(Arc<Mutex<State>>);

impl Buffer {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything can panic, so a poisoned state is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let waker = {
            let mut state = self.lock();
            if state.ended {
                return;
            }
            change(&mut state);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// `logprobs` are of the tokens of `text`.
    pub(super) fn push(&self, text: &str, logprobs: Vec<TokenLogProb>) {
        if !text.is_empty() || !logprobs.is_empty() {
            self.change(|state| {
                state.text.push_str(text);
                state.logprobs.extend(logprobs);
            });
        }
    }

    /// The last item; whatever comes after is dropped.
    pub(super) fn end(&self, end: Result<Output, GenerationError>) {
        self.change(|state| {
            state.end = Some(end);
            state.ended = true;
        });
    }

    pub(super) fn poll_next(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Output, GenerationError>>> {
        let mut state = self.lock();
        if !state.logprobs.is_empty() {
            let logprobs = std::mem::take(&mut state.logprobs);
            return Poll::Ready(Some(Ok(Output::LogProbs(logprobs))));
        }
        if !state.text.is_empty() {
            return Poll::Ready(Some(Ok(Output::Piece(std::mem::take(&mut state.text)))));
        }
        if let Some(end) = state.end.take() {
            return Poll::Ready(Some(end));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// Texts in the order of their arrival are what a reader gets, however slowly it reads.
#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::wire::worker::{Finish, Usage};
    use proptest::prelude::*;

    fn drain(buffer: &Buffer) -> VecDeque<Result<Output, GenerationError>> {
        let mut context = Context::from_waker(Waker::noop());
        let mut items = VecDeque::new();
        while let Poll::Ready(Some(item)) = buffer.poll_next(&mut context) {
            items.push_back(item);
        }
        items
    }

    proptest! {
        #[test]
        fn a_slow_reader_loses_no_text_and_gets_one_end(
            pieces in proptest::collection::vec("[a-zé]{0,4}", 0..20),
            reads in proptest::collection::vec(any::<bool>(), 20),
        ) {
            let buffer = Buffer::default();
            let mut items = Vec::new();
            let told = |at: usize| TokenLogProb {
                token: at as u32,
                bytes: pieces[at].clone().into_bytes(),
                log_prob: -1.0,
                top: Vec::new(),
            };
            for (at, (piece, read)) in pieces.iter().zip(reads).enumerate() {
                buffer.push(piece, vec![told(at)]);
                if read {
                    items.extend(drain(&buffer));
                }
            }
            let done = Output::Done { finish: Finish::Stop, usage: Usage::default() };
            buffer.end(Ok(done.clone()));
            buffer.push("late", vec![TokenLogProb { token: 99, bytes: vec![], log_prob: 0.0, top: vec![] }]);
            buffer.end(Err(GenerationError::WorkerLost));
            items.extend(drain(&buffer));
            prop_assert_eq!(items.pop(), Some(Ok(done)));
            let (mut text, mut logprobs) = (String::new(), Vec::new());
            for item in items {
                match item {
                    // Never behind the text that they are of.
                    Ok(Output::LogProbs(more)) => {
                        logprobs.extend(more);
                        let length: usize = logprobs.iter().map(|l: &TokenLogProb| l.bytes.len()).sum();
                        prop_assert!(length >= text.len());
                    }
                    Ok(Output::Piece(piece)) => text.push_str(&piece),
                    other => prop_assert!(false, "{:?} before the end", other),
                }
            }
            prop_assert_eq!(text, pieces.concat());
            let tokens: Vec<u32> = logprobs.iter().map(|l| l.token).collect();
            prop_assert_eq!(tokens, (0..pieces.len() as u32).collect::<Vec<_>>());
        }
    }
}
