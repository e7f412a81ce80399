//! Models with a script: a witness and a judge whose words can be found again.

use std::fs::File;

use serde_json::{Value, json};

use super::{house::House, standin::Standin};

/// A word that only the bot says.
pub const WITNESS: &str = "marmalade";

/// A word that only the judge's reasons hold.
pub const REASON: &str = "suspiciously";

const ANSWERS: [&str; 5] = [
    "My sister brought three jars of marmalade home from the market",
    "Rain, mostly, and burnt toast with marmalade when the bus was late",
    "I would rather be a gardener than eat any more marmalade in bed",
    "Nobody at work knows that marmalade makes me think of funerals",
    "A blue bicycle, a broken tooth and marmalade all over the carpet",
];

const QUESTIONS: [&str; 5] = [
    "Which smell reminds you of the summer when you were small?",
    "Who taught you to tie your shoes before school began?",
    "What would you never lend to your closest neighbour?",
    "How did you spend the last rainy weekend at home?",
    "Where do old umbrellas go when everybody forgets them?",
];

/// Another one for each round: a prompt grows with the rounds.
fn pick<'a>(from: &[&'a str], request: &Value) -> &'a str {
    let messages = request["messages"].as_array().map_or(0, Vec::len);
    from[messages / 2 % from.len()]
}

/// What the witness answers.
pub fn witness(request: &Value) -> String {
    pick(&ANSWERS, request).to_owned()
}

/// What the judge says: a question, or a verdict or an opinion that convinces nobody.
pub fn judge(request: &Value) -> String {
    let form = &request["response_format"]["json_schema"]["schema"]["properties"];
    if let Some(letters) = form["human"]["properties"].as_object() {
        let human: serde_json::Map<String, Value> = letters
            .keys()
            .map(|letter| (letter.clone(), json!(50)))
            .collect();
        return json!({
            "reasoning": format!("All of them sound {REASON} tidy to me, some less so."),
            "human": human,
        })
        .to_string();
    }
    if request.get("response_format").is_some() {
        json!({
            "reasoning": format!("One of them sounds {REASON} tidy to me, the other one less so."),
            "decision": "one",
            "confidence": 55,
        })
        .to_string()
    } else {
        pick(&QUESTIONS, request).to_owned()
    }
}

/// A house whose models follow these scripts, at once.
pub fn scripted(more: &[(&str, &str)]) -> House {
    let witness = Standin::start(witness);
    let judge = Standin::start(judge);
    with(&witness, &judge, more)
}

/// The same, with all that it logs written into a file.
pub fn scripted_into(more: &[(&str, &str)], log: File) -> House {
    let (witness, judge) = (Standin::start(witness), Standin::start(judge));
    House::open_into(&played_by(&witness, &judge, more), Some(log))
}

/// A house with these models.
pub fn with(witness: &Standin, judge: &Standin, more: &[(&str, &str)]) -> House {
    House::open(&played_by(witness, judge, more))
}

fn played_by<'a>(
    witness: &'a Standin,
    judge: &'a Standin,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut settings = vec![
        ("PARLOUR_WITNESS", witness.url.as_str()),
        ("PARLOUR_JUDGE", judge.url.as_str()),
        ("PARLOUR_TYPING", "0"),
    ];
    settings.extend_from_slice(more);
    settings
}
