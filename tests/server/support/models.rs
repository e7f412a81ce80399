//! Models with a script: a witness and a judge whose words can be found again.

use serde_json::{Value, json};

use super::{house::House, standin::Standin};

/// A word that only the bot says.
pub const WITNESS: &str = "marmalade";

/// A word that only the judge's reasons hold.
pub const REASON: &str = "suspiciously";

/// What the witness answers: another line for each question.
pub fn witness(request: &Value) -> String {
    let number = question_number(request);
    format!("My sister brought {number} jars of {WITNESS} home from the market on Sunday")
}

/// What the judge says: a question, or a verdict that convinces nobody.
pub fn judge(request: &Value) -> String {
    if request.get("response_format").is_some() {
        json!({
            "reasoning": format!("One of them sounds {REASON} tidy to me, the other one less so."),
            "decision": "one",
            "confidence": 55,
        })
        .to_string()
    } else {
        let number = question_number(request);
        format!("Which smell reminds you of the summer when you were {number} years old?")
    }
}

/// Another number for another request.
fn question_number(request: &Value) -> usize {
    let text = request["messages"].to_string();
    text.matches("summer").count() + text.matches("role").count() + 5
}

/// A house whose models follow these scripts, at once.
pub fn scripted(more: &[(&str, &str)]) -> House {
    let witness = Standin::start(witness);
    let judge = Standin::start(judge);
    with(&witness, &judge, more)
}

/// A house with these models.
pub fn with(witness: &Standin, judge: &Standin, more: &[(&str, &str)]) -> House {
    let mut settings = vec![
        ("PARLOUR_WITNESS", witness.url.as_str()),
        ("PARLOUR_JUDGE", judge.url.as_str()),
        ("PARLOUR_TYPING", "0"),
    ];
    settings.extend_from_slice(more);
    House::open(&settings)
}
