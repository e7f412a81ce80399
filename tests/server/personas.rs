//! The machines that can be set up to play.

use parlour::{
    play::{
        imitation::Mode,
        party::{Act, Bench, Machine, Role, Setup},
    },
    wire::browser::{FromClient, RefusalCode, ToClient},
};

use crate::support::{
    client::Client,
    house::House,
    table::{Guest, setup},
};

fn with(name: &str) -> Setup {
    Setup {
        machines: vec![Machine::Model, Machine::Persona { name: name.into() }],
        ..setup(Bench::Machine, Mode::Blind)
    }
}

/// What the server says to this, if it refuses it.
async fn refusal(client: &mut Client, message: &FromClient) -> (RefusalCode, String) {
    client.say(message).await;
    loop {
        if let ToClient::Refused { code, message, .. } = client.hear().await {
            return (code, message);
        }
    }
}

#[tokio::test]
async fn personas_are_offered_by_a_list_and_an_unknown_one_is_refused_at_once() {
    let adapters = tempfile::tempdir().expect("a folder");
    let wilde = adapters.path().join("wilde");
    std::fs::create_dir(&wilde).expect("a folder");
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        std::fs::write(wilde.join(file), "{}").expect("a file");
    }
    let folder = adapters.path().to_str().expect("a name");
    let house = House::with_toy(&[("PARLOUR_ADAPTERS", folder)]);
    let list = reqwest::get(house.url("/api/machines")).await;
    let list: Vec<Machine> = list.expect("an answer").json().await.expect("a list");
    let known = Machine::Persona {
        name: "wilde".into(),
    };
    assert_eq!(list, [Machine::Model, Machine::Eliza, known]);

    let mut client = Client::enter(&house, None).await;
    let id = client.id();
    let open = FromClient::OpenTable {
        id,
        setup: with("shaw"),
        role: Role::Witness,
        name: "Ada".into(),
    };
    let (code, why) = refusal(&mut client, &open).await;
    assert_eq!(code, RefusalCode::Malformed);
    assert!(why.contains("\"shaw\"") && why.contains("wilde"), "{why}");

    let mut host = Guest::host(&house, &with("wilde"), Role::Witness, "Ada").await;
    let id = host.client.id();
    let act = Act::Setup {
        setup: with("shaw"),
    };
    let (code, why) = refusal(&mut host.client, &FromClient::Act { id, act }).await;
    assert_eq!(code, RefusalCode::Malformed);
    assert!(why.contains("\"shaw\""), "{why}");
    let setup = Setup {
        rounds: 3,
        ..with("wilde")
    };
    host.act(Act::Setup { setup }).await;
}
