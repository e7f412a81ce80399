//! How people come in: HTTP and WebSockets. No rules of play, no knowledge of rooms beyond
//! the hall's door.

mod boards;
mod crew;
mod doorkeeper;
mod error;
pub mod gate;
mod health;
mod listen;
mod machines;
mod pages;
mod profiles;
mod reaper;
mod replay;
mod rite;
pub mod socket;
mod transcript;
pub mod web;
