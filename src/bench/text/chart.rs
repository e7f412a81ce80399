//! The picture of a report: tokens a second by streams, and every scenario's advantage.

use std::{error::Error, fs, path::Path};

use anyhow::Context as _;
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    figures::name,
    report::{Report, Spread},
    table::{Headline, digits, headlines},
};

const WIDTH: u32 = 920;
/// Of the upper part.
const LINES: u32 = 340;
/// Of a row of the lower part.
const ROW: u32 = 34;
/// Above and below the rows.
const FRAME: u32 = 84;

/// A colour on a light page, and what takes its place on a dark one.
struct Colour {
    light: RGBColor,
    dark: &'static str,
}

const INK: Colour = colour(0x1f, 0x23, 0x28, "#E6EDF3");
const FAINT: Colour = colour(0x59, 0x63, 0x6e, "#9198A1");
const GRID: Colour = colour(0xd1, 0xd9, 0xe0, "#3D444D");
const OURS: Colour = colour(0x09, 0x69, 0xda, "#4493F8");
const THEIRS: Colour = colour(0xbc, 0x4c, 0x00, "#DB6D28");
const GROUND: Colour = colour(0xff, 0xff, 0xff, "#0D1117");

const fn colour(red: u8, green: u8, blue: u8, dark: &'static str) -> Colour {
    Colour {
        light: RGBColor(red, green, blue),
        dark,
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error + Send + Sync>>;

/// Draws it into a file.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn draw(report: &Report, path: &Path) -> anyhow::Result<()> {
    let picture = picture(report)?;
    fs::write(path, picture).with_context(|| path.display().to_string())
}

fn picture(report: &Report) -> anyhow::Result<String> {
    let rows: Vec<(Headline, Spread)> = headlines(report)
        .into_iter()
        .filter_map(|line| Some((line.advantage()?, line)).map(|(spread, line)| (line, spread)))
        .collect();
    let below = match rows.len() {
        0 => 0,
        count => FRAME + ROW * u32::try_from(count)?,
    };
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, LINES + below)).into_drawing_area();
        let drawn = || -> Drawn {
            area.fill(&GROUND.light)?;
            let (upper, lower) = area.split_vertically(LINES);
            lines(&upper, report)?;
            if let Some(theirs) = &report.theirs
                && !rows.is_empty()
            {
                bars(&lower, &rows, &theirs.name)?;
            }
            area.present()?;
            Ok(())
        };
        drawn().map_err(|error| anyhow::anyhow!("cannot draw: {error}"))?;
    }
    Ok(for_both_grounds(&svg))
}

/// A page's colours may be light or dark; the picture follows, for what a stylesheet says
/// goes before an attribute.
fn for_both_grounds(svg: &str) -> String {
    let mut rules = String::new();
    for Colour { light, dark } in [INK, FAINT, GRID, OURS, THEIRS, GROUND] {
        let RGBColor(red, green, blue) = light;
        for attribute in ["fill", "stroke"] {
            rules.push_str(&format!(
                "[{attribute}=\"#{red:02X}{green:02X}{blue:02X}\"]{{{attribute}:{dark}}}"
            ));
        }
    }
    let style = format!("<style>@media (prefers-color-scheme: dark){{{rules}}}</style>");
    match svg
        .find("<svg")
        .and_then(|at| Some(at + svg[at..].find('>')? + 1))
    {
        Some(at) => format!("{}\n{style}{}", &svg[..at], &svg[at..]),
        None => svg.to_owned(),
    }
}

fn font(size: u32, colour: &Colour, horizontal: HPos) -> TextStyle<'static> {
    ("sans-serif", size)
        .into_font()
        .color(&colour.light)
        .pos(Pos::new(horizontal, VPos::Center))
}

/// Where a figure of one side stands: streams, tokens a second.
type Points = Vec<(f64, f64)>;

/// Tokens a second while all streams write, by streams.
fn points(report: &Report) -> (Points, Points) {
    let (mut ours, mut theirs) = (Points::new(), Points::new());
    for measured in &report.scenarios {
        let Some(streams) = measured.name.strip_prefix("decode-") else {
            continue;
        };
        let (Ok(streams), Some(summary)) = (streams.parse::<f64>(), measured.summary(name::DECODE))
        else {
            continue;
        };
        ours.push((streams, summary.ours));
        theirs.extend(summary.theirs.map(|rate| (streams, rate)));
    }
    for side in [&mut ours, &mut theirs] {
        side.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    (ours, theirs)
}

fn lines(area: &Area<'_>, report: &Report) -> Drawn {
    let (ours, theirs) = points(report);
    let most = ours
        .iter()
        .chain(&theirs)
        .map(|point| point.1)
        .fold(1.0, f64::max);
    let widest = ours.iter().map(|point| point.0).fold(2.0, f64::max).log2();
    let mut chart = ChartBuilder::on(area)
        .margin_left(16)
        .margin_right(120)
        .margin_top(50)
        .margin_bottom(10)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(-0.15..widest + 0.15, 0.0..most * 1.08)?;
    area.draw(&Text::new(
        "Decoding: tokens a second, all streams together",
        (16, 26),
        font(17, &INK, HPos::Left),
    ))?;
    let whole = |value: f64| (value - value.round()).abs() < 1e-6;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.light)
        .axis_style(FAINT.light)
        .label_style(("sans-serif", 13).into_font().color(&FAINT.light))
        .axis_desc_style(("sans-serif", 13).into_font().color(&FAINT.light))
        .x_labels(ours.len().max(2) + 1)
        .x_label_formatter(&|x| match whole(*x) {
            true => format!("{:.0}", x.exp2()),
            false => String::new(),
        })
        .y_labels(6)
        .y_label_formatter(&|y| format!("{y:.0}"))
        .x_desc("streams at the same time")
        .y_desc("tokens/s")
        .draw()?;
    let other = report.theirs.as_ref().map_or("", |theirs| &theirs.name);
    for (points, colour, name) in [(theirs, THEIRS, other), (ours, OURS, "Parlour")] {
        let points: Points = points
            .iter()
            .map(|point| (point.0.log2(), point.1))
            .collect();
        let stroke = colour.light.stroke_width(3);
        chart.draw_series([PathElement::new(points.clone(), stroke)])?;
        let dots = points.iter();
        chart.draw_series(dots.map(|&point| Circle::new(point, 5, colour.light.filled())))?;
        if let Some(&(x, y)) = points.last() {
            let (x, y) = chart.backend_coord(&(x, y));
            let label = font(15, &colour, HPos::Left);
            area.draw(&Text::new(name.to_owned(), (x + 14, y), label))?;
        }
    }
    Ok(())
}

fn bars(area: &Area<'_>, rows: &[(Headline, Spread)], other: &str) -> Drawn {
    /// Where the bars begin and end.
    const LEFT: i32 = 380;
    const RIGHT: i32 = 690;
    const TOP: i32 = 52;
    let most = rows
        .iter()
        .map(|(_, spread)| spread.max)
        .fold(1.2, f64::max);
    let x = |ratio: f64| LEFT + (ratio / most * f64::from(RIGHT - LEFT)).round() as i32;
    area.draw(&Text::new(
        format!("How many times as fast as {other}"),
        (16, 24),
        font(17, &INK, HPos::Left),
    ))?;
    let row_height = i32::try_from(ROW)?;
    let bottom = TOP + row_height * i32::try_from(rows.len())?;
    for (at, (line, spread)) in rows.iter().enumerate() {
        let middle = TOP + row_height * i32::try_from(at)? + row_height / 2;
        let label = font(13, &INK, HPos::Right);
        area.draw(&Text::new(line.label.clone(), (LEFT - 10, middle), label))?;
        let corners = [(LEFT, middle - 9), (x(spread.median), middle + 9)];
        area.draw(&Rectangle::new(corners, OURS.light.filled()))?;
        let whisker = [(x(spread.min), middle), (x(spread.max), middle)];
        area.draw(&PathElement::new(whisker, INK.light.stroke_width(1)))?;
        let theirs = line.summary.theirs.map(digits).unwrap_or_default();
        let says = format!(
            "{:.2}   ({} : {theirs} {})",
            spread.median,
            digits(line.summary.ours),
            line.unit
        );
        let place = (RIGHT + 12, middle);
        area.draw(&Text::new(says, place, font(13, &INK, HPos::Left)))?;
    }
    let one = [(x(1.0), TOP - 6), (x(1.0), bottom + 4)];
    area.draw(&PathElement::new(one, THEIRS.light.stroke_width(2)))?;
    let label = font(12, &THEIRS, HPos::Center);
    area.draw(&Text::new(
        format!("{other} = 1"),
        (x(1.0), bottom + 16),
        label,
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::text::report::example;

    #[test]
    fn the_picture_says_what_was_measured_and_follows_the_pages_colours() {
        let svg = picture(&example()).expect("drawn");
        for text in [
            "How many times as fast as llama.cpp",
            "Decoding, 32 streams",
            "1.25   (125 : 100 tokens/s)",
            "2.00   (500 : 1000 ms)",
            "streams at the same time",
            "prefers-color-scheme: dark",
        ] {
            assert!(svg.contains(text), "no {text:?} in\n{svg}");
        }
        let shown = svg.replace(
            &svg[svg.find("<style>").expect("one")..svg.find("</style>").expect("one")],
            "",
        );
        for colour in [INK, OURS, THEIRS, GROUND] {
            let RGBColor(red, green, blue) = colour.light;
            let hex = format!("#{red:02X}{green:02X}{blue:02X}");
            assert!(shown.contains(&hex), "no {hex}");
        }
    }

    #[test]
    fn a_report_of_one_side_is_drawn_without_ratios() {
        let mut report = example();
        report.theirs = None;
        for measured in &mut report.scenarios {
            for round in &mut measured.rounds {
                round.theirs = None;
            }
        }
        let svg = picture(&report).expect("drawn");
        assert!(!svg.contains("as fast as"));
        report.scenarios.clear();
        picture(&report).expect("drawn");
    }
}
