//! What operators see: health, numbers, headers.

use parlour::play::imitation::{Kind, Mode};

use crate::support::{client::Client, house::House, models};

async fn page(house: &House, path: &str) -> reqwest::Response {
    reqwest::get(house.url(path)).await.expect("an answer")
}

#[tokio::test]
async fn a_house_that_needs_no_worker_is_ready_at_once() {
    let house = models::scripted(&[]);
    assert_eq!(page(&house, "/health/live").await.status(), 200);
    let ready = page(&house, "/health/ready").await;
    assert_eq!(ready.status(), 200);
    let mut body: serde_json::Value = ready.json().await.expect("json");
    let server = body["server"].take();
    assert_eq!(server.as_str().map(str::len), Some(16));
    assert_eq!(
        body,
        serde_json::json!({
            "ready": true, "server": null, "draining": false, "worker": "none", "store": "ready",
            "home": "sqlite", "durability": "disk",
        })
    );
}

#[tokio::test]
async fn the_numbers_count_games_sockets_and_refusals() {
    let house = models::scripted(&[("PARLOUR_ROUNDS", "1")]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(Kind::Direct, Mode::Blind).await;
    let open = page(&house, "/metrics").await.text().await.expect("text");
    assert!(open.contains("\nparlour_sockets 1\n"), "{open}");
    assert!(open.contains("\nparlour_rooms 1\n"), "{open}");
    client.play_out(&mut seen).await;
    let id = client.id();
    client
        .say(&parlour::wire::browser::FromClient::Stop { id })
        .await;
    client.refused().await;
    let over = page(&house, "/metrics").await.text().await.expect("text");
    assert!(over.contains("\nparlour_rooms 0\n"), "{over}");
    let games: u64 = over
        .lines()
        .filter_map(|line| line.strip_prefix("parlour_games_total{")?.split(' ').nth(1))
        .filter_map(|count| count.parse::<u64>().ok())
        .sum();
    assert_eq!(games, 1, "{over}");
    assert!(
        over.contains("parlour_refusals_total{code=\"not_now\"} 1"),
        "{over}"
    );
}

#[tokio::test]
async fn every_page_is_guarded_and_nothing_else_is_there() {
    let house = models::scripted(&[]);
    for path in ["/health/live", "/metrics", "/no/such/page", "/api/replay/x"] {
        let response = page(&house, path).await;
        let headers = response.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "same-origin", "{path}");
        let policy = headers["content-security-policy"].to_str().expect("text");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
    }
    for path in ["/no/such/page", "/../Cargo.toml", "/api/replay/x"] {
        assert_eq!(page(&house, path).await.status(), 404, "{path}");
    }
    assert_eq!(page(&house, "/ws").await.status(), 400);
}
