//! The worker's process, from outside.

mod batching;
mod control;
mod hub;
mod protocol;
mod support;
