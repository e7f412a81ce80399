//! Who sits and who waits at a séance, and what becomes of a seat whose owner goes.

use parlour::{
    play::seance::{Event, Leaving},
    wire::browser::RefusalCode,
};

use super::support::{
    client::Client,
    fault::Fragile,
    house::House,
    seance::{Guest, house},
};

/// One who sits, and one who knows that they wait.
async fn two(house: &House) -> (Guest, Guest) {
    let sits = Guest::enter(house, None, true).await;
    let mut waits = Guest::enter(house, None, true).await;
    waits
        .until(|guest| guest.standing == (Some(1), 1, true))
        .await;
    (sits, waits)
}

#[actix_web::test]
async fn a_second_guest_waits_hears_nothing_and_sits_when_the_first_leaves() {
    let house = house(&[]);
    let (mut first, mut second) = two(&house).await;
    assert_eq!(second.question("me?").await, Err(RefusalCode::NotYours));
    assert_eq!(second.press().await, Err(RefusalCode::NotYours));
    let mut watcher = Guest::enter(&house, None, false).await;
    first.question("a secret").await.expect("it is taken");
    watcher.until(|guest| guest.whole().is_some()).await;
    assert_eq!(watcher.asked(), ["a secret"]);
    assert_eq!(watcher.question("me?").await, Err(RefusalCode::NotYours));
    first.leave().await;
    second
        .until(|guest| guest.standing == (None, 0, true))
        .await;
    assert!(second.asked().is_empty() && second.said().is_empty());
    assert!(second.lines.is_empty(), "{:?}", second.lines);
    second.question("and now me").await.expect("it is taken");
    second.until(|guest| guest.whole().is_some()).await;
    let mut late = Guest::enter(&house, None, false).await;
    late.until(|guest| !guest.asked().is_empty()).await;
    assert_eq!(
        late.asked(),
        ["and now me"],
        "nothing of an earlier sitting"
    );
}

#[actix_web::test]
async fn a_key_pressed_while_the_seat_comes_free_is_heard_or_refused() {
    let house = house(&[]);
    let mut sits = Guest::enter(&house, None, true).await;
    for _ in 0..5 {
        let mut waits = Guest::enter(&house, None, true).await;
        waits
            .until(|guest| guest.listens && guest.standing == (Some(1), 1, true))
            .await;
        sits.leave().await;
        // The log may not know of it yet.
        let mut pressed = waits.press().await;
        if pressed == Err(RefusalCode::NotYours) {
            waits.until(|guest| guest.standing == (None, 0, true)).await;
            pressed = waits.press().await;
        }
        let utterance = pressed.expect("it sits");
        assert_eq!(
            waits.release(utterance).await,
            Ok(()),
            "nobody listened to what was accepted"
        );
        sits = waits;
    }
}

#[actix_web::test]
async fn who_waited_and_would_rather_watch_is_told_what_was_asked_meanwhile() {
    let house = house(&[]);
    let (mut first, mut second) = two(&house).await;
    first.question("a secret").await.expect("it is taken");
    first.until(|guest| guest.whole().is_some()).await;
    assert!(second.asked().is_empty() && second.said().is_empty());
    second.come(false).await;
    second.until(|guest| !guest.said().is_empty()).await;
    assert_eq!(second.asked(), ["a secret"]);
}

/// Why members left, as the log of a guest has it.
fn left(guest: &Guest) -> Vec<Leaving> {
    let why = |event: &Event| match event {
        Event::Left { why, .. } => Some(*why),
        _ => None,
    };
    guest.events.iter().filter_map(why).collect()
}

#[actix_web::test]
async fn who_gets_up_while_the_store_fails_has_got_up_once_it_can_be_written() {
    let fragile = Fragile::open(&[]);
    let (mut sits, mut waits) = two(&fragile.house).await;
    let fault = fragile.fail();
    sits.leave().await;
    fault.bites().await;
    fault.mend();
    waits.until(|guest| guest.standing == (None, 0, true)).await;
    assert_eq!(left(&waits), [Leaving::Wanted]);
}

#[actix_web::test]
async fn who_gets_up_and_sits_down_at_once_sits_behind_those_who_wait() {
    let fragile = Fragile::open(&[]);
    let (mut sits, mut waits) = two(&fragile.house).await;
    let fault = fragile.fail();
    sits.leave().await;
    fault.bites().await;
    // The log does not know yet that they are gone.
    sits.knock().await;
    fault.mend();
    waits.until(|guest| guest.standing == (None, 1, true)).await;
    sits.until(|guest| guest.standing == (Some(1), 1, true))
        .await;
    waits.leave().await;
    sits.until(|guest| guest.standing == (None, 0, true)).await;
    sits.question("me again").await.expect("it sits");
}

#[actix_web::test]
async fn who_is_back_before_it_is_written_that_they_stayed_away_never_was() {
    let fragile = Fragile::open(&[("PARLOUR_IDLE_SECONDS", "1")]);
    let sits = Guest::enter(&fragile.house, None, true).await;
    let mut watches = Guest::enter(&fragile.house, None, false).await;
    let session = sits.client.session.clone();
    let fault = fragile.fail();
    drop(sits);
    fault.bites().await;
    let back = Client::enter(&fragile.house, Some(&session)).await;
    let mut back = Guest::enter_by(back, true).await;
    fault.mend();
    back.question("still me").await.expect("it sits");
    watches.until(|guest| !guest.asked().is_empty()).await;
    assert_eq!(left(&watches), []);
}
