//! What a figure is meant to be, and whether it was.

use serde::Serialize;

/// On which side of its bound a figure has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bound {
    AtMost,
    AtLeast,
}

/// A figure and its goal.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Goal {
    what: String,
    unit: &'static str,
    got: f64,
    bound: Bound,
    goal: f64,
    held: bool,
}

impl Goal {
    pub fn new(what: String, unit: &'static str, got: f64, bound: Bound, goal: f64) -> Self {
        let held = match bound {
            Bound::AtMost => got <= goal,
            Bound::AtLeast => got >= goal,
        };
        Self {
            what,
            unit,
            got,
            bound,
            goal,
            held,
        }
    }

    pub fn print(&self) {
        let Self {
            what,
            unit,
            got,
            goal,
            ..
        } = self;
        let held = if self.held { "held    " } else { "NOT HELD" };
        let bound = match self.bound {
            Bound::AtMost => "at most",
            Bound::AtLeast => "at least",
        };
        println!("  {held}  {what}: {got:.2} {unit} ({bound} {goal:.0})");
    }
}
