//! `parlour model`: what is here, fetching it, importing one's own, checking.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Subcommand;

use crate::{
    config::ModelSettings,
    models::{
        self, ModelError,
        catalogue::{Catalogue, ENTRY_FILE, Kind, ModelEntry},
        download::{self, Installed},
        gguf::Gguf,
        import::{self, DecoderShape},
        lock::Lock,
        runtime,
        tokenizer::ChatTokenizer,
    },
};

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
    /// Make a GGUF file of one's own usable under a name
    Import {
        /// A GGUF file of the llama architecture
        file: PathBuf,
        /// Name to use it by [default: the file's name in lower case]
        #[arg(long)]
        name: Option<String>,
    },
    /// Read everything that is here again, compare checksums, load every model
    Check,
}

/// Does what a command says; tells on standard output.
///
/// # Errors
/// As the command's parts; `check` reports every problem before it fails.
pub fn run(command: &ModelCommand, settings: &ModelSettings) -> Result<(), ModelError> {
    match command {
        ModelCommand::List => list(settings),
        ModelCommand::Pull { name } => pull(name, settings),
        ModelCommand::Import { file, name } => import_file(file, name.as_deref(), settings),
        ModelCommand::Check => check(settings),
    }
}

fn list(settings: &ModelSettings) -> Result<(), ModelError> {
    println!(
        "{:<16} {:<10} {:<18} {:>9}  INSTALLED",
        "NAME", "KIND", "LICENCE", "SIZE"
    );
    for entry in Catalogue::with_imported(settings)?.models() {
        let here = match download::installed(entry, settings) {
            Ok(Some(installed)) => installed.path.display().to_string(),
            Ok(None) if entry.sources.iter().any(|source| source.fits_here()) => "no".into(),
            Ok(None) => "not made for this machine".into(),
            Err(error) => format!("damaged: {error}"),
        };
        let size = entry
            .sources
            .iter()
            .find(|source| source.fits_here())
            .and_then(|source| source.size)
            .map_or("?".into(), |size| format!("{:.1} MB", size as f64 / 1e6));
        let kind = match entry.kind {
            Kind::Chat => "chat",
            Kind::Runtime => "runtime",
        };
        println!(
            "{:<16} {kind:<10} {:<18} {size:>9}  {here}",
            entry.name, entry.licence
        );
    }
    Ok(())
}

fn pull(name: &str, settings: &ModelSettings) -> Result<(), ModelError> {
    let catalogue = Catalogue::with_imported(settings)?;
    let entry = catalogue.entry(name)?;
    if entry.kind == Kind::Chat {
        let prepared = models::prepare(name, settings)?;
        println!("{name}: {}", prepared.weights.path.display());
        println!("onnxruntime: {}", prepared.runtime.path.display());
        println!("imported: {}", prepared.graph.display());
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
    import::import(&installed.path, &installed.sha256, &folder, entry.precision)
}

fn import_file(
    file: &Path,
    name: Option<&str>,
    settings: &ModelSettings,
) -> Result<(), ModelError> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let name = name.map_or_else(|| stem.to_lowercase(), str::to_owned);
    download::check_name(&name)?;
    let builtin = Catalogue::builtin();
    if builtin.models().iter().any(|entry| entry.name == name) {
        return Err(ModelError::Taken(name));
    }
    // Everything that can be refused is refused before a byte is copied.
    let gguf = Gguf::open(file).map_err(|error| ModelError::gguf(file, error))?;
    DecoderShape::of(&gguf)?;
    ChatTokenizer::of(&gguf, None)?;

    let sha256 = download::sha256_of(file)?;
    let size = fs::metadata(file).map_err(|error| ModelError::io(file, error))?;
    let file_name = format!("{name}.gguf");
    let entry = ModelEntry::local(&name, &file_name, sha256.clone(), size.len());
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
    // Last, because it is what makes the model known.
    let entry_path = folder.join(ENTRY_FILE);
    let text = toml::to_string(&entry).map_err(|error| ModelError::Entry {
        path: entry_path.clone(),
        problem: error.to_string(),
    })?;
    fs::write(&entry_path, text).map_err(|error| ModelError::io(&entry_path, error))?;
    println!("imported: {}", graph.display());
    println!("use it with PARLOUR_MODEL={name}");
    Ok(())
}

fn check(settings: &ModelSettings) -> Result<(), ModelError> {
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
            Some(installed.path)
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
        tell(&entry.name, check_chat(entry, library.as_deref(), settings));
    }
    match problems {
        0 => Ok(()),
        count => Err(ModelError::Damaged(count)),
    }
}

fn check_chat(
    entry: &ModelEntry,
    library: Option<&Path>,
    settings: &ModelSettings,
) -> Result<String, ModelError> {
    let Some(installed) = download::installed_anew(entry, settings)? else {
        return Ok("not installed".into());
    };
    let gguf =
        Gguf::open(&installed.path).map_err(|error| ModelError::gguf(&installed.path, error))?;
    ChatTokenizer::of(&gguf, entry.chat_template.as_deref())?;
    let Some(library) = library else {
        return Ok("checksum right; not loaded, because the runtime is missing".into());
    };
    let graph = graph(entry, &installed, settings)?;
    runtime::session(library, &graph, 1)?;
    Ok("checksum right, loads".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::models::gguf::fixture::tiny_llama;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        models: ModelSettings,
    }

    fn settings(folder: &Path) -> ModelSettings {
        let folder = folder.to_str().unwrap();
        Arguments::parse_from(["test", "--models", folder, "--offline"]).models
    }

    #[test]
    fn an_imported_file_is_known_by_its_name_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let file = folder.path().join("My-Llama.gguf");
        fs::write(&file, tiny_llama().finish()).unwrap();
        run(&ModelCommand::Import { file, name: None }, &settings).unwrap();
        let catalogue = Catalogue::with_imported(&settings).unwrap();
        let entry = catalogue.chat_model("my-llama").unwrap();
        let installed = download::ensure(entry, &settings).unwrap();
        assert_eq!(fs::read(installed.path).unwrap(), tiny_llama().finish());
        run(&ModelCommand::List, &settings).unwrap();
        run(&ModelCommand::Check, &settings).unwrap();
    }

    #[test]
    fn damage_makes_the_check_fail() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let file = folder.path().join("tiny.gguf");
        fs::write(&file, tiny_llama().finish()).unwrap();
        let name = Some("mine".to_owned());
        run(&ModelCommand::Import { file, name }, &settings).unwrap();
        let copy = folder.path().join("mine").join("mine.gguf");
        let mut bytes = fs::read(&copy).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(copy, bytes).unwrap();
        let error = run(&ModelCommand::Check, &settings).unwrap_err();
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
            (&good, Some("../up")),
            (&good, Some("")),
        ] {
            let (file, name) = (file.clone(), name.map(str::to_owned));
            assert!(run(&ModelCommand::Import { file, name }, &settings).is_err());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
