//! espeak-ng, as a program of its own: it speaks any language, and tells other voices how
//! words sound.
//!
//! It is under the GPL and so is never linked: each request is a child process that reads a
//! text and writes phonemes or a WAV file. There is no time limit; who does not want to wait
//! stops it ([`Stopper`]).

use std::{
    env, io,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::stop::Stopper;

/// The program's name, and that of Debian's package.
const PROGRAM: &str = "espeak-ng";

/// Why espeak-ng does not help.
#[derive(Debug, thiserror::Error)]
pub enum EspeakError {
    #[error(
        "espeak-ng is not here: install it (Debian: apt install espeak-ng) or set \
         PARLOUR_ESPEAK to its path"
    )]
    Missing,
    #[error("{}: {error}", program.display())]
    Run { program: PathBuf, error: io::Error },
    #[error("espeak-ng failed: {0}")]
    Failed(String),
    #[error("espeak-ng was stopped")]
    Stopped,
}

/// A program that was found.
#[derive(Clone, Debug)]
pub struct Espeak {
    program: PathBuf,
    stopper: Stopper,
}

impl Espeak {
    /// Finds the program: the one that is named, else the one that is in `PATH`.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(named: Option<&Path>, stopper: Stopper) -> Result<Self, EspeakError> {
        let program = match named {
            Some(path) => Some(path.to_owned()).filter(|path| path.is_file()),
            None => env::split_paths(&env::var_os("PATH").unwrap_or_default())
                .map(|folder| folder.join(PROGRAM))
                .find(|path| path.is_file()),
        };
        Ok(Self {
            program: program.ok_or(EspeakError::Missing)?,
            stopper,
        })
    }

    /// How a text sounds, in the International Phonetic Alphabet: words parted by spaces, on
    /// one line. Punctuation is lost.
    ///
    /// # Errors
    /// When the program fails or is stopped.
    pub(super) fn phonemes(&self, text: &str, voice: &str) -> Result<String, EspeakError> {
        let ipa = self.run(&["-q", "--ipa", "-v", voice], text)?;
        let ipa = String::from_utf8_lossy(&ipa);
        let words: Vec<&str> = ipa.split_whitespace().collect();
        Ok(with_all_sounds(&without_switches(&words.join(" "))))
    }

    /// Says a text. Gives samples and how many of them are a second.
    ///
    /// # Errors
    /// When the program fails or is stopped, or writes no sound.
    pub(super) fn sound(&self, text: &str, voice: &str) -> Result<(Vec<f32>, u32), EspeakError> {
        let wav = self.run(&["--stdout", "-v", voice], text)?;
        samples(&wav).ok_or_else(|| EspeakError::Failed("it wrote no sound".into()))
    }

    /// Languages and dialects that it has a voice for, as it calls them: `de`, `en-us`.
    ///
    /// # Errors
    /// When the program fails.
    pub fn languages(&self) -> Result<Vec<String>, EspeakError> {
        let listing = self.run(&["--voices"], "")?;
        let listing = String::from_utf8_lossy(&listing);
        let second = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
        Ok(listing.lines().skip(1).filter_map(second).collect())
    }

    fn run(&self, arguments: &[&str], text: &str) -> Result<Vec<u8>, EspeakError> {
        if self.stopper.is_stopped() {
            return Err(EspeakError::Stopped);
        }
        let failed = |error| EspeakError::Run {
            program: self.program.clone(),
            error,
        };
        // Without a text of its own it would take one from arguments, where a dash is an option.
        let mut child = Command::new(&self.program)
            .args(arguments)
            .arg("--stdin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let mut input = child.stdin.take().expect("stdin is piped");
        let mut output = child.stdout.take().expect("stdout is piped");
        self.stopper.watch(child);
        // A clause is shorter than a pipe's buffer; who was killed does not read it.
        let _ = input.write_all(text.as_bytes());
        drop(input);
        let mut said = Vec::new();
        let read = output.read_to_end(&mut said);
        let status = match self.stopper.take() {
            Some(mut child) => child.wait(),
            None => return Err(EspeakError::Stopped),
        };
        if self.stopper.is_stopped() {
            return Err(EspeakError::Stopped);
        }
        read.map_err(failed)?;
        let status = status.map_err(failed)?;
        if !status.success() {
            return Err(EspeakError::Failed(status.to_string()));
        }
        Ok(said)
    }
}

/// Phonemes without the marks where another language begins and ends: `(en)ðiːz(de)`.
fn without_switches(phonemes: &str) -> String {
    let mut kept = String::new();
    let mut rest = phonemes;
    while let Some((before, behind)) = rest.split_once('(') {
        kept.push_str(before);
        rest = behind.split_once(')').map_or("", |(_, rest)| rest);
    }
    kept.push_str(rest);
    kept
}

/// Phonemes with the one for which espeak-ng 1.51 has no letters and writes `??`: the vowel of
/// "wurde", "kurz" and "durch". Its output has no question marks of its own.
fn with_all_sounds(phonemes: &str) -> String {
    phonemes.replace("??", "ʊɾ")
}

/// The samples of a WAV file of 16 bits, and their rate. The sizes in a header that was
/// written to a pipe say nothing.
fn samples(wav: &[u8]) -> Option<(Vec<f32>, u32)> {
    if wav.get(..4)? != b"RIFF" || wav.get(8..12)? != b"WAVE" {
        return None;
    }
    let rate = u32::from_le_bytes(wav.get(24..28)?.try_into().ok()?);
    if wav.get(20..24)? != [1, 0, 1, 0] || wav.get(34..36)? != [16, 0] || rate == 0 {
        return None;
    }
    let data = wav.windows(4).position(|name| name == b"data")? + 8;
    let samples = wav.get(data..)?.chunks_exact(2);
    let sample = |bytes: &[u8]| f32::from(i16::from_le_bytes([bytes[0], bytes[1]])) / 32_768.0;
    Some((samples.map(sample).collect(), rate))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[cfg(unix)]
    fn program(folder: &Path, script: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;

        let path = folder.join(PROGRAM);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn who_lacks_the_program_is_told_what_to_install() {
        let nowhere = Path::new("/nowhere/espeak-ng");
        let error = Espeak::find(Some(nowhere), Stopper::default()).unwrap_err();
        assert!(
            error.to_string().contains("apt install espeak-ng"),
            "{error}"
        );
    }

    #[test]
    fn marks_of_other_languages_are_no_sounds() {
        assert_eq!(
            without_switches("das (en)kəmpjˈuːtɚ(de) ɪst"),
            "das kəmpjˈuːtɚ ɪst"
        );
    }

    #[test]
    fn a_sound_without_letters_is_no_question() {
        assert_eq!(with_all_sounds("vˈ??də dˈ??ç"), "vˈʊɾdə dˈʊɾç");
    }

    #[test]
    #[cfg(unix)]
    fn who_is_stopped_stops_at_once_and_leaves_no_process() {
        let folder = tempfile::tempdir().unwrap();
        let started = folder.path().join("started");
        // `exec`, so that there is one process and no child of it that keeps the pipe.
        let script = format!(
            "echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000",
            started.display()
        );
        let stopper = Stopper::default();
        let path = program(folder.path(), &script);
        let espeak = Espeak::find(Some(&path), stopper.clone()).unwrap();
        let speaking = thread::spawn(move || espeak.sound("boo", "en"));
        while !started.exists() {
            thread::yield_now();
        }
        stopper.stop();
        let ended = speaking.join().unwrap();
        assert!(matches!(ended, Err(EspeakError::Stopped)), "{ended:?}");
        let process = std::fs::read_to_string(&started).unwrap();
        assert!(!Path::new("/proc").join(process.trim()).exists());
    }

    #[test]
    #[cfg(unix)]
    fn a_failure_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = program(folder.path(), "exit 3");
        let espeak = Espeak::find(Some(&path), Stopper::default()).unwrap();
        let error = espeak.sound("boo", "en").unwrap_err();
        assert!(error.to_string().contains('3'), "{error}");
    }

    #[test]
    fn a_wav_file_is_read_whatever_sizes_it_states() {
        let mut wav = b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
        wav.extend(22_050_u32.to_le_bytes());
        wav.extend(44_100_u32.to_le_bytes());
        wav.extend(b"\x02\0\x10\0data\xff\xff\xff\x7f\x00\x40\x00\xc0");
        assert_eq!(samples(&wav), Some((vec![0.5, -0.5], 22_050)));
        assert_eq!(samples(&wav[..30]), None);
        assert_eq!(samples(b"nothing"), None);
    }
}
