use std::{fs, io::Cursor};

use super::{
    fixture::{Writer, tiny_whisper},
    *,
};

fn read(bytes: &[u8]) -> Result<Ct2<Cursor<&[u8]>>, Ct2Error> {
    Ct2::read(Cursor::new(bytes))
}

#[test]
fn what_was_written_is_read() {
    let mut writer = Writer::default();
    writer.halves("a", &[2, 2], &[1.0, -2.0, 0.5, 3.0]);
    writer.tensor("n", &[], 2, &[8, 0]);
    writer.alias("b", "a");
    let bytes = writer.finish();
    let mut file = read(&bytes).unwrap();
    assert_eq!(file.specification(), "WhisperSpec");
    assert_eq!(file.floats("a", &[2, 2]).unwrap(), [1.0, -2.0, 0.5, 3.0]);
    assert_eq!(file.floats("b", &[2, 2]).unwrap(), [1.0, -2.0, 0.5, 3.0]);
    assert_eq!(file.number("n").unwrap(), 8);
    assert!(matches!(
        file.floats("a", &[4]),
        Err(Ct2Error::Unfit { .. })
    ));
    assert!(matches!(file.floats("n", &[]), Err(Ct2Error::Unfit { .. })));
    assert!(matches!(file.number("c"), Err(Ct2Error::Missing(_))));
}

#[test]
fn a_file_that_ends_anywhere_is_an_error() {
    let bytes = tiny_whisper().finish();
    for end in (0..bytes.len()).step_by(7) {
        assert!(read(&bytes[..end]).is_err(), "{end}");
    }
}

#[test]
fn a_shape_that_lies_about_its_bytes_is_refused() {
    let mut writer = Writer::default();
    writer.tensor("a", &[u32::MAX as usize, u32::MAX as usize], 0, &[0; 8]);
    assert!(matches!(
        read(&writer.finish()),
        Err(Ct2Error::Malformed(_))
    ));
}

#[test]
fn an_import_is_done_once_and_gives_the_same_bytes_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.bin");
    fs::write(&file, tiny_whisper().finish()).unwrap();
    let first = import(&file, "one", folder.path()).unwrap();
    let second = import(&file, "two", folder.path()).unwrap();
    for (a, b) in [
        (&first.encoder, &second.encoder),
        (&first.decoder, &second.decoder),
    ] {
        assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap());
    }
    // The file is not needed any more.
    fs::remove_file(&file).unwrap();
    assert_eq!(import(&file, "one", folder.path()).unwrap(), first);
    assert!(import(&file, "three", folder.path()).is_err());
    let left = fs::read_dir(folder.path()).unwrap().flatten();
    assert!(left.into_iter().all(|item| {
        let name = item.file_name().into_string().unwrap();
        !name.ends_with(".part")
    }));
}

#[test]
fn a_model_that_lacks_a_part_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.bin");
    let mut writer = Writer::default();
    writer.halves("encoder/conv1/weight", &[16, 80, 3], &[0.0; 16 * 80 * 3]);
    fs::write(&file, writer.finish()).unwrap();
    let error = import(&file, "x", folder.path()).unwrap_err();
    assert!(error.to_string().contains("embeddings"), "{error}");
}
