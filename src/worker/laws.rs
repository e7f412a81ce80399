//! The laws of the batch, tried on the deterministic engine.

mod bench;
mod requests;
mod schedules;
mod serving;
