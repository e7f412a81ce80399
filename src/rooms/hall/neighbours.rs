//! What the servers of a house tell each other: where a session was opened last, whose player
//! plays elsewhere now, and which tables each of them has.

use super::*;
use crate::{
    play::UnixMillis,
    rooms::{identity, messages::Abandoned},
    store::{
        AnyStore,
        neighbours::{Heard, Word},
    },
    wire::browser::TableCard,
};

/// How often a server listens, and at most tells.
const PACE: Duration = Duration::from_millis(500);

/// How long a list of tables is shown that is not told anew, and how often it is.
const SHOWN: Duration = Duration::from_secs(5);
const SHOW_AGAIN: Duration = Duration::from_secs(2);

/// What is known of the other servers, and what they know of this one.
#[derive(Default)]
pub(super) struct Street {
    heard: Heard,
    /// Whether the last listening failed: then that is not logged again.
    deaf: bool,
    /// The tables that the others were last told of, and when.
    told: Option<(u64, Instant)>,
}

/// A list of tables as it is told.
type List = Vec<(UnixMillis, TableCard)>;

/// One round of telling and listening.
struct Round {
    words: Vec<Word>,
    heard: Heard,
    lists: Vec<String>,
}

async fn round(
    store: &AnyStore,
    server: &str,
    heard: &Heard,
    list: Option<Option<String>>,
) -> Result<Option<Round>, StoreError> {
    let Some(neighbours) = store.neighbours() else {
        return Ok(None);
    };
    if let Some(list) = list {
        neighbours.list_tables(server, list, SHOWN).await?;
    }
    let (words, heard) = neighbours.words(server, heard).await?;
    let lists = neighbours.tables(server).await?;
    Ok(Some(Round {
        words,
        heard,
        lists,
    }))
}

impl Hall {
    /// Listens from now on, where there is anybody to listen to.
    pub(super) fn listen(&mut self, ctx: &mut Context<Self>) {
        if self.house.store.neighbours().is_some() {
            self.listen_once(ctx);
        }
    }

    fn listen_once(&mut self, ctx: &mut Context<Self>) {
        let store = self.house.store.clone();
        let server = Arc::clone(&self.house.tenure.server);
        let heard = self.street.heard.clone();
        let list = self.news();
        let work = async move { round(&store, &server, &heard, list).await };
        ctx.spawn(work.into_actor(self).map(|round, this, ctx| {
            match round {
                Ok(round) => {
                    this.street.deaf = false;
                    if let Some(round) = round {
                        this.hear(round, ctx);
                    }
                }
                Err(error) => {
                    // Whether they know the list is not known.
                    this.street.told = None;
                    if !std::mem::replace(&mut this.street.deaf, true) {
                        tracing::warn!(%error, "the other servers cannot be heard");
                    }
                }
            }
            ctx.run_later(PACE, |this, ctx| this.listen_once(ctx));
        }));
    }

    /// The list of this server's tables, if the others are to be told of it: outside none if
    /// not, inside none if it is empty.
    fn news(&mut self) -> Option<Option<String>> {
        let own = self.lobby.own_version();
        let due = self
            .street
            .told
            .is_none_or(|(known, since)| known != own || since.elapsed() >= SHOW_AGAIN);
        if !due {
            return None;
        }
        self.street.told = Some((own, Instant::now()));
        let list: List = self.lobby.own();
        let list = (!list.is_empty()).then(|| {
            serde_json::to_string(&list).expect("cards have no maps whose keys are not texts")
        });
        Some(list)
    }

    fn hear(&mut self, round: Round, ctx: &mut Context<Self>) {
        self.street.heard = round.heard;
        for word in round.words {
            match word {
                Word::Elsewhere { session, number } => self.opened_elsewhere(session, number),
                Word::Abandoned { room } => self.abandoned(&room),
            }
        }
        let lists = round.lists.iter();
        // A list in the words of another version is one that cannot be shown here.
        let lists = lists.filter_map(|list| serde_json::from_str::<List>(list).ok());
        self.list_others(lists.flatten().collect(), ctx);
    }

    /// The newer socket has the seat, wherever it is.
    fn opened_elsewhere(&mut self, session: String, number: u64) {
        let socket = self.seats.get(&SessionKey(session)).copied();
        let visitor = socket.and_then(|socket| self.visitors.get(&socket));
        if let Some(visitor) = visitor.filter(|visitor| visitor.arrival < number) {
            let socket = visitor.guest.socket;
            self.show_out(socket);
        }
    }

    /// Tells whoever holds the socket that the session was opened elsewhere.
    pub(super) fn show_out(&mut self, socket: SocketId) {
        if let Some(visitor) = self.visitors.get(&socket) {
            let bye = ToSession::Bye {
                bye: Bye::Elsewhere,
                why: "this session was opened elsewhere",
            };
            tell(&visitor.guest, bye);
        }
        self.sign_out(socket);
    }

    fn abandoned(&self, room: &str) {
        if let Some(AnyRoom::Game(room)) = self.rooms.get(room).map(|standing| &standing.room) {
            room.do_send(Abandoned);
        }
    }

    /// A session goes to another room: the game that it leaves unfinished stops, wherever it is.
    pub(super) fn leave_behind(&mut self, socket: SocketId, ctx: &mut Context<Self>) {
        let Some(visitor) = self.visitors.get(&socket) else {
            return;
        };
        let (seated, key) = (visitor.seated, visitor.guest.key.clone());
        let room = visitor.room.clone();
        self.get_up(socket, true);
        // Whoever leaves a table keeps the place: its rules know what becomes of an empty chair.
        let Some(room) = room.filter(|room| !seated && !identity::is_table(room)) else {
            return;
        };
        if self.rooms.contains_key(&room) {
            self.abandoned(&room);
            return;
        }
        let store = self.house.store.clone();
        let server = Arc::clone(&self.house.tenure.server);
        let work = async move {
            let Some(neighbours) = store.neighbours() else {
                return Ok::<_, StoreError>(None);
            };
            let player = match rooms::player_of(&store, &room).await {
                Err(StoreError::NoSuchRoom(_)) => return Ok(None),
                player => player?,
            };
            if player != Some(key.0) || !rooms::is_open(&store, &room).await? {
                return Ok(None);
            }
            match store.holder(&room).await? {
                Some(held) if *held.owner != *server => {
                    let word = Word::Abandoned { room };
                    neighbours.tell(&held.owner, &word).await?;
                    Ok(None)
                }
                _ => Ok(Some(room)),
            }
        };
        ctx.spawn(work.into_actor(self).map(|room, this, ctx| match room {
            Ok(None) => {}
            Ok(Some(room)) => {
                if !this.rooms.contains_key(&room) {
                    this.load_room(room.clone(), None, ctx);
                }
                this.abandoned(&room);
            }
            Err(error) => {
                // Its idle limit ends it.
                tracing::warn!(%error, "a game that was left could not be stopped");
            }
        }));
    }
}
