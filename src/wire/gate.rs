//! What is asked for over HTTP at the gate of the séance.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// `GET /api/gate`: how the gate stands for the browser that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct GateState {
    /// Whether this house asks for a password at all.
    pub needed: bool,
    /// Whether this browser may come in: it said the password, or none is needed.
    pub open: bool,
}
