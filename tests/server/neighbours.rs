//! Servers of one house know of each other what their guests would expect of one server.

use parlour::{
    play::{
        imitation::{Ending, Event, Kind, Mode},
        party::{Act, Role},
    },
    wire::browser::{FromClient, TableCard, ToClient},
};

use crate::support::{
    client::Client,
    house::House,
    replay,
    street::{Street, short_game},
    table::Guest,
};

/// Reads lists of tables until one is as wanted.
async fn listed(watcher: &mut Client, wanted: impl Fn(&[TableCard]) -> bool) {
    loop {
        if let ToClient::Lobby { tables } = watcher.hear().await
            && wanted(&tables)
        {
            return;
        }
    }
}

#[tokio::test]
async fn of_two_tabs_at_two_servers_the_older_is_told() {
    let street = Street::open(&[]);
    let [first, second] = &street.houses;
    let mut older = Client::enter(first, None).await;
    let mut newer = Client::enter(second, Some(&older.session)).await;
    assert_eq!(newer.session, older.session);
    let close = older.until_closed().await.expect("a close frame");
    assert_eq!(u16::from(close.code), 4102);
    assert!(
        older
            .heard
            .last()
            .is_some_and(|said| said.contains("elsewhere"))
    );
    // And back: each is told once, by whoever came after it.
    let mut newest = Client::enter(first, Some(&newer.session)).await;
    let close = newer.until_closed().await.expect("a close frame");
    assert_eq!(u16::from(close.code), 4102);
    newest.open(Kind::Direct, Mode::Blind).await;
}

#[tokio::test]
async fn who_sat_at_a_table_in_the_older_tab_sits_there_in_the_newer_at_another_server() {
    let street = Street::open(&[]);
    let [first, second] = &street.houses;
    let Guest { mut client, known } = Guest::host(first, &short_game(), Role::Witness, "Ada").await;
    let (room, place) = (known.room.clone(), known.you);
    let newer = Client::enter(second, Some(&client.session)).await;
    assert_eq!(newer.room.as_ref(), Some(&room));
    let close = client.until_closed().await.expect("a close frame");
    assert_eq!(u16::from(close.code), 4102);
    let mut guest = Guest::join_with(newer, &room, Role::Witness, "", None, Some(known)).await;
    assert_eq!(guest.known.you, place);
    let text = "the same as before".to_owned();
    guest.act(Act::Say { text }).await;
}

/// How the game of this room ended, once it has.
async fn ending(house: &House, room: &str) -> Ending {
    let address = house.url(&format!("/api/replay/{room}"));
    while reqwest::get(&address).await.expect("an answer").status() == 404 {}
    let mut events = replay::of::<Event>(&address).await.into_iter();
    let ended = events.find_map(|stamped| match stamped.event {
        Some(Event::Ended { ending, .. }) => Some(ending),
        _ => None,
    });
    ended.expect("what is finished has an end")
}

#[tokio::test]
async fn a_game_stops_when_its_player_opens_another_at_another_server() {
    let street = Street::open(&[]);
    let [first, second] = &street.houses;
    let mut older = Client::enter(first, None).await;
    let left = older.open(Kind::Direct, Mode::Explanatory).await;
    let mut newer = Client::enter(second, Some(&older.session)).await;
    newer.open(Kind::Inverse, Mode::Blind).await;
    assert_eq!(ending(first, &left.room).await, Ending::Stopped);
}

#[tokio::test]
async fn a_game_stops_when_its_player_opens_another_without_coming_back_to_it() {
    let house = House::with_toy(&[]);
    let mut older = Client::enter(&house, None).await;
    let left = older.open(Kind::Direct, Mode::Explanatory).await;
    let mut newer = Client::enter(&house, Some(&older.session)).await;
    newer.open(Kind::Inverse, Mode::Blind).await;
    assert_eq!(ending(&house, &left.room).await, Ending::Stopped);
}

#[tokio::test]
async fn the_lobby_of_each_server_lists_the_tables_of_all() {
    let street = Street::open(&[]);
    let mut watcher = Client::enter(&street.houses[1], None).await;
    watcher.say(&FromClient::Lobby { id: 1, watch: true }).await;
    let ada = Guest::host(&street.houses[0], &short_game(), Role::Witness, "Ada").await;
    let ben = Guest::host(&street.houses[1], &short_game(), Role::Witness, "Ben").await;
    let rooms = [&ben, &ada].map(|host| host.known.room.clone());
    listed(&mut watcher, |tables| {
        tables.iter().map(|card| &card.room).eq(&rooms)
    })
    .await;
    // Whoever finds a table there can come to it.
    let _zoe = Guest::join(&street.houses[1], &rooms[1], Role::Witness, "Zoe").await;
    listed(&mut watcher, |tables| {
        tables
            .iter()
            .any(|card| card.room == rooms[1] && card.players == 2)
    })
    .await;
    // And a table that is gone is not listed anywhere.
    let mut cat = Guest::host(&street.houses[0], &short_game(), Role::Witness, "Cat").await;
    let room = cat.known.room.clone();
    listed(&mut watcher, |tables| {
        tables.iter().any(|card| card.room == room)
    })
    .await;
    cat.act(Act::Leave).await;
    listed(&mut watcher, |tables| {
        tables.iter().all(|card| card.room != room)
    })
    .await;
}
