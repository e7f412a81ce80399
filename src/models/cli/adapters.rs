//! `parlour model adapters`: what is here, and whether it fits.

use std::{fs, io, path::Path};

use crate::{
    config::ModelSettings,
    models::{
        ModelError,
        catalogue::Catalogue,
        download,
        gguf::Gguf,
        import::DecoderShape,
        peft::{self, Adapter, AdapterShape, Target},
    },
};

/// Prints a line for each adapter.
pub(super) fn list(model: &str, settings: &ModelSettings) -> Result<(), ModelError> {
    let shape = shape(model, settings)?;
    let folder = settings.adapters()?;
    println!(
        "{:<24} {:>5} {:>9}  {:<20} FITS {model}",
        "NAME", "RANK", "SIZE", "SPEAKS TO"
    );
    for name in names(&folder)? {
        println!("{}", line(&name, &folder, shape.as_ref()));
    }
    Ok(())
}

/// What an adapter of a model must fit, if the model is here.
fn shape(model: &str, settings: &ModelSettings) -> Result<Option<AdapterShape>, ModelError> {
    let catalogue = Catalogue::with_imported(settings)?;
    let entry = catalogue.chat_model(model)?;
    let Some(installed) = download::installed(entry, settings)? else {
        return Ok(None);
    };
    let path = &installed.path;
    let gguf = Gguf::open(path).map_err(|error| ModelError::gguf(path, error))?;
    Ok(Some(AdapterShape::from(&DecoderShape::of(&gguf)?)))
}

/// The folders in the folder of adapters, in order; none when it is not there.
fn names(folder: &Path) -> Result<Vec<String>, ModelError> {
    let failed = |error| ModelError::io(folder, error);
    let listing = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(failed)?,
    };
    let mut names = Vec::new();
    for item in listing {
        let item = item.map_err(failed)?;
        if item.path().is_dir() {
            names.push(item.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn line(name: &str, folder: &Path, shape: Option<&AdapterShape>) -> String {
    let unread = |why: &str| format!("{name:<24} {:>5} {:>9}  {:<20} {why}", "?", "?", "?");
    if !peft::is_name(name) {
        return unread("no: only a-z, 0-9, `-`, `_` and `.` make a name");
    }
    let Some(shape) = shape else {
        return unread("unknown: the model is not here");
    };
    match peft::read(&folder.join(name), shape) {
        Ok(adapter) => {
            let size = format!("{:.1} MB", adapter.bytes() as f64 / 1e6);
            let (ranks, targets) = (ranks(&adapter), targets(&adapter));
            format!("{name:<24} {ranks:>5} {size:>9}  {targets:<20} yes")
        }
        Err(error) => unread(&format!("no: {error}")),
    }
}

fn ranks(adapter: &Adapter) -> String {
    let ranks = || adapter.parts.iter().map(|part| part.rank);
    match (ranks().min(), ranks().max()) {
        (Some(low), Some(high)) if low < high => format!("{low}-{high}"),
        (low, _) => low.unwrap_or(0).to_string(),
    }
}

fn targets(adapter: &Adapter) -> String {
    let spoken = |target: &Target| adapter.parts.iter().any(|part| part.target == *target);
    let names: Vec<&str> = Target::ALL
        .iter()
        .filter(|target| spoken(target))
        .map(|target| target.name().trim_end_matches("_proj"))
        .collect();
    if names.len() == Target::ALL.len() {
        "all linear layers".into()
    } else {
        names.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::gguf::fixture::tiny_llama;

    #[test]
    fn each_adapter_is_told_with_what_it_speaks_to_or_why_it_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let gguf = folder.path().join("model.gguf");
        fs::write(&gguf, tiny_llama().finish()).unwrap();
        let shape = DecoderShape::of(&Gguf::open(&gguf).unwrap()).unwrap();
        let shape = AdapterShape::from(&shape);
        let put = |name: &str, targets: &[Target]| {
            let adapter = peft::random(&shape, targets, 4, 0.1, 1);
            peft::write(&folder.path().join(name), &adapter, &shape, "tiny").unwrap();
        };
        put("bunbury", &Target::ALL);
        put("Cecily", &[Target::Query]);
        put("jack", &[Target::Query, Target::Value]);
        fs::create_dir(folder.path().join("prism")).unwrap();
        let names = names(folder.path()).unwrap();
        assert_eq!(names, ["Cecily", "bunbury", "jack", "prism"]);
        let lines: Vec<String> = names
            .iter()
            .map(|name| line(name, folder.path(), Some(&shape)))
            .collect();
        for (line, told) in lines.iter().zip([
            "no: only",
            "all linear layers    yes",
            "4    0.0 MB  q v",
            "no: adapter_config.json",
        ]) {
            assert!(line.contains(told), "{line}");
        }
        assert!(line("jack", folder.path(), None).contains("unknown"));
    }

    #[test]
    fn the_folder_of_adapters_lies_in_that_of_weights_unless_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let settings = |arguments: &[&str]| {
            let always = ["--offline", "--models", path];
            ModelSettings::of_flags(always.iter().chain(arguments))
        };
        let usual = settings(&[]);
        assert_eq!(usual.adapters().unwrap(), folder.path().join("adapters"));
        let named = settings(&["--adapters", "elsewhere"]);
        assert_eq!(named.adapters().unwrap(), Path::new("elsewhere"));
        // A model that is not here, and no folder of adapters.
        list("smollm2-135m", &usual).unwrap();
        assert!(list("nobody", &usual).is_err());
    }
}
