//! The worker's process, from outside.

mod adapters;
mod batching;
mod control;
mod hub;
mod protocol;
mod support;
