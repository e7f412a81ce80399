//! The words of a dead user: what a base model is given to go on from, and what of its output
//! is said.
//!
//! A line is made in three steps: [`Prompts::draft`] (the question's prompt, then the
//! continuation's, again and again), the model, [`utter()`] (first line, sounds, guard, one
//! sentence or all of them). Nothing left to say is a silence, which is no failure.

mod prompts;
mod sentences;
mod sound;
mod tongue;
mod utter;

pub use prompts::{Prompts, PromptsError, SpiritDraft};
pub use sentences::sentences;
pub use sound::{Piece, Sound, pieces, without_sounds};
pub use tongue::{Answering, Means, answering};
pub use utter::{Cut, sayable, settled, utter};
