//! What is asked for over HTTP by who wants to keep what was said at the séance.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::play::seance::{Member, TranscriptTurn};

/// `GET /api/seance/transcript/{room}`: the sitting of now, as far as the one who asks may
/// know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SeanceTranscript {
    pub room: String,
    /// The member who the one who asks is; none for one who watches.
    pub you: Option<Member>,
    pub turns: Vec<TranscriptTurn>,
}
