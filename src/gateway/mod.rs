//! How people come in: HTTP and WebSockets. No rules of play, no knowledge of rooms beyond
//! the hall's door.

mod boards;
mod crew;
mod doorkeeper;
mod error;
mod health;
mod listen;
mod machines;
mod pages;
mod reaper;
mod replay;
pub mod socket;
pub mod web;
