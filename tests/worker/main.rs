//! The worker's process, from outside.

mod batching;
mod protocol;
mod support;
