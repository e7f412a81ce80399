//! A question on its way: from the key that is pressed to the event in the log.

use super::*;
use crate::{
    generation::speech::Microphone,
    rooms::{
        medium::{Asked, Said},
        seeds::OsDice,
    },
    wire::sound::SoundFrame,
};

/// Longest gap in the sound that is filled with silence, samples: what came before and after
/// stays where it was.
const GAP: u32 = 16_000;

/// One question that is being listened to.
pub(crate) struct Ear {
    member: Member,
    utterance: u32,
    /// None once all was said.
    microphone: Option<Microphone>,
    /// Index of the sample that comes next.
    next: u32,
    /// From the camera.
    seed: Option<u32>,
    /// What is understood so far.
    pub(super) partial: String,
    /// Whether the log knows that somebody speaks.
    in_log: bool,
    #[expect(dead_code, reason = "held for its drop, which ends the listening")]
    task: AbortOnDropHandle<()>,
}

impl Ear {
    pub(super) fn is(&self, utterance: u32) -> bool {
        self.utterance == utterance
    }

    /// What is told of it.
    pub(super) fn told(&self) -> Option<(u32, &str)> {
        (!self.partial.is_empty()).then_some((self.utterance, self.partial.as_str()))
    }
}

/// Has the spirit be silent, and begins or ends to listen, before the rules know.
pub(super) fn before(
    room: &mut Room<Seance>,
    receipt: Receipt,
    gesture: Gesture,
    ctx: &mut Context<Room<Seance>>,
) -> Option<(Receipt, Gesture)> {
    let place = room.audience.place(receipt.socket).copied();
    let Some(Visitor(Some(member))) = place else {
        // The rules will say so.
        return Some((receipt, gesture));
    };
    let game = room.journal.game();
    if let Gesture::Listen { utterance, .. } = gesture {
        let command = Command::Listen { member, utterance };
        if let Err(refusal) = game.decide(command, now(), &mut OsDice) {
            // Said now: once the move has its turn the seat may be free, and nobody would have
            // begun to listen.
            receipt.refuse(Seance::code(&refusal), &refusal.to_string());
            return None;
        }
    }
    if !game.sits(member) {
        return match gesture {
            Gesture::Question { .. } | Gesture::Spoken { .. } => {
                receipt.refuse(RefusalCode::NotYours, "you do not sit");
                None
            }
            _ => Some((receipt, gesture)),
        };
    }
    match gesture {
        Gesture::Listen {
            utterance,
            languages,
        } => match begin(room, member, utterance, &languages, ctx) {
            Ok(ear) => {
                room.own.silence();
                room.own.ear = Some(ear);
                Some((
                    receipt,
                    Gesture::Listen {
                        utterance,
                        languages,
                    },
                ))
            }
            Err((code, why)) => {
                receipt.refuse(code, &why);
                None
            }
        },
        Gesture::Spoken { utterance, seed } => {
            let ear = room.own.ear.as_mut();
            match ear.filter(|ear| ear.is(utterance) && ear.member == member) {
                Some(ear) if ear.microphone.is_some() => {
                    ear.seed = seed;
                    if let Some(microphone) = ear.microphone.take() {
                        microphone.end();
                    }
                    receipt.accept();
                }
                _ => receipt.refuse(
                    RefusalCode::NotNow,
                    "nothing of that number is being listened to",
                ),
            }
            None
        }
        Gesture::Unspoken { utterance } => {
            if room.own.ear.as_ref().is_some_and(|ear| ear.is(utterance)) {
                room.own.ear = None;
            }
            Some((receipt, gesture))
        }
        Gesture::Question {
            text,
            language,
            seed,
        } => {
            let rite = room.house.rite.clone()?;
            room.own.silence();
            let language = language.unwrap_or_else(|| rite.own_language());
            let asked = Asked {
                member,
                text,
                language,
                inner: None,
                seed,
            };
            if rite.translates_question(&asked.language) {
                let room_address = ctx.address();
                actix::spawn(async move {
                    let asked = rite.take_in(asked).await;
                    room_address.do_send(FromMedium {
                        says: MediumSays::Question { receipt, asked },
                    });
                });
            } else {
                ask_typed(room, receipt, asked, ctx);
            }
            None
        }
        Gesture::Hush => {
            room.own.silence();
            Some((receipt, gesture))
        }
    }
}

fn begin(
    room: &Room<Seance>,
    member: Member,
    utterance: u32,
    languages: &[String],
    ctx: &Context<Room<Seance>>,
) -> Result<Ear, (RefusalCode, String)> {
    let rite = rite(room).ok_or((RefusalCode::NotNow, "no séance is held here".to_owned()))?;
    let (microphone, listening) = rite.listen(languages)?;
    let work = medium::hear_out(
        Arc::clone(rite),
        utterance,
        listening,
        ctx.address().recipient(),
    );
    Ok(Ear {
        member,
        utterance,
        microphone: Some(microphone),
        next: 0,
        seed: None,
        partial: String::new(),
        in_log: false,
        task: AbortOnDropHandle::new(actix::spawn(work)),
    })
}

/// Sound of the one who speaks; any other is of no use.
pub(super) fn hear(room: &mut Room<Seance>, member: Member, frame: &SoundFrame) {
    let ear = room.own.ear.as_mut();
    let Some(ear) = ear.filter(|ear| ear.is(frame.number) && ear.member == member) else {
        return;
    };
    let Some(microphone) = &mut ear.microphone else {
        return;
    };
    let gap = frame.from.saturating_sub(ear.next).min(GAP);
    let known = ear.next.saturating_sub(frame.from);
    let known = usize::try_from(known).unwrap_or(usize::MAX);
    let fresh = frame.samples.get(known..).unwrap_or_default();
    if fresh.is_empty() {
        return;
    }
    if gap > 0 {
        microphone.push(&vec![0; gap as usize]);
    }
    microphone.push(fresh);
    let count = u32::try_from(frame.samples.len()).unwrap_or(u32::MAX);
    ear.next = frame.from.saturating_add(count);
}

/// What was said is known.
pub(super) fn understood(
    room: &mut Room<Seance>,
    utterance: u32,
    said: Said,
    ctx: &mut Context<Room<Seance>>,
) {
    let Some(ear) = room.own.ear.take_if(|ear| ear.is(utterance)) else {
        return;
    };
    let member = ear.member;
    if let Some(print) = said.print {
        room.own.prints.insert(member, print);
    }
    // Empty is unheard, by the rules.
    let ask = Command::Ask {
        member,
        utterance: Some(utterance),
        text: said.text,
        language: said.language,
        inner: said.inner,
        seed: ear.seed,
    };
    room.act(Wanted::by_nobody(ask), ctx);
}

/// The ear could not do it.
pub(super) fn deaf(
    room: &mut Room<Seance>,
    utterance: u32,
    why: &str,
    ctx: &mut Context<Room<Seance>>,
) {
    let Some(ear) = room.own.ear.take_if(|ear| ear.is(utterance)) else {
        return;
    };
    tracing::warn!(why, "a question could not be listened to");
    let member = ear.member;
    let unheard = Command::Unheard { member, utterance };
    room.act(Wanted::by_nobody(unheard), ctx);
}

pub(super) fn ask_typed(
    room: &mut Room<Seance>,
    receipt: Receipt,
    asked: Asked,
    ctx: &mut Context<Room<Seance>>,
) {
    let command = Command::Ask {
        member: asked.member,
        utterance: None,
        text: asked.text,
        language: asked.language,
        inner: asked.inner,
        seed: asked.seed,
    };
    let from = Origin::Player(receipt);
    room.act(Wanted { command, from }, ctx);
}

/// Ends a listening that the rules have ended, or never allowed.
pub(super) fn settle(room: &mut Room<Seance>) {
    let listening = room.journal.game().listening();
    if let Some(ear) = &mut room.own.ear {
        let is_pending = |wanted: &Wanted<Seance>| match wanted.command {
            Command::Listen { utterance, .. } => ear.utterance == utterance,
            _ => false,
        };
        if listening == Some((ear.member, ear.utterance)) {
            ear.in_log = true;
        } else if ear.in_log || !room.waiting.iter().any(is_pending) {
            room.own.ear = None;
        }
    }
}
