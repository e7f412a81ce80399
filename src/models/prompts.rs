//! What leads the model into the dead user's mouth: the program's own prompts, and those that
//! a user wrote in their place.

use std::{fs, path::Path};

use crate::{models::ModelError, persona::spirit::Prompts};

/// The program's prompts, each replaced by the file of its language in `folder`, if one is
/// named: files whose names end in `.toml`, in the order of their names.
///
/// # Errors
/// When the folder cannot be read, or a file of it is no file of prompts: a spirit that
/// speaks another's words unnoticed is worse than none.
pub fn spirit_prompts(folder: Option<&Path>) -> Result<Prompts, ModelError> {
    let mut prompts = Prompts::builtin();
    let Some(folder) = folder else {
        return Ok(prompts);
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| ModelError::io(folder, error))? {
        let path = entry.map_err(|error| ModelError::io(folder, error))?.path();
        if path.extension().is_some_and(|end| end == "toml") {
            files.push(path);
        }
    }
    files.sort();
    for path in files {
        let text = fs::read_to_string(&path).map_err(|error| ModelError::io(&path, error))?;
        let name = path.file_name().unwrap_or_default().to_owned();
        if let Err(error) = prompts.add(&name.to_string_lossy(), &text) {
            let problem = error.to_string();
            return Err(ModelError::Entry { path, problem });
        }
    }
    Ok(prompts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRENCH: &str = "language = \"fr\"\nstop = [\"\\n\"]\nothers = []\nspirit = \"Esprit\"\n\
        question = \"{{ question }}\"\ncontinuation = \"\"\nmurmur = \"\"\n";

    #[test]
    fn a_folder_adds_to_the_programs_own_and_a_broken_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).expect("it can be written");
        };
        write("fr.toml", FRENCH);
        write("notes.txt", "no prompts");
        let prompts = spirit_prompts(Some(folder.path())).expect("prompts");
        assert_eq!(
            prompts.languages().collect::<Vec<_>>(),
            ["de", "en", "fr", "ru"]
        );
        write("xx.toml", "language = \"xx\"");
        let error = spirit_prompts(Some(folder.path())).expect_err("a broken file");
        assert!(error.to_string().contains("xx.toml"), "{error}");
    }

    #[test]
    fn without_a_folder_there_are_the_programs_own_and_a_missing_one_is_an_error() {
        let own = spirit_prompts(None).expect("prompts");
        assert_eq!(own, Prompts::builtin());
        assert!(spirit_prompts(Some(Path::new("/no/such/folder"))).is_err());
    }
}
