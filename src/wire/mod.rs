//! What crosses a border, one file per border. Types only: every rule about them
//! lives with the side that keeps it.

pub mod boards;
pub mod browser;
pub mod fleet;
pub mod gate;
pub mod profiles;
pub mod sound;
pub mod speech;
pub mod transcript;
pub mod worker;
