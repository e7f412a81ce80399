//! `parlour model`: what is here, fetching it, importing one's own, checking.

mod adapters;

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Subcommand;

use crate::{
    config::{ADAPTERS, ModelSettings},
    models::{
        self, ModelError,
        catalogue::{Catalogue, Format, Kind, ModelEntry},
        download::{self, Installed},
        gguf::Gguf,
        hub_export::{self, HubExport},
        import::{self, DecoderShape},
        listing,
        lock::Lock,
        prepare::{Fetched, FetchedExport, Prepared},
        speed::Speeds,
        tokenizer::ChatTokenizer,
        tokenizer_json::HubTokenizer,
    },
};

/// What commands need of the worker, which stands above the models.
pub trait Workshop {
    /// Opens what was prepared as the worker would; says in words why it cannot.
    fn open(&self, prepared: &Prepared) -> Result<(), String>;

    /// Opens an export as the worker would; says in words why it cannot.
    fn open_export(&self, export: &FetchedExport) -> Result<(), String>;

    /// Measures and keeps how fast each precision is here; says in words why it cannot.
    fn measure(&self, files: &Fetched) -> Result<Speeds, String>;
}

/// Commands about weights.
#[derive(Clone, Debug, Subcommand)]
pub enum ModelCommand {
    /// Show the models that are known and which of them are here
    List,
    /// Download a model and the ONNX Runtime, and prepare it for use
    Pull {
        /// Name in the catalogue
        name: String,
    },
    /// Make a GGUF file, or the folder of an ONNX export, usable under a name
    Import {
        /// A GGUF file (llama, qwen2, qwen3, gemma3), or a folder with `config.json`, `tokenizer.json` and graphs that
        /// optimum, transformers.js or onnxruntime-genai exported
        file: PathBuf,
        /// Name to use it by [default: the file's name in lower case]
        #[arg(long)]
        name: Option<String>,
        /// Which graph of a folder, e.g. `onnx/model_q4.onnx` [default: the most exact]
        #[arg(long)]
        graph: Option<String>,
    },
    /// Read everything that is here again, compare checksums, load every model
    Check,
    /// Show the LoRA adapters that are here and whether they fit a model
    Adapters {
        /// Name in the catalogue
        #[arg(default_value = "smollm2-135m")]
        model: String,
    },
    /// Measure which precision is fastest on this machine, and use it from now on
    TuneSpeed {
        /// Name in the catalogue
        name: String,
    },
}

/// Does what a command says; tells on standard output.
///
/// # Errors
/// As the command's parts; `check` reports every problem before it fails.
pub fn run(
    command: &ModelCommand,
    settings: &ModelSettings,
    workshop: &dyn Workshop,
) -> Result<(), ModelError> {
    match command {
        ModelCommand::List => listing::print(settings),
        ModelCommand::Pull { name } => pull(name, settings),
        ModelCommand::Import { file, name, graph } => {
            let name = free_name(file, name.as_deref())?;
            if file.is_dir() {
                hub_export::import::import(file, &name, graph.as_deref(), settings)?;
                println!("use it with PARLOUR_MODEL={name}");
                Ok(())
            } else if graph.is_some() {
                Err(ModelError::Unsupported(
                    "one graph only: --graph is for folders".into(),
                ))
            } else {
                import_file(file, &name, settings)
            }
        }
        ModelCommand::Check => check(settings, workshop),
        ModelCommand::Adapters { model } => adapters::list(model, settings),
        ModelCommand::TuneSpeed { name } => tune_speed(name, settings, workshop),
    }
}

fn pull(name: &str, settings: &ModelSettings) -> Result<(), ModelError> {
    let catalogue = Catalogue::with_imported(settings)?;
    let entry = catalogue.entry(name)?;
    if entry.kind == Kind::Chat && entry.format == Format::Onnx {
        let folder = download::ensure_export(entry, settings)?;
        // What cannot be run is told now, not when somebody wants to talk.
        let export = HubExport::open(&folder, entry.graph())?;
        HubTokenizer::of(&export, entry.chat_template.as_deref())?;
        let runtime = download::ensure(catalogue.runtime()?, settings)?;
        println!("{name}: {}", folder.display());
        println!("onnxruntime: {}", runtime.path.display());
    } else if entry.kind == Kind::Chat {
        let files = models::fetch(name, settings)?;
        println!("{name}: {}", files.weights.path.display());
        println!("onnxruntime: {}", files.runtime.path.display());
        let prepared = files.import(files.precision.unwrap_or_default())?;
        println!("imported: {}", prepared.graph.display());
    } else if entry.kind == Kind::Ear {
        let files = models::fetch_ear(name, settings)?;
        println!("{name}: {}", files.folder.display());
        println!("onnxruntime: {}", files.runtime.path.display());
    } else if entry.kind == Kind::Translation {
        let files = models::fetch_translation(name, settings)?;
        println!("{name}: {}", files.export.folder.display());
        println!("onnxruntime: {}", files.runtime.path.display());
    } else if entry.kind == Kind::Clone {
        let files = models::fetch_clone(name, settings)?;
        println!("{name}: {}", files.folder.display());
        println!("onnxruntime: {}", files.runtime.path.display());
    } else if entry.is_folder() {
        let folder = download::ensure_export(entry, settings)?;
        println!("{name}: {}", folder.display());
    } else {
        let installed = download::ensure(entry, settings)?;
        println!("{name}: {}", installed.path.display());
    }
    Ok(())
}

/// Imports what is here already, as `check` and `import` want it: nothing is fetched.
fn graph(
    entry: &ModelEntry,
    installed: &Installed,
    settings: &ModelSettings,
) -> Result<PathBuf, ModelError> {
    let folder = download::folder(entry, settings)?;
    let precision = entry.precision.unwrap_or_default();
    import::import(&installed.path, &installed.sha256, &folder, precision)
}

/// The name to import a file by, which no built-in model has but one that waits for the
/// folder of an export.
fn free_name(file: &Path, name: Option<&str>) -> Result<String, ModelError> {
    let stem = if file.is_dir() {
        file.file_name()
    } else {
        file.file_stem()
    };
    let stem = stem.unwrap_or_default().to_string_lossy();
    let name = name.map_or_else(|| stem.to_lowercase(), str::to_owned);
    download::check_name(&name)?;
    let builtin = Catalogue::builtin();
    let taken = |entry: &ModelEntry| entry.name == name && !(file.is_dir() && entry.is_to_import());
    // What is called so stands for the folder of adapters.
    if name == ADAPTERS || builtin.models().iter().any(taken) {
        return Err(ModelError::Taken(name));
    }
    Ok(name)
}

fn import_file(file: &Path, name: &str, settings: &ModelSettings) -> Result<(), ModelError> {
    // Everything that can be refused is refused before a byte is copied.
    let gguf = Gguf::open(file).map_err(|error| ModelError::gguf(file, error))?;
    DecoderShape::of(&gguf)?;
    ChatTokenizer::of(&gguf, None)?;

    let sha256 = download::sha256_of(file)?;
    let size = fs::metadata(file).map_err(|error| ModelError::io(file, error))?;
    let file_name = format!("{name}.gguf");
    let mut entry = ModelEntry::local(name, &file_name, sha256.clone(), size.len());
    entry.architecture = Some(gguf.text("general.architecture")?.to_owned());
    let folder = download::folder(&entry, settings)?;
    let installed = {
        let _lock = Lock::acquire(&folder)?;
        let path = folder.join(&file_name);
        let part = folder.join(format!("{file_name}.part"));
        let io = |error| ModelError::io(&part, error);
        fs::copy(file, &part).map_err(io)?;
        fs::rename(&part, &path).map_err(io)?;
        Installed { path, sha256 }
    };
    let graph = graph(&entry, &installed, settings)?;
    entry.write(&folder)?;
    println!("imported: {}", graph.display());
    println!("use it with PARLOUR_MODEL={name}");
    Ok(())
}

fn tune_speed(
    name: &str,
    settings: &ModelSettings,
    workshop: &dyn Workshop,
) -> Result<(), ModelError> {
    let files = models::fetch(name, settings)?;
    let speeds = workshop.measure(&files).map_err(ModelError::Runtime)?;
    println!("tokens a second on {}", speeds.machine.processor);
    println!(
        "{:<10} {:>9} {:>9} {:>9}",
        "PRECISION", "PREFILL", "1 TEXT", "8 TEXTS"
    );
    let best = speeds.best();
    for speed in &speeds.measured {
        let mark = if Some(speed.precision) == best {
            "  used"
        } else {
            ""
        };
        println!(
            "{:<10} {:>9.0} {:>9.0} {:>9.0}{mark}",
            speed.precision, speed.prefill, speed.decode_one, speed.decode_eight
        );
    }
    if let Some(precision) = files.precision {
        println!("but {precision} is insisted on, by PARLOUR_PRECISION or the catalogue");
    }
    Ok(())
}

fn check(settings: &ModelSettings, workshop: &dyn Workshop) -> Result<(), ModelError> {
    let catalogue = Catalogue::with_imported(settings)?;
    let mut problems = 0;
    let mut tell = |name: &str, result: Result<String, ModelError>| match result {
        Ok(said) => println!("{name}: {said}"),
        Err(error) => {
            problems += 1;
            println!("{name}: {error}");
        }
    };
    let library = match download::installed_anew(catalogue.runtime()?, settings) {
        Ok(Some(installed)) => {
            tell("onnxruntime", Ok("checksum right".into()));
            Some(installed)
        }
        Ok(None) => {
            println!("onnxruntime: not installed");
            None
        }
        Err(error) => {
            tell("onnxruntime", Err(error));
            None
        }
    };
    for entry in catalogue
        .models()
        .iter()
        .filter(|entry| entry.kind == Kind::Chat)
    {
        tell(
            &entry.name,
            check_chat(entry, library.as_ref(), settings, workshop),
        );
    }
    let others = catalogue
        .models()
        .iter()
        .filter(|entry| !matches!(entry.kind, Kind::Chat | Kind::Runtime));
    for entry in others {
        tell(&entry.name, check_files(entry, settings));
    }
    match problems {
        0 => Ok(()),
        count => Err(ModelError::Damaged(count)),
    }
}

/// What is no chat model: whether its files are what they should be.
fn check_files(entry: &ModelEntry, settings: &ModelSettings) -> Result<String, ModelError> {
    let here = if entry.is_folder() {
        download::installed_export(entry, settings, true)?
    } else {
        download::installed_anew(entry, settings)?.map(|it| it.path)
    };
    Ok(match here {
        Some(_) => "checksums right".into(),
        None => "not installed".into(),
    })
}

fn check_chat(
    entry: &ModelEntry,
    library: Option<&Installed>,
    settings: &ModelSettings,
    workshop: &dyn Workshop,
) -> Result<String, ModelError> {
    if entry.format == Format::Onnx {
        return check_export(entry, library, settings, workshop);
    }
    let Some(installed) = download::installed_anew(entry, settings)? else {
        return Ok("not installed".into());
    };
    let gguf =
        Gguf::open(&installed.path).map_err(|error| ModelError::gguf(&installed.path, error))?;
    ChatTokenizer::of(&gguf, entry.chat_template.as_deref())?;
    let Some(library) = library else {
        return Ok("checksum right; not loaded, because the runtime is missing".into());
    };
    let files = Fetched {
        runtime: library.clone(),
        weights: installed,
        folder: download::folder(entry, settings)?,
        precision: entry.precision,
        context: entry.context,
        chat_template: entry.chat_template.clone(),
    };
    let prepared = files.import(entry.precision.unwrap_or_default())?;
    workshop.open(&prepared).map_err(ModelError::Runtime)?;
    Ok("checksum right, loads".into())
}

fn check_export(
    entry: &ModelEntry,
    library: Option<&Installed>,
    settings: &ModelSettings,
    workshop: &dyn Workshop,
) -> Result<String, ModelError> {
    let Some(folder) = download::installed_export(entry, settings, true)? else {
        return Ok("not installed".into());
    };
    let export = HubExport::open(&folder, entry.graph())?;
    HubTokenizer::of(&export, entry.chat_template.as_deref())?;
    let Some(library) = library else {
        return Ok("checksums right; not loaded, because the runtime is missing".into());
    };
    let fetched = FetchedExport {
        runtime: library.clone(),
        export,
        context: entry.context,
        chat_template: entry.chat_template.clone(),
    };
    workshop
        .open_export(&fetched)
        .map_err(ModelError::Runtime)?;
    Ok("checksums right, loads".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::gguf::fixture::tiny_llama;

    struct Nothing;

    impl Workshop for Nothing {
        fn open(&self, _: &Prepared) -> Result<(), String> {
            Ok(())
        }

        fn open_export(&self, _: &FetchedExport) -> Result<(), String> {
            Ok(())
        }

        fn measure(&self, _: &Fetched) -> Result<Speeds, String> {
            Err("nothing is measured here".into())
        }
    }

    fn settings(folder: &Path) -> ModelSettings {
        let folder = folder.to_str().unwrap();
        ModelSettings::of_flags(["--models", folder, "--offline"])
    }

    #[test]
    fn an_imported_file_is_known_by_its_name_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let file = folder.path().join("My-Llama.gguf");
        fs::write(&file, tiny_llama().finish()).unwrap();
        run(
            &ModelCommand::Import {
                file,
                name: None,
                graph: None,
            },
            &settings,
            &Nothing,
        )
        .unwrap();
        let catalogue = Catalogue::with_imported(&settings).unwrap();
        let entry = catalogue.chat_model("my-llama").unwrap();
        let installed = download::ensure(entry, &settings).unwrap();
        assert_eq!(fs::read(installed.path).unwrap(), tiny_llama().finish());
        run(&ModelCommand::List, &settings, &Nothing).unwrap();
        run(&ModelCommand::Check, &settings, &Nothing).unwrap();
    }

    #[test]
    fn damage_makes_the_check_fail() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let file = folder.path().join("tiny.gguf");
        fs::write(&file, tiny_llama().finish()).unwrap();
        let name = Some("mine".to_owned());
        run(
            &ModelCommand::Import {
                file,
                name,
                graph: None,
            },
            &settings,
            &Nothing,
        )
        .unwrap();
        let copy = folder.path().join("mine").join("mine.gguf");
        let mut bytes = fs::read(&copy).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(copy, bytes).unwrap();
        let error = run(&ModelCommand::Check, &settings, &Nothing).unwrap_err();
        assert!(matches!(error, ModelError::Damaged(1)), "{error}");
    }

    #[test]
    fn what_cannot_be_imported_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let broken = folder.path().join("broken.gguf");
        fs::write(&broken, "GGUF but not really").unwrap();
        let good = folder.path().join("good.gguf");
        fs::write(&good, tiny_llama().finish()).unwrap();
        for (file, name) in [
            (&broken, None),
            (&good, Some("smollm2-135m")),
            (&good, Some("adapters")),
            (&good, Some("../up")),
            (&good, Some("")),
        ] {
            let (file, name) = (file.clone(), name.map(str::to_owned));
            assert!(
                run(
                    &ModelCommand::Import {
                        file,
                        name,
                        graph: None
                    },
                    &settings,
                    &Nothing
                )
                .is_err()
            );
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
