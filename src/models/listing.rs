//! The table of `parlour model list`.

use super::{
    ModelError,
    catalogue::{Catalogue, Kind, ModelEntry},
    download,
};
use crate::config::ModelSettings;

/// Prints all models, the smallest first.
///
/// # Errors
/// When the folder of weights cannot be read.
pub(super) fn print(settings: &ModelSettings) -> Result<(), ModelError> {
    let catalogue = Catalogue::with_imported(settings)?;
    let mut rows = vec![
        [
            "NAME",
            "MEMORY",
            "LICENCE",
            "LANGUAGES",
            "COMPARED",
            "INSTALLED",
        ]
        .map(str::to_owned),
    ];
    rows.extend(
        in_order(&catalogue)
            .into_iter()
            .map(|entry| row(entry, settings)),
    );
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        println!("{}", cells.join("  ").trim_end());
    }
    println!();
    println!("MEMORY: of the smallest machine that serves a room with it.");
    println!("LICENCE: one with * must be accepted by name before a download (--accept-licence).");
    println!("COMPARED: what was compared with another program; - where nobody did.");
    Ok(())
}

/// Libraries, then models by memory; of equals as the catalogue has them.
fn in_order(catalogue: &Catalogue) -> Vec<&ModelEntry> {
    let mut entries: Vec<&ModelEntry> = catalogue.models().iter().collect();
    entries.sort_by_key(|entry| match entry.kind {
        Kind::Runtime => (0, 0),
        Kind::Chat => (1, entry.memory_gb.unwrap_or(u32::MAX)),
    });
    entries
}

fn row(entry: &ModelEntry, settings: &ModelSettings) -> [String; 6] {
    let none = || "-".to_owned();
    let here = match download::installed(entry, settings) {
        Ok(Some(installed)) => installed.path.display().to_string(),
        Ok(None) if entry.sources.iter().any(|source| source.fits_here()) => "no".into(),
        Ok(None) => "not made for this machine".into(),
        Err(error) => format!("damaged: {error}"),
    };
    let licence = match &entry.terms {
        None => entry.licence.clone(),
        Some(_) => format!("{}*", entry.licence),
    };
    let languages = match entry.languages.as_slice() {
        [] => none(),
        all => all.join(" "),
    };
    [
        entry.name.clone(),
        entry
            .memory_gb
            .map_or_else(none, |memory| format!("{memory} GB")),
        licence,
        languages,
        entry.verified.clone().unwrap_or_else(none),
        here,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_models_come_before_large_ones() {
        let catalogue = Catalogue::builtin();
        let entries = in_order(&catalogue);
        let memory: Vec<u32> = entries.iter().filter_map(|entry| entry.memory_gb).collect();
        assert!(memory.is_sorted());
        assert_eq!(entries[0].kind, Kind::Runtime);
        assert_eq!(entries[1].name, "smollm2-135m");
    }
}
