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
    println!("INSTALLED: `import it` where nobody gives the model (docs/models.md says how).");
    Ok(())
}

/// Libraries, then chat models by memory, then the rest; of equals as the catalogue has them.
fn in_order(catalogue: &Catalogue) -> Vec<&ModelEntry> {
    let mut entries: Vec<&ModelEntry> = catalogue.models().iter().collect();
    entries.sort_by_key(|entry| match entry.kind {
        Kind::Runtime => (0, 0),
        Kind::Chat => (1, entry.memory_gb.unwrap_or(u32::MAX)),
        _ => (2, 0),
    });
    entries
}

fn row(entry: &ModelEntry, settings: &ModelSettings) -> [String; 6] {
    let none = || "-".to_owned();
    let installed = if entry.is_folder() {
        download::installed_export(entry, settings, false)
    } else {
        download::installed(entry, settings).map(|here| here.map(|it| it.path))
    };
    let here = match installed {
        Ok(Some(path)) => path.display().to_string(),
        Ok(None) if entry.is_to_import() => "import it".into(),
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
    use std::path::Path;

    use super::*;

    fn settings(folder: &Path) -> ModelSettings {
        ModelSettings::of_flags(["--models", folder.to_str().unwrap()])
    }

    #[test]
    fn every_model_has_a_row_that_says_what_was_compared() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        for entry in Catalogue::builtin().models() {
            let [name, _, licence, _, compared, here] = row(entry, &settings);
            assert_eq!(name, entry.name);
            assert_eq!(licence.ends_with('*'), entry.terms.is_some(), "{name}");
            assert_eq!(compared == "-", entry.verified.is_none(), "{name}");
            let wanted = if entry.is_to_import() {
                "import it"
            } else {
                "no"
            };
            assert!(
                here == wanted || entry.kind == Kind::Runtime,
                "{name}: {here}"
            );
        }
    }

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
