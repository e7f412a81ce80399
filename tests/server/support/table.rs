//! People at a table: each has a client that believes the protocol and nothing else.

use parlour::{
    play::{
        imitation::{Kind, Mode},
        party::{Act, Bench, Event, Machine, Role, Setup, Vacancy},
    },
    wire::browser::{FromClient, Held, RefusalCode, ToClient},
};

use super::{client::Client, house::House, known::Known};

/// Three people and two machines, one of them ELIZA.
pub fn setup(bench: Bench, mode: Mode) -> Setup {
    Setup {
        kind: Kind::Direct,
        mode,
        bench,
        people: 3,
        machines: vec![Machine::Model, Machine::Eliza],
        rounds: 2,
        seconds: 600,
        vacancy: Vacancy::Machine,
        listed: true,
        open_to_spectators: true,
        line_limit: 300,
    }
}

/// Somebody at a table, with a socket.
pub struct Guest {
    pub client: Client,
    pub known: Known,
}

impl Guest {
    /// Opens a table.
    pub async fn host(house: &House, setup: &Setup, role: Role, name: &str) -> Self {
        Self::host_at(&house.socket(), setup, role, name).await
    }

    /// Opens a table through this URL.
    pub async fn host_at(url: &str, setup: &Setup, role: Role, name: &str) -> Self {
        let mut client = Client::enter_at(url, None).await;
        let id = client.id();
        let open = FromClient::OpenTable {
            id,
            setup: setup.clone(),
            role,
            name: name.into(),
        };
        Self::open_on(client, &open, id).await
    }

    /// Opens a table with this message, whose id is `id`.
    pub async fn open_on(mut client: Client, open: &FromClient, id: u32) -> Self {
        client.say(open).await;
        Self::seated(client, id, None).await
    }

    /// Comes to a table.
    pub async fn join(house: &House, room: &str, role: Role, name: &str) -> Self {
        let client = Client::enter(house, None).await;
        Self::join_with(client, room, role, name, None, None).await
    }

    /// Comes on this socket, with what was known and a seat token.
    pub async fn join_with(
        mut client: Client,
        room: &str,
        role: Role,
        name: &str,
        seat: Option<&str>,
        known: Option<Known>,
    ) -> Self {
        let id = Self::ask(&mut client, room, role, name, seat, known.as_ref()).await;
        Self::seated(client, id, known).await
    }

    async fn ask(
        client: &mut Client,
        room: &str,
        role: Role,
        name: &str,
        seat: Option<&str>,
        known: Option<&Known>,
    ) -> u32 {
        let id = client.id();
        client
            .say(&FromClient::JoinTable {
                id,
                room: room.to_owned(),
                role,
                name: name.into(),
                seat: seat.map(str::to_owned),
                held: known.map(|known| Held {
                    epoch: known.epoch,
                    offset: u32::try_from(known.events.len()).expect("few"),
                }),
            })
            .await;
        id
    }

    /// Comes and is refused.
    pub async fn refused(
        client: &mut Client,
        room: &str,
        role: Role,
        seat: Option<&str>,
    ) -> RefusalCode {
        let id = Self::ask(client, room, role, "Nobody", seat, None).await;
        loop {
            match client.hear().await {
                ToClient::Refused {
                    id: refused, code, ..
                } if refused == id => return code,
                ToClient::Accepted { id: accepted } if accepted == id => panic!("it was let in"),
                _ => {}
            }
        }
    }

    async fn seated(mut client: Client, id: u32, known: Option<Known>) -> Self {
        loop {
            match client.hear().await {
                ToClient::Accepted { id: accepted } if accepted == id => break,
                refused @ ToClient::Refused { .. } => panic!("{refused:?}"),
                _ => {}
            }
        }
        let message = client.hear().await;
        assert!(matches!(message, ToClient::Seated { .. }), "{message:?}");
        let known = match known {
            Some(mut known) => {
                known.take(&message);
                known
            }
            None => Known::begin(&message).expect("it is seated"),
        };
        Self { client, known }
    }

    /// The same session on a new socket, with what it knew.
    pub async fn back(self, house: &House) -> Self {
        self.back_at(&house.socket()).await
    }

    /// The same, through this URL.
    pub async fn back_at(self, url: &str) -> Self {
        let client = Client::enter_at(url, Some(&self.client.session)).await;
        let known = self.known;
        drop(self.client.socket);
        let room = known.room.clone();
        Self::join_with(client, &room, Role::Witness, "", None, Some(known)).await
    }

    /// The next message, taken in.
    pub async fn hear(&mut self) -> ToClient {
        let message = self.client.hear().await;
        self.known.take(&message);
        message
    }

    /// Reads on until `enough`.
    pub async fn follow(&mut self, enough: impl Fn(&Known) -> bool) -> Vec<ToClient> {
        let mut read = Vec::new();
        while !enough(&self.known) {
            read.push(self.hear().await);
        }
        read
    }

    /// Does something; gives how it was refused, if it was.
    pub async fn try_act(&mut self, act: Act) -> Result<(), RefusalCode> {
        let id = self.client.id();
        self.client.say(&FromClient::Act { id, act }).await;
        loop {
            match self.hear().await {
                ToClient::Accepted { id: accepted } if accepted == id => return Ok(()),
                ToClient::Refused {
                    id: refused, code, ..
                } if refused == id => return Err(code),
                _ => {}
            }
        }
    }

    pub async fn act(&mut self, act: Act) {
        let what = format!("{act:?}");
        if let Err(code) = self.try_act(act).await {
            panic!("{what}: {code:?}; {:?}", self.known.doing);
        }
    }

    /// What this one says in the round: findable, and nobody else's.
    pub fn line(&self) -> String {
        format!("walnut{} tastes like the sea in March", self.known.you.0)
    }

    pub async fn answer(&mut self) {
        let (round, text) = (self.known.round(), self.line());
        self.act(Act::Answer { round, text }).await;
    }

    /// All that ever came on this socket.
    pub fn bytes(&self) -> String {
        self.client.heard.join("\n")
    }
}

/// Reads on at every place until `enough` is true there.
pub async fn all(guests: &mut [Guest], enough: impl Fn(&Known) -> bool) {
    for guest in guests {
        guest.follow(&enough).await;
    }
}

/// A table with its host Ada and two more witnesses.
pub async fn three(house: &House, setup: &Setup) -> Vec<Guest> {
    let ada = Guest::host(house, setup, Role::Witness, "Ada").await;
    let room = ada.known.room.clone();
    let mut guests = vec![ada];
    for name in ["Ben", "Cleo"] {
        guests.push(Guest::join(house, &room, Role::Witness, name).await);
    }
    all(&mut guests, |known| {
        known.count(|event| matches!(event, Event::Came { .. })) == 3
    })
    .await;
    guests
}

/// All of them answer the question of `round`.
pub async fn answer_all(guests: &mut [Guest], round: u32) {
    for guest in &mut *guests {
        guest
            .follow(|known| known.round() == round && known.my_turn())
            .await;
        guest.answer().await;
    }
    all(guests, |known| known.revealed() == round).await;
}
