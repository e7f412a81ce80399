//! The machines that can be set up to play at a table of this house.

use std::{fs, path::PathBuf};

use crate::{
    models::peft::{self, CONFIG_FILE, WEIGHTS_FILE},
    play::party::{Machine, Setup},
};

/// Most personas that are offered.
const OFFERED: usize = 200;

/// Who can play. Clones share nothing and agree: what there is stands in the folder.
#[derive(Clone, Debug, Default)]
pub struct Cast {
    adapters: Option<PathBuf>,
}

impl Cast {
    /// The model, ELIZA, and a persona for each adapter below `adapters`; none for a back end
    /// that cannot speak through one.
    pub fn new(adapters: Option<PathBuf>) -> Self {
        Self { adapters }
    }

    /// Everybody, as the folder is now: the model, ELIZA, then the personas by name. Reads
    /// the folder.
    pub fn machines(&self) -> Vec<Machine> {
        let personas = self.personas().into_iter();
        [Machine::Model, Machine::Eliza]
            .into_iter()
            .chain(personas.map(|name| Machine::Persona { name }))
            .collect()
    }

    fn personas(&self) -> Vec<String> {
        let Some(folder) = &self.adapters else {
            return Vec::new();
        };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| self.has(name))
            .collect();
        names.sort();
        names.truncate(OFFERED);
        names
    }

    fn has(&self, name: &str) -> bool {
        let Some(folder) = &self.adapters else {
            return false;
        };
        let files = [CONFIG_FILE, WEIGHTS_FILE];
        peft::is_name(name)
            && files
                .iter()
                .all(|file| folder.join(name).join(file).is_file())
    }

    /// What is wrong with a setup that asks for somebody who is not here, for its author.
    ///
    /// # Errors
    /// That text.
    pub(crate) fn check(&self, setup: &Setup) -> Result<(), String> {
        let unknown = setup.machines.iter().find_map(|machine| match machine {
            Machine::Persona { name } if !self.has(name) => Some(name),
            _ => None,
        });
        let Some(name) = unknown else { return Ok(()) };
        let known = self.personas();
        Err(if known.is_empty() {
            format!("there is no persona {name:?} here, nor any other: take the model or ELIZA")
        } else {
            let known = known.join(", ");
            format!("there is no persona {name:?} here; there are: {known}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::play::{
        imitation::{Kind, Mode},
        party::{Bench, Vacancy},
    };

    fn setup(machines: Vec<Machine>) -> Setup {
        Setup {
            kind: Kind::Direct,
            mode: Mode::Blind,
            bench: Bench::Machine,
            people: 1,
            machines,
            rounds: 1,
            seconds: 60,
            vacancy: Vacancy::Close,
            listed: false,
            open_to_spectators: false,
            line_limit: 100,
        }
    }

    fn persona(name: &str) -> Machine {
        Machine::Persona { name: name.into() }
    }

    #[test]
    fn every_whole_adapter_is_a_persona_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        for (name, files) in [
            ("wilde", &[CONFIG_FILE, WEIGHTS_FILE][..]),
            ("chekhov", &[CONFIG_FILE, WEIGHTS_FILE]),
            ("half", &[CONFIG_FILE]),
            (".hidden", &[CONFIG_FILE, WEIGHTS_FILE]),
        ] {
            fs::create_dir(folder.path().join(name)).unwrap();
            for file in files {
                fs::write(folder.path().join(name).join(file), "").unwrap();
            }
        }
        fs::write(folder.path().join("file"), "").unwrap();
        let cast = Cast::new(Some(folder.path().to_owned()));
        let all = [
            Machine::Model,
            Machine::Eliza,
            persona("chekhov"),
            persona("wilde"),
        ];
        assert_eq!(cast.machines(), all);
        assert_eq!(cast.check(&setup(all.to_vec())), Ok(()));
        for unknown in ["half", ".hidden", "file", "shaw", "../wilde", ""] {
            let told = cast.check(&setup(vec![Machine::Model, persona(unknown)]));
            let told = told.expect_err(unknown);
            assert!(
                told.contains(unknown) && told.contains("chekhov, wilde"),
                "{told}"
            );
        }
    }

    #[test]
    fn a_back_end_without_adapters_has_no_personas() {
        for cast in [Cast::default(), Cast::new(Some("/nowhere/at/all".into()))] {
            assert_eq!(cast.machines(), [Machine::Model, Machine::Eliza]);
            let told = cast
                .check(&setup(vec![persona("wilde")]))
                .expect_err("none");
            assert!(
                told.contains("\"wilde\"") && told.contains("ELIZA"),
                "{told}"
            );
        }
    }
}
