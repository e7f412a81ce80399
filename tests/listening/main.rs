//! What the ear understands of recorded speech, and its laws, on the real models.
//!
//! `PARLOUR_LISTEN_ALL=1` listens to every prompt that the packages hold rather than to a
//! handful, and tells each mistake (`cargo test --test listening -- --nocapture`).

mod clips;
mod g722;
mod score;

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use clap::Parser;
use parlour::{
    config::ModelSettings,
    models,
    wire::speech::{Language, Listen, Transcript},
    worker::speech::ear::{Activity, Ear, EarError, Hearing},
};

use clips::{Clip, all, prompts, read_english};
use score::Score;

/// Prompts of each language that every run listens to.
const HANDFUL: usize = 20;
/// Samples of 60 ms, as a browser sends them.
const PIECE: usize = 960;

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    models: ModelSettings,
}

fn ear() -> &'static Ear {
    static EAR: OnceLock<Ear> = OnceLock::new();
    EAR.get_or_init(|| {
        let settings = Settings::parse_from(["test"]).models;
        let files = models::fetch_ear("whisper-base", &settings).unwrap();
        Ear::open(&files, 2).unwrap()
    })
}

fn languages(codes: &[&str]) -> Vec<Language> {
    codes.iter().map(|code| Language((*code).into())).collect()
}

fn hearing(codes: &[&str]) -> Hearing {
    let request = Listen {
        languages: languages(codes),
        partials: true,
    };
    ear().listen(request).unwrap()
}

/// What is understood of a sound that comes as a browser sends it, and how long it took
/// after its end.
fn listen(sound: &[i16], codes: &[&str]) -> (Transcript, Duration) {
    let mut hearing = hearing(codes);
    for piece in sound.chunks(PIECE) {
        hearing.push(piece).unwrap();
    }
    let end = Instant::now();
    (hearing.finish().unwrap(), end.elapsed())
}

/// What came of several clips.
struct Outcome {
    score: Score,
    /// Clips whose language was found among English, German and Russian.
    right: usize,
}

/// Listens to clips, and tells how it went.
fn measure(set: &str, clips: &[Clip]) -> Outcome {
    let (mut score, mut right) = (Score::default(), 0);
    let (mut waits, mut sound) = (Vec::new(), 0.0);
    for clip in clips {
        let (heard, wait) = listen(&clip.sound, &["en", "de", "ru"]);
        let of_clip = Score::of(&clip.said, &heard.text);
        if of_clip.mistakes > 0 {
            println!(
                "{}: {} mistakes\n  said  {}\n  heard {}",
                clip.name, of_clip.mistakes, clip.said, heard.text
            );
        }
        score += of_clip;
        right += usize::from(heard.language.0 == clip.language);
        waits.push(wait.as_secs_f32());
        sound += clip.sound.len() as f32 / 16_000.0;
    }
    waits.sort_by(f32::total_cmp);
    println!(
        "{set}: {} clips, {} words, {:.1} % mistakes ({:.1} % as written), {right} languages \
         right; end of speech to transcript p50 {:.2} s, p95 {:.2} s, real-time factor {:.3}",
        clips.len(),
        score.words,
        score.rate(),
        score.rate_as_written(),
        waits[waits.len() / 2],
        waits[waits.len() * 95 / 100],
        waits.iter().sum::<f32>() / sound,
    );
    Outcome { score, right }
}

impl Outcome {
    /// Percent of mistakes that are allowed, and nearly all languages right. Few words may have
    /// two mistakes more: kernels of 8 bits round otherwise on other processors.
    fn check(&self, clips: usize, allowed: f32) {
        let slack = if all() {
            0.0
        } else {
            200.0 / self.score.words as f32
        };
        let rate = self.score.rate();
        assert!(rate <= allowed + slack, "{rate:.1} %");
        assert!(self.right * 10 >= clips * 9, "{} of {clips}", self.right);
    }
}

/// A handful from all over the set, or the whole.
fn some(mut clips: Vec<Clip>) -> Vec<Clip> {
    if !all() {
        let step = clips.len() / HANDFUL;
        let mut at = 0;
        clips.retain(|_| {
            at += 1;
            at % step == 0
        });
    }
    clips
}

// Three mistakes in 91 words, which the model makes with 32-bit weights as well: half of a
// word, and two clubs. One more is a change for the worse.
#[test]
fn read_english_is_understood() {
    let clips = read_english();
    measure("read English", &clips).check(clips.len(), 4.0);
}

// The same goal for the handful as for the whole set.
#[test]
fn english_prompts_are_understood() {
    let clips = some(prompts("en"));
    measure("English prompts", &clips).check(clips.len(), 3.0);
}

#[test]
fn russian_prompts_are_understood() {
    let clips = some(prompts("ru"));
    measure("Russian prompts", &clips).check(clips.len(), 13.0);
}

/// A sentence of three seconds.
fn sentence() -> Clip {
    let mut clips = read_english();
    clips.swap_remove(4)
}

#[test]
fn how_a_sound_is_cut_up_changes_nothing() {
    let clip = sentence();
    let (pieces, _) = listen(&clip.sound, &["en"]);
    let mut whole = hearing(&["en"]);
    whole.push(&clip.sound).unwrap();
    let whole = whole.finish().unwrap();
    assert_eq!(pieces, whole);
    assert_eq!(pieces.certainty, 1.0);
    let milliseconds = clip.sound.len() as u32 / 16;
    assert!(pieces.duration_ms.abs_diff(milliseconds) <= 1);
}

#[test]
fn silence_and_noise_say_nothing() {
    let mut state = 1_u32;
    let noise: Vec<i16> = (0..48_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 22) as i16 - 512
        })
        .collect();
    for sound in [vec![], vec![0; 48_000], noise] {
        let (heard, _) = listen(&sound, &["de", "en"]);
        assert_eq!((heard.text.as_str(), heard.print), ("", None));
        assert_eq!(heard.certainty, 0.0);
    }
}

#[test]
fn silence_around_a_sentence_changes_no_word() {
    let clip = sentence();
    let (plain, _) = listen(&clip.sound, &["en"]);
    let around = [&vec![0; 40_000][..], &clip.sound, &vec![0; 60_000]].concat();
    let (padded, _) = listen(&around, &["en"]);
    assert_eq!(score::words(&plain.text), score::words(&padded.text));
}

#[test]
fn partial_transcripts_lead_to_the_transcript() {
    let clip = read_english().swap_remove(0);
    let mut hearing = hearing(&["en", "de"]);
    let mut partials = Vec::new();
    for (number, piece) in clip.sound.chunks(PIECE).enumerate() {
        hearing.push(piece).unwrap();
        if number % 16 == 15 {
            partials.extend(hearing.partial().unwrap());
        }
    }
    let transcript = hearing.finish().unwrap();
    assert!(partials.len() > 3, "{partials:?}");
    let first = score::words(&partials[0]);
    assert!(first.len() < score::words(&transcript.text).len());
    assert_eq!(
        Score::of(&clip.said, &transcript.text).mistakes,
        0,
        "{}",
        transcript.text
    );
}

#[test]
fn what_was_understood_in_a_pause_is_not_understood_again() {
    let clip = sentence();
    let mut hearing = hearing(&["en"]);
    hearing.push(&clip.sound).unwrap();
    hearing.push(&[0; 16_000]).unwrap();
    assert_eq!(hearing.activity(), Activity::Paused);
    let partial = hearing.partial().unwrap().unwrap();
    assert_eq!(hearing.partial().unwrap(), None);
    // Whatever had to be computed now would be given up.
    hearing.canceller().cancel();
    let transcript = hearing.finish().unwrap();
    assert_eq!(score::words(&partial), score::words(&transcript.text));
}

#[test]
fn a_cancelled_hearing_gives_up() {
    let mut hearing = hearing(&["en"]);
    hearing.push(&sentence().sound).unwrap();
    hearing.canceller().cancel();
    assert!(matches!(hearing.finish(), Err(EarError::Cancelled)));
}

#[test]
fn a_language_that_the_ear_does_not_know_is_refused() {
    let ask = |codes: &[&str]| {
        ear().listen(Listen {
            languages: languages(codes),
            partials: false,
        })
    };
    assert!(matches!(ask(&["en", "xx"]), Err(EarError::Language(code)) if code.0 == "xx"));
    assert!(matches!(ask(&[]), Err(EarError::NoLanguage)));
    assert!(ear().languages().len() > 10);
}

#[test]
fn nobody_is_listened_to_for_longer_than_thirty_seconds() {
    let mut hearing = hearing(&["en"]);
    for _ in 0..40 {
        hearing.push(&[0; 16_000]).unwrap();
    }
    assert_eq!(hearing.finish().unwrap().duration_ms, 30_000);
}

#[test]
fn a_recorded_voice_has_a_print_like_a_voice() {
    for clip in [&read_english()[0], &prompts("en")[0]] {
        let print = listen(&clip.sound, &["en"]).0.print.unwrap();
        println!("{}: {print:?}", clip.name);
        assert!((75.0..300.0).contains(&print.pitch_hz), "{print:?}");
        assert!((2.0..8.0).contains(&print.tempo), "{print:?}");
        assert!((-20.0..-2.0).contains(&print.tilt), "{print:?}");
        assert!((1.0..24.0).contains(&print.range_semitones), "{print:?}");
    }
}
