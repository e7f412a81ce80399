//! The room of the house's séance: one spirit, whoever sits, whoever waits, whoever watches.
//!
//! What is said and heard is decided by the rules; this room has it made, listened to and
//! voiced. Nothing but words is kept: how somebody's voice sounds is known while they sit.

mod keeping;
mod listening;
mod people;
mod voicing;

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::{AsyncContext, Context, Handler, Recipient};
use tokio_util::task::AbortOnDropHandle;

use super::{Arrival, Origin, Room, Stage, Wanted, now};
use crate::{
    play::{
        UnixMillis,
        seance::{Command, Effect, Event, Member, Seance, Setup, Viewer},
    },
    rooms::{
        asides::Asides,
        cursor::Present,
        medium::{self, Flow, LineBrief, Rite},
        messages::{
            FromMedium, FromSitter, Gesture, Guest, Join, Made, MediumSays, Move, Stream, TurnId,
        },
        play::{Play, Visitor},
        receipt::Receipt,
        turns::Turns,
    },
    wire::{
        browser::{Bye, Line, RefusalCode, SeanceDoing, ToClient},
        speech::VoicePrint,
    },
};
use keeping::Keeping;
use listening::Ear;
use voicing::Voicing;

/// Whoever is gone this long is away: a page that is loaded again is not.
const AWAY: Duration = Duration::from_secs(15);

const ONLY_WATCHES: (RefusalCode, &str) = (
    RefusalCode::NotYours,
    "you only watch; enter with sit to ask",
);

/// What a séance starts from.
pub(crate) struct NewSeance {
    pub(crate) setup: Setup,
}

/// What the room keeps besides the log.
#[derive(Default)]
pub(crate) struct Own {
    nobody: Present,
    /// The lines that are being made.
    making: HashMap<u32, AbortOnDropHandle<()>>,
    ear: Option<Ear>,
    /// The answer that is said while it is written.
    flow: Flow,
    voicing: Voicing,
    asides: Asides,
    /// How those speak who sit. In memory alone, and no longer than they sit.
    prints: HashMap<Member, VoicePrint>,
    /// How far a line was heard, until the log takes it.
    heard: Option<(Option<Member>, u32, u32)>,
    /// Whether it is noticed when the speech process comes and goes.
    following_speech: bool,
    keeping: Keeping,
}

impl Own {
    /// What sounds and what is being written is over.
    fn silence(&mut self) {
        self.voicing.silence();
        self.flow.stop();
    }
}

impl Stage for Seance {
    type Opening = NewSeance;
    type Own = Own;

    const STAYS: bool = false;

    fn opening(_: &Guest, NewSeance { setup }: NewSeance) -> Command {
        Command::Open { setup }
    }

    fn arrive(
        room: &mut Room<Self>,
        joins: Vec<Join>,
        ctx: &mut Context<Room<Self>>,
    ) -> Arrival<Self> {
        follow_speech(room, ctx);
        people::arrive(room, joins, ctx)
    }

    fn left(room: &mut Room<Self>, place: &Visitor, for_good: bool, ctx: &mut Context<Room<Self>>) {
        if let Some(member) = place.0 {
            people::gone(room, member, for_good, ctx);
        }
    }

    fn before(
        room: &mut Room<Self>,
        receipt: Receipt,
        what: Move,
        ctx: &mut Context<Room<Self>>,
    ) -> Option<(Receipt, Move)> {
        let Move::Seance(gesture) = what else {
            return Some((receipt, what));
        };
        listening::before(room, receipt, gesture, ctx)
            .map(|(receipt, gesture)| (receipt, Move::Seance(gesture)))
    }

    fn sounds(ctx: &Context<Room<Self>>) -> Option<Recipient<FromSitter>> {
        Some(ctx.address().recipient())
    }

    fn apart(room: &Room<Self>) -> Box<dyn Fn(Viewer) -> Vec<ToClient> + '_> {
        people::apart(room)
    }

    fn asides(room: &Room<Self>) -> Option<&Asides> {
        Some(&room.own.asides)
    }

    fn understand(place: &Visitor, what: Move) -> Result<Command, (RefusalCode, &'static str)> {
        let member = place.0.ok_or(ONLY_WATCHES)?;
        match what {
            Move::Seance(Gesture::Listen { utterance, .. }) => {
                Ok(Command::Listen { member, utterance })
            }
            Move::Seance(Gesture::Unspoken { utterance }) => {
                Ok(Command::Unheard { member, utterance })
            }
            Move::Seance(Gesture::Hush) => Ok(Command::Hush { member }),
            _ => Err((RefusalCode::NotNow, "that is nothing one does at a séance")),
        }
    }

    fn ask(room: &mut Room<Self>, turn: TurnId, attempt: u32, ctx: &mut Context<Room<Self>>) {
        let (Some(rite), Some(brief)) = (room.house.rite.clone(), brief(room, turn)) else {
            return;
        };
        let report = ctx.address().recipient();
        let work = medium::conjure(rite, brief, report, turn, attempt, room.own.flow.clone());
        let task = AbortOnDropHandle::new(actix::spawn(work));
        room.own.making.insert(turn.round, task);
    }

    fn let_go(room: &mut Room<Self>, turn: TurnId) {
        room.own.making.remove(&turn.round);
    }

    fn command(turn: TurnId, made: Made) -> Command {
        match made {
            Made::Line(said) => Command::Say {
                line: turn.round,
                text: said.text,
                language: said.language,
                inner: said.inner,
                tongue: said.tongue,
            },
            // Nobody asks for one here.
            Made::Question(_) | Made::Answer(_) | Made::Verdict(_) | Made::Opinion(_) => {
                Command::GiveUp
            }
        }
    }

    fn holds(&self, _: TurnId, _: UnixMillis) -> bool {
        false
    }

    fn shows(&self, _: Line) -> bool {
        // What is said is told when it is stored, and captioned when it sounds.
        false
    }

    fn doing_now(&self, turns: &Turns) -> Box<dyn Fn(Viewer) -> SeanceDoing + '_> {
        let doing = doing(self, turns);
        Box::new(move |_| doing)
    }

    fn present(room: &Room<Self>) -> &Present {
        &room.own.nobody
    }

    fn changed(room: &mut Room<Self>, ctx: &mut Context<Room<Self>>) {
        listening::settle(room);
        voicing::settle(room, ctx);
        people::settle(room);
        if let Some((by, line, words)) = room.own.heard.take() {
            let heard = Command::Heard { by, line, words };
            // Before whatever silences: the client said it before.
            room.waiting.push_front(Wanted::by_nobody(heard));
        }
    }

    fn told(room: &mut Room<Self>, ctx: &mut Context<Room<Self>>) {
        if !makes_room(room) {
            keeping::settle(room, ctx);
            return;
        }
        for socket in room.audience.sockets(|_| true) {
            let why = "the séance begins anew";
            room.audience.dismiss(socket, Bye::Moved, why);
        }
        ctx.run_later(Duration::ZERO, |room, ctx| room.look_round(ctx));
    }

    fn took_in(_: &Room<Self>, _: &[Event]) {}

    fn read_back(room: &mut Room<Self>, ctx: &mut Context<Room<Self>>) {
        follow_speech(room, ctx);
        people::expect(room, ctx);
    }

    fn is_done(room: &Room<Self>) -> bool {
        room.audience.is_empty() && makes_room(room)
    }
}

/// Whether the log is worn, nobody needs it and nothing is said.
fn makes_room(room: &Room<Seance>) -> bool {
    let game = room.journal.game();
    keeping::is_worn(&room.journal, now())
        && room.arriving.is_empty()
        && room.waiting.is_empty()
        && game.sitters().next().is_none()
        && game.waiting().next().is_none()
        && !game
            .effects()
            .iter()
            .any(|effect| matches!(effect, Effect::Speak { .. } | Effect::Voice { .. }))
}

fn doing(game: &Seance, turns: &Turns) -> SeanceDoing {
    let effects = game.effects();
    let speaks = effects
        .iter()
        .any(|effect| matches!(effect, Effect::Voice { .. }));
    let makes = effects.iter().find_map(|effect| Play::turn(game, effect));
    if !game.is_open() {
        SeanceDoing::Over
    } else if game.listening().is_some() {
        SeanceDoing::Listening
    } else if speaks {
        SeanceDoing::Speaking
    } else if let Some(turn) = makes {
        let is_answer = effects
            .iter()
            .any(|effect| matches!(effect, Effect::Speak { part: 0, .. }));
        if turns.is_away(turn.purpose) {
            SeanceDoing::WaitsForModel
        } else if is_answer {
            SeanceDoing::Thinking
        } else {
            SeanceDoing::Speaking
        }
    } else {
        SeanceDoing::Quiet
    }
}

/// What the medium must know of the line that is due.
fn brief(room: &Room<Seance>, turn: TurnId) -> Option<LineBrief> {
    let game = room.journal.game();
    let part = game.effects().into_iter().find_map(|effect| match effect {
        Effect::Speak { line, part, .. } if line == turn.round => Some(part),
        _ => None,
    })?;
    Some(LineBrief {
        room: room.journal.room().to_owned(),
        memory: game.memory().to_vec(),
        part,
        line: turn.round,
    })
}

/// Tells everybody when the speech process comes and goes.
fn follow_speech(room: &mut Room<Seance>, ctx: &mut Context<Room<Seance>>) {
    if std::mem::replace(&mut room.own.following_speech, true) {
        return;
    }
    let Some(mut ready) = speech_of(room).map(|speech| speech.ready()) else {
        return;
    };
    let address = ctx.address();
    let follow = async move {
        while ready.changed().await.is_ok() && address.connected() {
            address.do_send(FromMedium {
                says: MediumSays::MeansChanged,
            });
        }
    };
    use actix::WrapFuture as _;
    ctx.spawn(follow.into_actor(room));
}

fn rite(room: &Room<Seance>) -> Option<&Arc<Rite>> {
    room.house.rite.as_ref()
}

fn speech_of(room: &Room<Seance>) -> Option<&crate::generation::speech::client::SpeechClient> {
    rite(room)?.speech.as_ref()
}

impl Handler<FromSitter> for Room<Seance> {
    type Result = ();

    fn handle(&mut self, message: FromSitter, ctx: &mut Self::Context) {
        let place = self.audience.place(message.socket);
        let Some(Visitor(Some(member))) = place.copied() else {
            return;
        };
        match message.what {
            Stream::Sound(frame) => listening::hear(self, member, &frame),
            Stream::Heard { line, words } => {
                let words = self.own.voicing.told(line, words);
                let known = self
                    .own
                    .heard
                    .map_or((0, 0), |(_, line, words)| (line, words));
                // Only who sits counts, and nobody takes back what was heard.
                if words > 0 && self.journal.game().sits(member) && known < (line, words) {
                    self.own.heard = Some((Some(member), line, words));
                    self.look_round(ctx);
                }
            }
        }
    }
}

impl Handler<FromMedium> for Room<Seance> {
    type Result = ();

    fn handle(&mut self, message: FromMedium, ctx: &mut Self::Context) {
        match message.says {
            MediumSays::MeansChanged => self.show(ctx),
            MediumSays::Hearing { utterance, text } => {
                if let Some(ear) = self.own.ear.as_mut().filter(|ear| ear.is(utterance)) {
                    ear.partial = text;
                    self.show(ctx);
                }
            }
            MediumSays::Understood { utterance, said } => {
                listening::understood(self, utterance, said, ctx);
            }
            MediumSays::Deaf { utterance, why } => listening::deaf(self, utterance, &why, ctx),
            MediumSays::Question { receipt, asked } => {
                listening::ask_typed(self, receipt, asked, ctx);
            }
            MediumSays::Voice { line, says } => voicing::hear(self, line, says, ctx),
        }
    }
}
