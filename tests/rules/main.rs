//! Laws of the imitation game, for one and for many.

mod cases;
mod party_cases;
mod party_damage;
mod party_random;
mod party_sight;
mod party_table;
mod random;
mod seance_cases;
mod seance_random;
mod seance_room;
mod table;
