//! The worker's process, from outside.

mod batching;
mod control;
mod protocol;
mod support;
