//! What a server makes of answers that come twice, late, wrong, or not at all.

use futures_util::StreamExt;
use parlour::{
    generation::GenerationError,
    wire::{
        fleet::{NEWEST, Says},
        worker::Refusal,
    },
};

use crate::{
    played::{Played, done, piece},
    support::{Items, Redis, Server, long, pieces, text},
};

const MODEL: &str = "played";

/// What the reader gets when a worker says these things in these attempts.
async fn heard(says: &[(u32, Says)]) -> Items {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let worker = Played::join(&redis, MODEL, "w", NEWEST, 1).await;
    let asked = server.backend.ask(long(1, 40));
    let (_, job) = worker.take().await;
    for (attempt, says) in says {
        worker.say(&job, *attempt, says.clone()).await;
    }
    let items = asked.collect().await;
    assert_eq!(server.client.in_flight(), 0);
    items
}

#[tokio::test]
async fn another_attempt_goes_on_where_the_first_one_stood() {
    let items = heard(&[
        (1, piece(0, "one ")),
        (1, piece(4, "tw")),
        (2, piece(0, "one two")),
        (2, piece(7, " three")),
        (2, done(13)),
    ])
    .await;
    assert_eq!(text(&items), "one two three");
}

#[tokio::test]
async fn a_late_writer_of_an_older_attempt_is_ignored() {
    let items = heard(&[
        (1, piece(0, "one")),
        (2, piece(0, "one t")),
        (1, piece(3, " and a half")),
        (1, done(14)),
        (2, piece(5, "wo")),
        (2, done(7)),
    ])
    .await;
    assert_eq!(text(&items), "one two");
}

#[tokio::test]
async fn what_is_heard_twice_is_shown_once() {
    let items = heard(&[
        (1, piece(0, "one")),
        (1, piece(0, "one")),
        (1, piece(3, " two")),
        (1, piece(0, "one")),
        (1, done(7)),
        (1, done(7)),
    ])
    .await;
    assert_eq!(text(&items), "one two");
}

#[tokio::test]
async fn a_worker_that_says_something_else_makes_the_reader_begin_anew() {
    let items = heard(&[(1, piece(0, "one")), (2, piece(0, "two"))]).await;
    assert_eq!(items.last(), Some(&Err(GenerationError::WorkerLost)));
    assert_eq!(pieces(&items), "one");
}

#[tokio::test]
async fn a_word_that_was_lost_makes_the_reader_begin_anew() {
    let items = heard(&[(1, piece(0, "one")), (1, piece(4, "three"))]).await;
    assert_eq!(items.last(), Some(&Err(GenerationError::WorkerLost)));
    let items = heard(&[(1, piece(0, "one")), (1, done(7))]).await;
    assert_eq!(items.last(), Some(&Err(GenerationError::WorkerLost)));
}

#[tokio::test]
async fn an_answer_to_another_question_is_an_error_and_not_believed() {
    let log_probs = vec![0.0];
    let items = heard(&[(1, Says::Weighed { log_probs })]).await;
    assert!(matches!(items[..], [Err(GenerationError::Failed(_))]));
}

#[tokio::test]
async fn refusals_and_failures_come_back_as_they_are() {
    let refusal = Refusal::TooLong {
        tokens: 9,
        context: 8,
    };
    let says = Says::Refused {
        refusal: refusal.clone(),
    };
    assert_eq!(heard(&[(1, says)]).await, [Err(refusal.into())]);
    let message = "it broke".to_owned();
    let failed = GenerationError::Failed(message.clone());
    assert_eq!(heard(&[(1, Says::Failed { message })]).await, [Err(failed)]);
}
