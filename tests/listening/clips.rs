//! Recorded speech with its words, out of the packages that `tools/speech-data` fetches.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use flate2::read::GzDecoder;

use crate::g722;

/// Words that a prompt of the whole set has at least: one word alone is heard without what
/// people understand one by.
const LEAST_WORDS: usize = 6;
/// What a text has that is not said as it is written: remarks, keys of a telephone, paths.
const REMARKS: [char; 8] = ['[', '<', '(', '#', '*', '/', '"', '%'];
/// What the texts misspell, and what is meant.
const MISSPELT: [(&str, &str); 7] = [
    ("umute", "unmute"),
    ("represenatives", "representatives"),
    ("un-indentified", "unidentified"),
    ("witheld", "withheld"),
    ("что бы", "чтобы"),
    ("завршить", "завершить"),
    ("увеличиения", "увеличения"),
];
/// A reader's slip of the tongue, and what was meant. Whisper learnt from texts that leave
/// such slips out, and NIST's rules for scoring make them optional.
const SLIP: (&str, &str) = ("a more a amiable", "a more amiable");
/// Samples of the longest sound that is listened to.
const LONGEST: usize = 30 * 16_000;

/// A recording and what is said in it.
pub struct Clip {
    pub name: String,
    /// ISO 639-1.
    pub language: &'static str,
    /// 16 kHz.
    pub sound: Vec<i16>,
    pub said: String,
}

/// Where recordings are; fetched if need be.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/speech-data");
        let done = Command::new(tool).output().unwrap();
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "tools/speech-data: {told}");
        let path = String::from_utf8(done.stdout).unwrap();
        PathBuf::from(path.trim())
    })
}

/// Whether everything there is is asked for, which takes minutes.
pub fn all() -> bool {
    env::var_os("PARLOUR_LISTEN_ALL").is_some()
}

/// Read English: sentences of a novel (LibriVox), and playing cards. 91 words.
pub fn read_english() -> Vec<Clip> {
    let data = folder().join("usr/share/pocketsphinx/test/data");
    let mut clips = Vec::new();
    for (set, transcription) in [
        ("librivox", "transcription"),
        ("cards", "cards.transcription"),
    ] {
        let text = fs::read_to_string(data.join(set).join(transcription)).unwrap();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            // `<s> the words </s> (the file)`
            let (said, name) = line.rsplit_once('(').unwrap();
            let name = name.trim_end().trim_end_matches(')');
            let wav = fs::read(data.join(set).join(format!("{name}.wav"))).unwrap();
            clips.push(Clip {
                name: name.to_owned(),
                language: "en",
                sound: pcm_of(&wav),
                said: said
                    .replace("<s>", "")
                    .replace("</s>", "")
                    .replace(SLIP.0, SLIP.1),
            });
        }
    }
    clips
}

/// Prompts of a telephone exchange, in the order of their names.
pub fn prompts(language: &'static str) -> Vec<Clip> {
    let voice = match language {
        "en" => "en_US_f_Allison",
        _ => "ru_RU_f_IvrvoiceRU",
    };
    let share = folder().join("usr/share");
    let sounds = share.join("asterisk/sounds").join(voice);
    let text = format!("doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz");
    let text = fs::File::open(share.join(text)).unwrap();
    let text = std::io::read_to_string(GzDecoder::new(text)).unwrap();
    let mut clips = Vec::new();
    for line in text.lines() {
        let Some((name, said)) = line.split_once(": ") else {
            continue;
        };
        let odd = line.starts_with(';') || said.contains(REMARKS) || said.contains(name);
        let short = said.split_whitespace().count() < LEAST_WORDS;
        let path = sounds.join(format!("{name}.g722"));
        if odd || short || !path.is_file() {
            continue;
        }
        let sound = g722::decode(&fs::read(path).unwrap());
        if sound.len() > LONGEST {
            continue;
        }
        clips.push(Clip {
            name: name.to_owned(),
            language,
            sound,
            said: MISSPELT
                .iter()
                .fold(said.to_lowercase(), |text, (wrong, right)| {
                    text.replace(wrong, right)
                }),
        });
    }
    clips
}

/// The samples of a WAV file of 16 bits.
fn pcm_of(wav: &[u8]) -> Vec<i16> {
    let mut rest = &wav[12..];
    while rest.len() >= 8 {
        let size = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        let body = &rest[8..rest.len().min(8 + size)];
        match &rest[..4] {
            b"fmt " => {
                let rate = u32::from_le_bytes(body[4..8].try_into().unwrap());
                assert_eq!((rate, &body[..4]), (16_000, &[1, 0, 1, 0][..]));
            }
            b"data" => {
                let pair = |it: &[u8]| i16::from_le_bytes([it[0], it[1]]);
                return body.chunks_exact(2).map(pair).collect();
            }
            _ => {}
        }
        rest = &rest[(8 + size.next_multiple_of(2)).min(rest.len())..];
    }
    panic!("a WAV file without sound");
}
