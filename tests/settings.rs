//! Settings as the environment and `.env` give them.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

/// Every setting that `.env.example` names.
fn names() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example");
    let text = fs::read_to_string(file).unwrap();
    text.lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='))
        .map(|(name, _)| name.trim().to_owned())
        .filter(|name| name.starts_with("PARLOUR_") && !name.contains(' '))
        .collect()
}

/// `parlour …` in a folder, with none of our own settings; what it said.
fn parlour(folder: &Path, arguments: &[&str], variables: &[(String, &str)]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlour"));
    command.args(arguments).current_dir(folder);
    for name in names() {
        command.env_remove(name);
    }
    for (name, value) in variables {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// Reads every setting of the server, then refuses for a reason of the test's own.
const SERVE: [&str; 3] = ["serve", "--typing", "99"];
const REASON: &str = "PARLOUR_TYPING: 99 is not between 0 and 10";
const LIST: [&str; 2] = ["model", "list"];

#[test]
fn a_setting_that_is_set_to_nothing_is_not_set() {
    assert!(names().len() > 25);
    let folder = tempfile::tempdir().unwrap();
    let empty: Vec<(String, &str)> = names().into_iter().map(|name| (name, "")).collect();
    let (done, said) = parlour(folder.path(), &LIST, &empty);
    assert!(done && said.contains("smollm2-135m"), "{said}");
    let (_, said) = parlour(folder.path(), &SERVE, &empty);
    assert!(said.contains(REASON), "{said}");

    let lines: String = names().iter().map(|name| format!("{name}=\n")).collect();
    fs::write(folder.path().join(".env"), lines).unwrap();
    let (done, said) = parlour(folder.path(), &LIST, &[]);
    assert!(done && said.contains("smollm2-135m"), "{said}");
    let (_, said) = parlour(folder.path(), &SERVE, &[]);
    assert!(said.contains(REASON), "{said}");
}

#[test]
fn the_example_names_every_setting_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut known = BTreeSet::new();
    for subcommand in ["serve", "worker", "speech"] {
        let (done, help) = parlour(folder.path(), &[subcommand, "--help"], &[]);
        assert!(done, "{help}");
        let settings = help.split("[env: ").skip(1);
        known.extend(settings.map(|rest| rest.split(['=', ']']).next().unwrap().to_owned()));
    }
    assert_eq!(names().into_iter().collect::<BTreeSet<_>>(), known);
}

#[test]
fn a_setting_that_is_set_to_something_is_read_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in [
        ("PARLOUR_PRECISION", "int3"),
        ("PARLOUR_THREADS", "many"),
        ("PARLOUR_BIND", " "),
    ] {
        let (done, said) = parlour(folder.path(), &SERVE, &[(name.into(), value)]);
        assert!(!done && !said.contains(REASON), "{name}: {said}");
        let flag = name.trim_start_matches("PARLOUR_").to_lowercase();
        assert!(said.contains(&format!("--{flag}")), "{name}: {said}");
    }
}

#[test]
fn a_secret_that_is_refused_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["PARLOUR_SECRET", "PARLOUR_PASSWORD"] {
        let (done, said) = parlour(folder.path(), &["serve"], &[(name.into(), "hush hush")]);
        assert!(!done && said.contains(name), "{said}");
        assert!(!said.contains("hush"), "{said}");
    }
}
