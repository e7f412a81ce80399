//! Downloads from a stand-in hub: cut, resumed, wrong, redirected, refused.

mod clones;
mod exports;
mod hubs;
mod translations;
mod voices;

use std::{fs, path::Path, thread};

use clap::Parser;
use parlour::{
    config::ModelSettings,
    models::{ModelError, catalogue::Catalogue, download},
};
use sha2::{Digest, Sha256};

use hubs::{Act, Hub};

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    models: ModelSettings,
}

fn settings(folder: &Path, hub: &str, more: &[&str]) -> ModelSettings {
    let folder = folder.to_str().unwrap();
    let arguments = ["test", "--models", folder, "--hub", hub];
    Settings::parse_from(arguments.iter().chain(more)).models
}

fn content() -> Vec<u8> {
    (0..300_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// SHA-256 of [`content`]; a test compares.
const SHA256: &str = "136f334d647619879743ff33fde1ac6547f40e314692441f2a125e087cad47c9";

fn catalogue(sha256: Option<&str>) -> Catalogue {
    let sha256 = sha256.map_or(String::new(), |sha256| format!("sha256 = \"{sha256}\""));
    toml::from_str(&format!(
        r#"
        [[model]]
        name = "tiny"
        kind = "chat"
        licence = "MIT"
        [[model.source]]
        kind = "hub"
        repository = "someone/tiny"
        revision = "main"
        file = "tiny.gguf"
        {sha256}
        "#
    ))
    .unwrap()
}

/// Everything in the model's folder but its lock.
fn left(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder.join("tiny"))
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".lock")
        .collect();
    names.sort();
    names
}

fn ensure(
    folder: &Path,
    hub: &Hub,
    sha256: Option<&str>,
) -> Result<download::Installed, ModelError> {
    let catalogue = catalogue(sha256);
    let entry = catalogue.chat_model("tiny").unwrap();
    download::ensure(entry, &settings(folder, &hub.address, &[]))
}

#[test]
fn the_stated_checksum_is_that_of_the_content() {
    let digest = Sha256::digest(content());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, SHA256);
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let acts = vec![Act::Cut(100_000), Act::Cut(50_000), Act::Serve];
    let hub = Hub::start(content(), acts);
    let installed = ensure(folder.path(), &hub, Some(SHA256)).unwrap();
    assert_eq!(fs::read(&installed.path).unwrap(), content());
    assert_eq!(left(folder.path()), ["tiny.gguf", "tiny.gguf.verified"]);
    assert_eq!(hub.ranges(), [None, Some(100_000), Some(150_000)]);
    let requests = hub.requests.lock().unwrap();
    assert_eq!(requests[0].path, "/someone/tiny/resolve/main/tiny.gguf");
}

#[test]
fn a_download_that_another_process_left_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tiny")).unwrap();
    let part = folder.path().join("tiny/tiny.gguf.part");
    fs::write(part, &content()[..1234]).unwrap();
    let hub = Hub::start(content(), vec![Act::Serve]);
    let installed = ensure(folder.path(), &hub, Some(SHA256)).unwrap();
    assert_eq!(fs::read(&installed.path).unwrap(), content());
    assert_eq!(hub.ranges(), [Some(1234)]);
}

#[test]
fn a_hub_that_ignores_ranges_is_read_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(content(), vec![Act::Cut(100_000), Act::IgnoreRange]);
    let installed = ensure(folder.path(), &hub, Some(SHA256)).unwrap();
    assert_eq!(fs::read(&installed.path).unwrap(), content());
}

#[test]
fn wrong_bytes_are_refused_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(content(), vec![Act::Garble]);
    let error = ensure(folder.path(), &hub, Some(SHA256)).unwrap_err();
    assert!(error.to_string().contains(SHA256), "{error}");
    assert!(left(folder.path()).is_empty());
}

#[test]
fn where_the_catalogue_has_no_checksum_the_hubs_own_is_held_to() {
    let folder = tempfile::tempdir().unwrap();
    let acts = vec![Act::RedirectStating(SHA256), Act::Serve];
    let hub = Hub::start(content(), acts);
    let installed = ensure(folder.path(), &hub, None).unwrap();
    assert_eq!(installed.sha256, SHA256);
    assert_eq!(hub.requests.lock().unwrap()[1].path, "/elsewhere");

    let folder = tempfile::tempdir().unwrap();
    let acts = vec![Act::RedirectStating(SHA256), Act::Garble];
    let hub = Hub::start(content(), acts);
    assert!(ensure(folder.path(), &hub, None).is_err());
    assert!(left(folder.path()).is_empty());
}

#[test]
fn a_file_that_nobody_states_a_checksum_for_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(content(), vec![Act::Serve]);
    let error = ensure(folder.path(), &hub, None).unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
    assert!(left(folder.path()).is_empty());
}

#[test]
fn a_busy_hub_is_asked_again_and_a_missing_file_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let acts = vec![Act::Status("503 Service Unavailable"), Act::Serve];
    let hub = Hub::start(content(), acts);
    ensure(folder.path(), &hub, Some(SHA256)).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(content(), vec![Act::Status("404 Not Found"), Act::Serve]);
    let error = ensure(folder.path(), &hub, Some(SHA256)).unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
    assert_eq!(hub.ranges().len(), 1);
}

#[test]
fn what_is_here_is_not_fetched_again_and_damage_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(content(), vec![Act::Serve]);
    let installed = ensure(folder.path(), &hub, Some(SHA256)).unwrap();
    assert_eq!(
        ensure(folder.path(), &hub, Some(SHA256)).unwrap(),
        installed
    );
    assert_eq!(hub.ranges().len(), 1);

    fs::write(&installed.path, "not these bytes").unwrap();
    let error = ensure(folder.path(), &hub, Some(SHA256)).unwrap_err();
    assert!(matches!(error, ModelError::Checksum { .. }), "{error}");
    assert_eq!(hub.ranges().len(), 1);
}

#[test]
fn damage_that_size_and_time_hide_is_found_by_reading_anew() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(content(), vec![Act::Serve]);
    let installed = ensure(folder.path(), &hub, Some(SHA256)).unwrap();
    let changed = fs::metadata(&installed.path).unwrap().modified().unwrap();
    fs::write(&installed.path, vec![0; content().len()]).unwrap();
    let file = fs::File::options()
        .write(true)
        .open(&installed.path)
        .unwrap();
    file.set_modified(changed).unwrap();
    let settings = settings(folder.path(), &hub.address, &[]);
    // Also where only the hub stated the checksum.
    for sha256 in [Some(SHA256), None] {
        let catalogue = catalogue(sha256);
        let entry = catalogue.chat_model("tiny").unwrap();
        assert!(download::installed(entry, &settings).is_ok());
        assert!(download::installed_anew(entry, &settings).is_err());
    }
}

#[test]
fn two_that_want_the_same_file_fetch_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(content(), vec![Act::Serve]);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| ensure(folder.path(), &hub, Some(SHA256)).unwrap());
        }
    });
    assert_eq!(hub.ranges().len(), 1);
}

#[tokio::test]
async fn a_thread_that_drives_a_runtime_may_download() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(content(), vec![Act::Serve]);
    assert!(ensure(folder.path(), &hub, Some(SHA256)).is_ok());
}

#[test]
fn nothing_under_terms_is_downloaded_before_they_are_accepted_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(content(), vec![Act::Serve]);
    let mut entry = catalogue(Some(SHA256)).chat_model("tiny").unwrap().clone();
    entry.licence = "Strict".into();
    entry.terms = Some("https://example.org/terms".into());
    for accepted in [&[][..], &["--accept-licence", "Lax"]] {
        let settings = settings(folder.path(), &hub.address, accepted);
        let error = download::ensure(&entry, &settings).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("--accept-licence Strict"), "{error}");
        assert!(error.contains("https://example.org/terms"), "{error}");
    }
    assert!(hub.ranges().is_empty());
    let accepted = ["--accept-licence", "Lax,Strict"];
    let settings = settings(folder.path(), &hub.address, &accepted);
    download::ensure(&entry, &settings).unwrap();
}

#[test]
fn offline_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(content(), vec![Act::Serve]);
    let settings = settings(folder.path(), &hub.address, &["--offline"]);
    let catalogue = catalogue(Some(SHA256));
    let entry = catalogue.chat_model("tiny").unwrap();
    let error = download::ensure(entry, &settings).unwrap_err().to_string();
    let path = folder.path().join("tiny/tiny.gguf");
    for part in [
        "parlour model pull tiny",
        path.to_str().unwrap(),
        "hub someone/tiny/tiny.gguf",
        SHA256,
        "PARLOUR_OFFLINE",
        "PARLOUR_MODELS",
    ] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    assert!(hub.ranges().is_empty());

    // And doing it helps.
    fs::create_dir(folder.path().join("tiny")).unwrap();
    fs::write(&path, content()).unwrap();
    assert_eq!(download::ensure(entry, &settings).unwrap().path, path);
}

#[test]
fn a_name_cannot_leave_the_folder_of_weights() {
    let text = r#"
        [[model]]
        name = "../escape"
        kind = "chat"
        licence = "MIT"
        source = []
        "#;
    let catalogue: Catalogue = toml::from_str(text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "http://127.0.0.1:9", &[]);
    let error = download::ensure(&catalogue.models()[0], &settings).unwrap_err();
    assert!(matches!(error, ModelError::Name(_)), "{error}");
}
