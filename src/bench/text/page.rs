//! The measured part of docs/performance.md.

use std::{fs, path::Path};

use anyhow::Context as _;

use super::{
    report::{Program, Report},
    table::{Table, tables},
};

const BEGIN: &str = "<!-- measured: begin; `parlour bench report` writes what follows -->";
const END: &str = "<!-- measured: end -->";

/// Replaces the measured part of a page.
///
/// # Errors
/// When the page is not there or has no such part.
pub(super) fn write(report: &Report, path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let page = fs::read_to_string(path).with_context(|| shown.to_string())?;
    let page = replace(&page, &measured(report))
        .with_context(|| format!("{shown} has no place for what was measured:\n{BEGIN}\n{END}"))?;
    fs::write(path, page).with_context(|| shown.to_string())
}

fn replace(page: &str, measured: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{measured}\n{END}{after}"))
}

/// On what, with what and how often it was measured, a line each.
pub(super) fn circumstances(report: &Report) -> Vec<String> {
    let machine = &report.machine;
    let settings = &report.settings;
    let rounds = report
        .scenarios
        .iter()
        .map(|measured| measured.rounds.len());
    let (least, most) = (rounds.clone().min(), rounds.max());
    let rounds = match (least, most) {
        (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
        (Some(rounds), _) => rounds.to_string(),
        _ => "no".into(),
    };
    let mut lines = vec![
        format!(
            "Machine: {}, {} cores ({}), {} GiB, {}",
            machine.processor,
            machine.cores,
            machine.instructions.join(", "),
            machine.memory_gib,
            machine.system
        ),
        format!("Parlour: {}", program(&report.ours)),
    ];
    if let Some(theirs) = &report.theirs {
        lines.push(format!("{}: {}", theirs.name, program(theirs)));
    }
    lines.push(format!(
        "Both: {} slots of {} tokens, {} threads; medians of {rounds} rounds, the sides in turn; \
         {} tokens a stream; {} people, one every {} s on average",
        settings.slots,
        settings.context,
        settings.threads,
        settings.tokens,
        settings.people,
        settings.arrival_gap_s
    ));
    let doubts = report.warnings.iter();
    lines.extend(doubts.map(|warning| format!("Doubtful: {warning}")));
    lines
}

fn program(program: &Program) -> String {
    // Some servers call a model by the path of its file, which is nobody's business.
    let model = program.model.rsplit('/').next().unwrap_or_default();
    let parts: Vec<&str> = [program.version.as_str(), model]
        .into_iter()
        .chain(program.remarks.iter().map(String::as_str))
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("; ")
}

fn measured(report: &Report) -> String {
    let mut text = String::new();
    for line in circumstances(report) {
        text.push_str(&format!("- {}\n", line.replace('|', "·")));
    }
    for Table { title, rows } in tables(report) {
        text.push_str(&format!("\n### {title}\n\n"));
        for (at, row) in rows.iter().enumerate() {
            text.push_str(&format!("| {} |\n", row.join(" | ")));
            if at == 0 {
                let rule = |column: usize| if column == 0 { "---" } else { "--:" };
                let rules: Vec<&str> = (0..row.len()).map(rule).collect();
                text.push_str(&format!("| {} |\n", rules.join(" | ")));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::text::report::example;

    #[test]
    fn the_measured_part_is_replaced_and_nothing_else() {
        let page = format!("# Title\n{BEGIN}\nold\n{END}\nThe end.\n");
        let once = replace(&page, "new\n").expect("a place");
        assert_eq!(
            once,
            format!("# Title\n{BEGIN}\n\nnew\n\n{END}\nThe end.\n")
        );
        assert_eq!(replace(&once, "new\n").as_deref(), Some(once.as_str()));
        assert_eq!(replace("# Title\n", "new\n"), None);
    }

    #[test]
    fn the_rows_of_a_table_have_as_many_cells_as_its_header() {
        let text = measured(&example());
        let mut widths = Vec::new();
        for line in text.lines() {
            match line.starts_with('|') {
                true => widths.push(line.matches('|').count()),
                false => {
                    assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
                    widths.clear();
                }
            }
        }
        assert!(text.contains("| Decoding, 1 stream | 125 tokens/s | 100 tokens/s | 1.25 |"));
        assert!(text.contains("AVX2 = 1 · REPACK = 1"), "{text}");
    }

    #[test]
    fn doubts_are_told() {
        let mut report = example();
        report.warnings.push("odd".into());
        assert!(measured(&report).contains("- Doubtful: odd\n"));
    }
}
