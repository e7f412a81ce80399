//! What the judge is told: how to ask, how to weigh, how to give reasons.

mod live;
mod question;
mod reasons;
mod table;
mod verdict;

pub use live::{reasoning_so_far, relabelled_so_far};
pub use question::{
    Unfit, acceptable_question, acceptable_table_question, bank_question, question,
    table_bank_question, table_question,
};
pub use reasons::{FormError, parse_reasoning, reasoning, reasoning_schema};
pub use table::{
    Heard, TableForm, Two, parse_table_form, silence, table_form, table_form_schema,
    table_reasoning, table_reasoning_schema, table_weigh,
};
pub use verdict::{Form, OPTIONS, Order, form, form_schema, parse_form, weigh};

use crate::play::imitation::Seat;

/// Longest answer that a prompt quotes, characters.
const ANSWER_LIMIT: usize = 600;

/// How the judge names a witness to the player.
pub fn witness_name(seat: Seat) -> &'static str {
    match seat {
        Seat::A => "Witness A",
        Seat::B => "Witness B",
    }
}
