//! A real server as a child process, clients of its protocol, and other people's models
//! that say what a test tells them to. Nothing here waits for time to pass: every wait is
//! for a message.

pub mod caddy;
pub mod client;
pub mod fault;
pub mod house;
pub mod known;
pub mod looks;
pub mod models;
pub mod replay;
pub mod seance;
pub mod seen;
pub mod standin;
pub mod street;
pub mod table;
