//! The worker's process, from outside.

mod batching;
mod hub;
mod protocol;
mod support;
