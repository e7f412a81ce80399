//! Laws of the imitation game.

mod cases;
mod random;
mod table;
