//! Reports as tables, for a terminal and for a page.

use super::{
    figures::name,
    report::{Measured, Report, Spread, Summary},
};

/// Which way a figure gets better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
}

/// A figure that stands for its scenario.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Headline {
    pub label: String,
    /// Empty for a share.
    pub unit: &'static str,
    pub better: Better,
    pub summary: Summary,
}

impl Headline {
    /// How many times as good as theirs ours is.
    pub fn advantage(&self) -> Option<Spread> {
        let ratio = self.summary.ratio?;
        Some(match self.better {
            Better::Higher => ratio,
            Better::Lower => Spread {
                median: 1.0 / ratio.median,
                min: 1.0 / ratio.max,
                max: 1.0 / ratio.min,
            },
        })
    }
}

/// The figures that stand for the scenarios which were measured.
pub(super) fn headlines(report: &Report) -> Vec<Headline> {
    let settings = &report.settings;
    let mut all = Vec::new();
    for measured in &report.scenarios {
        let mut add = |label: String, figure: &str, unit, better| {
            all.extend(measured.summary(figure).map(|summary| Headline {
                label,
                unit,
                better,
                summary,
            }));
        };
        let (family, number) = measured.name.rsplit_once('-').unwrap_or_default();
        let plural = if number == "1" { "" } else { "s" };
        match (family, measured.name.as_str()) {
            ("decode", _) => add(
                format!("Decoding, {number} stream{plural}"),
                name::DECODE,
                "tokens/s",
                Better::Higher,
            ),
            ("prefill", _) => add(
                format!("Reading a prompt of {number} tokens"),
                name::PREFILL,
                "tokens/s",
                Better::Higher,
            ),
            (_, "arrivals") => {
                for (share, figure) in [("p50", name::FIRST_P50), ("p95", name::FIRST_P95)] {
                    let people = settings.people;
                    let label = format!("{people} people arrive at random: first token, {share}");
                    add(label, figure, "ms", Better::Lower);
                }
            }
            (_, "second-turn") => {
                let label = "1,500-token conversation, first token of";
                let figures = [("first", name::FIRST_TURN), ("second", name::SECOND_TURN)];
                for (turn, figure) in figures {
                    add(
                        format!("{label} the {turn} turn"),
                        figure,
                        "ms",
                        Better::Lower,
                    );
                }
            }
            (_, "prose") => add(
                "Making prose up, 1 stream".into(),
                name::DECODE,
                "tokens/s",
                Better::Higher,
            ),
            (_, "copying") => add(
                "Repeating a passage of the prompt, 1 stream".into(),
                name::DECODE,
                "tokens/s",
                Better::Higher,
            ),
            _ => {}
        }
    }
    all
}

/// What each side is measured against itself: label, ours, theirs.
fn shares(report: &Report) -> Vec<Vec<String>> {
    let labels = [
        (
            "second-turn",
            name::SECOND_TO_FIRST,
            "First token of a second turn, against the first turn",
        ),
        (
            "scoring",
            name::SCORE_TO_PREFILL,
            "Speed of scoring 256 tokens, against reading as many",
        ),
    ];
    let row = |(scenario, figure, label): (&str, &str, &str)| {
        let summary = report.scenario(scenario)?.summary(figure)?;
        let theirs = summary.theirs.map(|share| format!("{share:.3}"));
        Some(vec![
            label.to_owned(),
            format!("{:.3}", summary.ours),
            theirs.unwrap_or_default(),
        ])
    };
    labels.into_iter().filter_map(row).collect()
}

/// Header and rows, as they are printed.
pub(super) struct Table {
    pub title: &'static str,
    pub rows: Vec<Vec<String>>,
}

/// All tables of a report.
pub(super) fn tables(report: &Report) -> Vec<Table> {
    let other = report.theirs.as_ref().map(|theirs| theirs.name.clone());
    let row = |cells: [&str; 5]| cells.map(str::to_owned).to_vec();
    let them = other.as_deref().unwrap_or("");
    let mut headline = vec![row(["", "Parlour", them, "ratio", "least to most"])];
    for line in headlines(report) {
        let number = |value: f64| format!("{} {}", digits(value), line.unit);
        let ratio = line.summary.ratio;
        headline.push(vec![
            line.label.clone(),
            number(line.summary.ours),
            line.summary.theirs.map(number).unwrap_or_default(),
            ratio.map_or(String::new(), |ratio| format!("{:.2}", ratio.median)),
            ratio.map_or(String::new(), |ratio| {
                format!("{:.2} to {:.2}", ratio.min, ratio.max)
            }),
        ]);
    }
    let mut selves = vec![["", "Parlour", them].map(str::to_owned).to_vec()];
    selves.extend(shares(report));
    let tables = [
        Table {
            title: "Parlour and the other server",
            rows: headline,
        },
        Table {
            title: "Each against itself",
            rows: selves,
        },
        Table {
            title: "Streams at once",
            rows: cells(report),
        },
    ];
    tables
        .into_iter()
        .filter(|table| table.rows.len() > 1)
        .collect()
}

/// Streams by prompt, a row for each side.
fn cells(report: &Report) -> Vec<Vec<String>> {
    const FIGURES: [(&str, &str); 7] = [
        ("total tokens/s", name::TOTAL),
        ("decoding tokens/s", name::DECODE),
        ("first token p50 ms", name::FIRST_P50),
        ("p95", name::FIRST_P95),
        ("between tokens p50 ms", name::GAP_P50),
        ("p99", name::GAP_P99),
        ("peak MiB", name::PEAK),
    ];
    let header = ["streams", "prompt", "side"].into_iter();
    let header = header.chain(FIGURES.iter().map(|(label, _)| *label));
    let mut rows = vec![header.map(str::to_owned).collect()];
    let other = report.theirs.as_ref().map(|theirs| theirs.name.as_str());
    for measured in &report.scenarios {
        let Some((streams, prompt)) = cell(measured) else {
            continue;
        };
        let summaries = FIGURES.map(|(_, figure)| measured.summary(figure));
        let mut add = |side: &str, value: fn(Summary) -> Option<f64>| {
            let mut row = vec![streams.to_owned(), prompt.to_owned(), side.to_owned()];
            let values = summaries.iter().map(|summary| summary.and_then(value));
            row.extend(values.map(|value| value.map_or("-".into(), digits)));
            rows.push(row);
        };
        add("Parlour", |summary| Some(summary.ours));
        if let Some(other) = other {
            add(other, |summary| summary.theirs);
        }
    }
    rows
}

/// Streams and tokens of a prompt.
fn cell(measured: &Measured) -> Option<(&str, &'static str)> {
    let (family, streams) = measured.name.rsplit_once('-')?;
    match family {
        "decode" => Some((streams, "32")),
        "long" => Some((streams, "512")),
        _ => None,
    }
}

/// Three digits, or all of them before the point.
pub(super) fn digits(value: f64) -> String {
    match value.abs() {
        value if value >= 99.95 => format!("{value:.0}"),
        value if value >= 9.995 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// For a terminal.
pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    for line in super::page::circumstances(report) {
        text.push_str(&line);
        text.push('\n');
    }
    for table in tables(report) {
        text.push_str(&format!("\n{}\n", table.title));
        let columns = table.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = table.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &table.rows {
            let mut line = String::new();
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let cell = match at {
                    0 => format!("{cell:<width$}"),
                    _ => format!("  {cell:>width$}"),
                };
                line.push_str(&cell);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::text::report::example;

    #[test]
    fn more_tokens_and_shorter_waits_are_both_an_advantage() {
        let lines = headlines(&example());
        let of = |label: &str| {
            let line = lines.iter().find(|line| line.label == label);
            line.and_then(Headline::advantage).expect("there").median
        };
        assert_eq!(of("Decoding, 32 streams"), 1.25);
        assert_eq!(of("16 people arrive at random: first token, p95"), 2.0);
    }

    #[test]
    fn every_number_of_the_tables_has_its_place() {
        let text = text(&example());
        let line = |begin: &str| {
            let line = text.lines().find(|line| line.starts_with(begin));
            line.unwrap_or_else(|| panic!("no {begin:?} in\n{text}"))
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            line("Decoding, 1 stream "),
            "Decoding, 1 stream 125 tokens/s 100 tokens/s 1.25 0.50 to 1.50"
        );
        assert_eq!(
            line("Speed of scoring"),
            "Speed of scoring 256 tokens, against reading as many 0.900"
        );
        assert_eq!(
            line("1        "),
            "1 32 Parlour 112 125 64.0 72.0 7.20 16.0 900"
        );
    }

    #[test]
    fn three_digits_are_enough() {
        let shown = [0.1234, 9.996, 99.96, 1234.5].map(digits);
        assert_eq!(shown, ["0.12", "10.0", "100", "1234"]);
    }
}
