//! How people come in: HTTP and WebSockets. No rules of play, no knowledge of rooms beyond
//! the hall's door.

mod crew;
mod error;
mod frame_guard;
mod health;
mod pages;
mod reaper;
mod replay;
mod socket;
pub mod web;
