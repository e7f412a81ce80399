//! Parlour: a self-hosted, real-time place where people and machines talk and
//! have to work out who is who.
//!
//! # The map
//!
//! Read from the top floor down; a module uses only what stands below it.
//!
//! | floor | module | what it is |
//! |---|---|---|
//! | gateway | [`gateway`] | how people come in: HTTP, sockets, health; no rules of play |
//! | rooms | [`rooms`] | the actors: order, timers, who hears what |
//! | generation | [`generation`] | the server's side of the process border |
//! | worker | [`worker`] | the generation process and the speech process: no rooms, no store |
//! | models | [`models`] | catalogue, download, import of weights |
//! | store | [`store`] | one contract for what must survive, and its homes |
//! | persona | [`persona`] | PURE: prompts, the guard on replies, the pace of typing |
//! | play | [`play`] | PURE: the rules: imitation, tables, séance, evidence |
//! | wire | [`wire`] | what crosses a border: serde types, no logic |
//!
//! [`config`] is the only reader of the environment, [`mod@bench`] measures.
//!
//! # The way of one line
//!
//! browser → `connection.ts` → [`gateway`] → session → room ([`play`] decides: say
//! this, ask the bot) → bot → [`generation`] → worker process. Tokens come back the
//! same way: bot → room → every session. No actor waits for another: a reply is a
//! message that carries its turn's id and its attempt.
//!
//! # Invariants
//!
//! 1. [`play`] and [`persona`] know no clock, no randomness, no I/O: (state, command,
//!    now, dice) → events + effects. A room is rebuilt by replaying its events.
//! 2. A room has one writer. An event is stored before anyone sees it. Tokens in
//!    flight are not stored; the finished line is, once.
//! 3. What a mode hides never leaves the server: in blind mode the player's socket
//!    carries no byte of the other witness's answer or the judge's reasoning before
//!    the end. At a table no socket carries a byte of another's answer before all are
//!    revealed together, nor of who is who before the end.
//! 4. A request's tokens depend on its own prompt, parameters and seed alone: the
//!    same in any batch.
//! 5. Every queue has a bound and a stated answer when full. A client that stops
//!    reading costs a bounded amount of memory and is let go with a code that tells
//!    it to come back.
//! 6. The worker is expendable: killed at any instant, its turns are run again, and
//!    no reader sees a line twice or half of one left standing.
//! 7. Secrets are never logged; sound is never written to disk, nor what is measured of a
//!    voice.

pub mod bench;
pub mod config;
#[cfg(test)]
pub(crate) mod fuzz;
pub mod gateway;
pub mod generation;
pub mod models;
pub mod persona;
pub mod play;
pub mod rooms;
pub mod store;
pub mod wire;
pub mod worker;
