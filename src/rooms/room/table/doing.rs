//! What a table waits for, in the eyes of each.

use crate::{
    play::party::{Step, Table, Viewer},
    rooms::{seeds::Purpose, turns::Turns},
    wire::browser::TableDoing,
};

pub(super) fn now<'a>(table: &'a Table, turns: &Turns) -> Box<dyn Fn(Viewer) -> TableDoing + 'a> {
    let step = table.step();
    let until = table.due();
    let away = match step {
        Step::Asking { .. } => turns.is_away(Purpose::Question),
        // While people are awaited it is them that the table waits for; and who a machine
        // is must not show.
        Step::Answering { .. } => {
            turns.is_away(Purpose::Answer)
                && !table.members().any(|(member, _)| table.awaits(member))
        }
        Step::Weighing { .. } => turns.is_away(Purpose::Verdict),
        Step::Gathering | Step::Voting | Step::Over => false,
    };
    Box::new(move |viewer| {
        let your_turn = match viewer {
            Viewer::Member(member) => table.awaits(member),
            Viewer::Public => false,
        };
        match step {
            _ if away => TableDoing::WaitsForModel,
            Step::Gathering => TableDoing::Gathering,
            Step::Asking { round } => TableDoing::Asking {
                round,
                your_turn,
                until,
            },
            Step::Answering { round } => TableDoing::Answering {
                round,
                your_turn,
                until,
            },
            Step::Weighing { round } => TableDoing::Weighing { round },
            Step::Voting => TableDoing::Voting { your_turn, until },
            Step::Over => TableDoing::Over,
        }
    })
}
