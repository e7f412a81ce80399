//! The speech process: what is said into it comes back as text, texts come back as sound, and
//! it may be killed at any instant.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use parlour::{
    config::{ModelSettings, SpeechSettings},
    generation::{
        launcher::{LauncherHandle, Patience},
        speech::{
            Heard, Listening, Speaking, SpeechError, Voiced,
            client::SpeechClient,
            launch::{self, SpeechOptions},
        },
    },
    wire::speech::{
        FromSpeech, Language, Listen, MAX_FRAME, MAX_TEXT, PROTOCOL, RequestId, Speak,
        SpeechRefusal, ToSpeech, Translate, VoicePrint, sound_frame,
    },
    worker::speech::deterministic::{RATE, spell},
};
use tokio::net::UnixStream;
use tokio_util::{
    bytes::Bytes,
    codec::{Framed, LengthDelimitedCodec},
};

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    models: ModelSettings,
    #[command(flatten)]
    speech: SpeechSettings,
}

fn launch(engine: &str) -> (SpeechClient, LauncherHandle) {
    let arguments = ["test", "--models", "nowhere", "--ear", engine];
    let settings = Settings::parse_from(arguments.into_iter().chain(["--voices", engine]));
    let mut options = SpeechOptions::new(settings.models, settings.speech);
    options.program = Some(PathBuf::from(env!("CARGO_BIN_EXE_parlour")));
    options.patience = Patience {
        probe_every: Duration::from_millis(50),
        probe: Duration::from_secs(2),
        backoff: Duration::from_millis(10),
        ..Patience::default()
    };
    launch::start(options).expect("it can start")
}

async fn up(client: &SpeechClient) {
    let mut ready = client.ready();
    let ready = ready.wait_for(|ready| *ready).await;
    ready.expect("the client lives");
}

fn signal(name: &str, pid: u32) {
    let status = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .stdin(Stdio::null())
        .status()
        .expect("kill runs");
    assert!(status.success());
}

fn language(code: &str) -> Language {
    Language(code.into())
}

fn all_languages() -> Listen {
    Listen {
        languages: ["en", "de", "ru"].map(language).into(),
        partials: true,
    }
}

fn say(text: &str) -> Speak {
    Speak {
        text: text.into(),
        language: language("en"),
        voice: None,
        like: None,
    }
}

async fn all_heard(mut listening: Listening) -> Vec<Result<Heard, SpeechError>> {
    let mut items = Vec::new();
    while let Some(item) = listening.next().await {
        items.push(item);
    }
    items
}

async fn transcript(client: &SpeechClient, text: &str) -> String {
    let (mut microphone, listening) = client.listen(all_languages()).expect("it listens");
    for frame in spell(text).chunks(800) {
        microphone.push(frame);
    }
    microphone.end();
    match all_heard(listening).await.pop() {
        Some(Ok(Heard::Transcript(transcript))) => transcript.text,
        other => panic!("{other:?}"),
    }
}

fn words(said: &[Result<Voiced, SpeechError>]) -> String {
    let words = said
        .iter()
        .flat_map(|voiced| voiced.as_ref().expect("a clause").clause.words.iter());
    let words: Vec<&str> = words.map(|word| word.text.as_str()).collect();
    words.join(" ")
}

const LONG: &str = "one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve.";

#[tokio::test]
async fn what_is_spelt_into_the_ear_comes_back_as_partials_and_a_transcript() {
    let (client, _handle) = launch("deterministic");
    up(&client).await;
    let (mut microphone, mut listening) = client.listen(all_languages()).expect("it listens");
    let text = "Wer bist du, und wohin gehst du, möchtest du es mir nicht sagen?";
    microphone.push(&spell(text));
    let partial = listening.next().await;
    assert_eq!(partial, Some(Ok(Heard::Partial(text.into()))));
    microphone.end();
    let items = all_heard(listening).await;
    let [Ok(Heard::Transcript(transcript))] = items.as_slice() else {
        panic!("{items:?}");
    };
    assert_eq!(transcript.text, text);
    assert_eq!(transcript.language, language("de"));
    assert!(transcript.print.is_some());
}

#[tokio::test]
async fn a_text_comes_back_clause_by_clause_each_with_all_its_sound() {
    let (client, _handle) = launch("deterministic");
    up(&client).await;
    let like = VoicePrint {
        pitch_hz: 180.0,
        range_semitones: 5.0,
        tempo: 4.0,
        tilt: -8.0,
        timbre: None,
    };
    let text = "I was here, once. And now?";
    let plain: Vec<_> = client.speak(say(text)).expect("asked").collect().await;
    assert_eq!(plain.len(), 3);
    assert_eq!(words(&plain), text);
    for voiced in plain.iter().flatten() {
        assert_eq!(voiced.sound.len(), voiced.clause.samples as usize);
    }
    let request = Speak {
        like: Some(like),
        ..say(text)
    };
    let alike: Vec<_> = client.speak(request).expect("asked").collect().await;
    assert_eq!(words(&alike), text);
    assert_ne!(plain, alike, "the print changes the voice");
    let voices = client.abilities().voices;
    assert!(voices.iter().all(|voice| voice.rate == RATE));
}

#[tokio::test]
async fn a_process_killed_mid_sentence_ends_everything_at_once_and_the_next_says_the_same() {
    let (client, handle) = launch("deterministic:20ms");
    up(&client).await;
    let whole: Vec<_> = client.speak(say(LONG)).expect("asked").collect().await;
    let first = handle.pid().expect("it runs");
    let mut speaking = client.speak(say(LONG)).expect("asked");
    let waiting = client.speak(say(LONG)).expect("asked");
    let (_microphone, listening) = client.listen(all_languages()).expect("it listens");
    assert!(matches!(speaking.next().await, Some(Ok(_))));
    signal("KILL", first);
    let rest: Vec<_> = speaking.collect().await;
    assert_eq!(rest.last(), Some(&Err(SpeechError::Lost)));
    assert_eq!(rest.iter().filter(|item| item.is_err()).count(), 1);
    let waited: Vec<_> = waiting.collect().await;
    assert_eq!(waited, [Err(SpeechError::Lost)]);
    assert_eq!(all_heard(listening).await, [Err(SpeechError::Lost)]);
    up(&client).await;
    assert_ne!(handle.pid(), Some(first));
    let again: Vec<_> = client.speak(say(LONG)).expect("asked").collect().await;
    assert_eq!(again, whole);
    handle.stop().await;
    assert_eq!(
        client.speak(say(LONG)).map(drop),
        Err(SpeechError::Lost),
        "nobody is there any more"
    );
}

#[tokio::test]
async fn a_hung_process_is_killed_and_replaced() {
    let (client, handle) = launch("deterministic:20ms");
    up(&client).await;
    let pid = handle.pid().expect("it runs");
    let mut speaking = client.speak(say(LONG)).expect("asked");
    assert!(matches!(speaking.next().await, Some(Ok(_))));
    signal("STOP", pid);
    let rest: Vec<_> = speaking.collect().await;
    assert_eq!(rest.last(), Some(&Err(SpeechError::Lost)));
    up(&client).await;
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(transcript(&client, "still there?").await, "still there?");
}

#[tokio::test]
async fn what_is_dropped_holds_nobody_up() {
    let (client, _handle) = launch("deterministic:20ms");
    up(&client).await;
    for _ in 0..100 {
        let mut speaking = loop {
            match client.speak(say(LONG)) {
                Ok(speaking) => break speaking,
                // The last words of those before are still due.
                Err(SpeechError::Refused(SpeechRefusal::Busy)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        };
        let first = speaking.next().await;
        assert!(matches!(first, Some(Ok(_))), "{first:?}");
    }
    for _ in 0..100 {
        let (mut microphone, _) = client.listen(all_languages()).expect("it listens");
        microphone.push(&spell("half a"));
        client.ping().await.expect("it lives");
    }
    assert_eq!(transcript(&client, "and now?").await, "and now?");
}

#[tokio::test]
async fn texts_beyond_the_queue_are_refused_at_the_door_and_the_others_said() {
    let (client, _handle) = launch("deterministic:20ms");
    up(&client).await;
    let asked: Vec<Speaking> = (0..40)
        .map(|_| client.speak(say("one.")).expect("asked"))
        .collect();
    let (mut said, mut refused) = (0, 0);
    for speaking in asked {
        let items: Vec<_> = speaking.collect().await;
        match items.as_slice() {
            [Ok(_)] => said += 1,
            [Err(SpeechError::Refused(SpeechRefusal::Busy))] => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(said >= 16, "{said} said, {refused} refused");
    assert!(refused > 0, "{said} said");
}

#[tokio::test]
async fn refusals_say_why() {
    let (client, _handle) = launch("deterministic");
    up(&client).await;
    let refusals = [
        (
            Speak {
                language: language("fi"),
                ..say("hei")
            },
            SpeechRefusal::NoVoice {
                language: "fi".into(),
            },
        ),
        (
            Speak {
                voice: Some("nobody".into()),
                ..say("hi")
            },
            SpeechRefusal::UnknownVoice {
                voice: "nobody".into(),
            },
        ),
    ];
    for (request, refusal) in refusals {
        let items: Vec<_> = client.speak(request).expect("asked").collect().await;
        assert_eq!(items, [Err(refusal.into())]);
    }
    let strange = Listen {
        languages: vec![language("fi")],
        partials: false,
    };
    let (_microphone, listening) = client.listen(strange).expect("asked");
    let refusal = SpeechRefusal::NoEar {
        language: "fi".into(),
    };
    assert_eq!(all_heard(listening).await, [Err(refusal.into())]);
    let request = Translate {
        text: "hallo".into(),
        from: language("de"),
        to: language("en"),
    };
    let refusal = SpeechRefusal::NoTranslation {
        from: "de".into(),
        to: "en".into(),
    };
    assert_eq!(client.translate(request).await, Err(refusal.into()));
    let long = client.speak(say(&"a".repeat(MAX_TEXT + 1))).map(drop);
    assert!(matches!(
        long,
        Err(SpeechError::Refused(SpeechRefusal::Malformed { .. }))
    ));
}

struct Process {
    child: Child,
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Process {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("s.sock");
        let child = Command::new(env!("CARGO_BIN_EXE_parlour"))
            .args(["speech", "--ear", "deterministic", "--voices"])
            .args(["deterministic", "--socket"])
            .arg(&socket)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        // The socket appears when the process is ready; nothing else tells.
        while UnixStream::connect(&socket).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self {
            child,
            socket,
            _folder: folder,
        }
    }

    async fn dial(&self) -> Framed<UnixStream, LengthDelimitedCodec> {
        let socket = UnixStream::connect(&self.socket).await.expect("it listens");
        let codec = LengthDelimitedCodec::builder()
            .max_frame_length(MAX_FRAME)
            .new_codec();
        Framed::new(socket, codec)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn frame(message: &ToSpeech) -> Bytes {
    serde_json::to_vec(message).expect("json").into()
}

#[tokio::test]
async fn garbage_costs_its_own_connection_alone() {
    let process = Process::start().await;
    let client = SpeechClient::new();
    let socket = UnixStream::connect(&process.socket)
        .await
        .expect("it listens");
    let _connection = client.attach(socket).await.expect("greeted");
    let hello = frame(&ToSpeech::Hello { protocol: PROTOCOL });
    let twice = frame(&ToSpeech::Listen {
        id: RequestId(1),
        request: all_languages(),
    });
    let mut odd = sound_frame(RequestId(1), &[1, 2]);
    odd.pop();
    let offences: [&[Bytes]; 6] = [
        &[Bytes::from_static(b"\x00\x01\x02")],
        &[frame(&ToSpeech::Hello {
            protocol: PROTOCOL + 1,
        })],
        &[hello.clone(), Bytes::from_static(b"{\"type\":\"dance\"}")],
        &[hello.clone(), hello.clone()],
        &[hello.clone(), odd.into()],
        &[hello.clone(), twice.clone(), twice],
    ];
    for offence in offences {
        let mut line = process.dial().await;
        for bytes in offence {
            line.send(bytes.clone()).await.expect("it is sent");
        }
        let mut greetings = 0;
        while let Some(Ok(answer)) = line.next().await {
            let answer: FromSpeech = serde_json::from_slice(&answer).expect("a message");
            assert!(matches!(answer, FromSpeech::Hello { .. }), "{answer:?}");
            greetings += 1;
        }
        assert!(greetings <= 1);
    }
    assert_eq!(transcript(&client, "unharmed").await, "unharmed");
}

#[tokio::test]
async fn sound_for_nobody_and_cancels_of_nothing_are_no_offence() {
    let process = Process::start().await;
    let mut line = process.dial().await;
    let hello = ToSpeech::Hello { protocol: PROTOCOL };
    line.send(frame(&hello)).await.expect("it is sent");
    let id = RequestId(9);
    line.send(Bytes::from(sound_frame(id, &[1; 100])))
        .await
        .expect("it is sent");
    for message in [
        ToSpeech::End { id },
        ToSpeech::Cancel { id },
        ToSpeech::Ping { nonce: 4 },
    ] {
        line.send(frame(&message)).await.expect("it is sent");
    }
    let greeting = line.next().await.expect("open").expect("a frame");
    assert_eq!(greeting[0], b'{');
    let pong = line.next().await.expect("open").expect("a frame");
    let pong: FromSpeech = serde_json::from_slice(&pong).expect("a message");
    assert_eq!(pong, FromSpeech::Pong { nonce: 4 });
}

#[tokio::test]
async fn the_process_ends_when_its_standard_input_closes() {
    let mut process = Process::start().await;
    drop(process.child.stdin.take());
    let status = tokio::task::spawn_blocking(move || process.child.wait())
        .await
        .expect("it is waited for");
    assert!(status.expect("it ended").success());
}

/// A process whose words a test writes.
async fn scripted(
    client: &SpeechClient,
) -> (
    parlour::generation::speech::client::Connection,
    Framed<UnixStream, LengthDelimitedCodec>,
) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let mut theirs = Framed::new(theirs, LengthDelimitedCodec::new());
    let hello = FromSpeech::Hello {
        protocol: PROTOCOL,
        version: String::new(),
        hears: Vec::new(),
        voices: Vec::new(),
        translates: Vec::new(),
        clones: false,
    };
    let hello = serde_json::to_vec(&hello).expect("json");
    theirs.send(Bytes::from(hello)).await.expect("it is sent");
    let connection = client.attach(ours).await.expect("greeted");
    (connection, theirs)
}

#[tokio::test]
async fn a_process_that_talks_nonsense_is_let_go_and_whoever_waits_is_told() {
    let clause = br#"{"type":"clause","id":1,"clause":{"words":[],"samples":2}}"#;
    let nonsense: [&[&[u8]]; 7] = [
        &[b"\xff\xfe"],
        &[br#"{"type":"hello","protocol":1,"version":"","hears":[],"voices":[],"translates":[]}"#],
        &[br#"{"type":"translated","id":1,"text":"x"}"#],
        // Sound before its clause, too much of it, and an end within a clause.
        &[b"\x01\0\0\0\0\0\0\0\x01\x05\x05"],
        &[clause, b"\x01\0\0\0\0\0\0\0\x01\x05\x05\x05\x05\x05\x05"],
        &[clause, br#"{"type":"spoken","id":1}"#],
        &[clause, clause],
    ];
    for frames in nonsense {
        let client = SpeechClient::new();
        let (mut connection, mut process) = scripted(&client).await;
        let speaking = client.speak(say("hello")).expect("asked");
        for bytes in frames {
            process
                .send(Bytes::copy_from_slice(bytes))
                .await
                .expect("it is sent");
        }
        let items: Vec<_> = speaking.collect().await;
        assert_eq!(items, [Err(SpeechError::Lost)], "{frames:?}");
        connection.lost().await;
        assert!(!*client.ready().borrow());
    }
}
