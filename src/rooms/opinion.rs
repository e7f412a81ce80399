//! The AI's opinion of many witnesses after a round: measured where the back end can weigh
//! words and score texts, stated in a form where it cannot, as the verdicts of
//! [`super::judge`] are.

use futures_util::future::{try_join, try_join_all};

use super::{
    forms::{Seeds, fill_in, remembering, tries},
    judge,
    messages::TurnError,
    turn::{Mind, TRIES, Voice},
};
use crate::{
    persona::{
        Draft,
        judge::{self as words, Heard, Order, TableForm, Two},
    },
    play::{
        evidence::{
            Reading,
            many::{self, Told},
        },
        imitation::Kind,
        party::{Belief, Chair, Opinion},
    },
    wire::worker::Constraint,
};

/// Most tokens of the form with the reasons: enough for one that is written byte by byte.
const REASONS_TOKENS: u32 = 400;

/// What the AI must know to have an opinion.
#[derive(Clone, Debug)]
pub(crate) struct OpinionBrief {
    pub(crate) kind: Kind,
    pub(crate) seed: u32,
    pub(crate) round: u32,
    /// The open ones.
    pub(crate) chairs: Vec<Chair>,
    /// How many of them were drawn for people.
    pub(crate) people: usize,
    pub(crate) heard: Heard,
    pub(crate) earlier: Vec<Heard>,
    /// Of the earlier rounds.
    pub(crate) opinions: Vec<Opinion>,
}

impl OpinionBrief {
    fn seeds(&self, first_try: u32) -> Seeds {
        Seeds {
            seed: self.seed,
            round: self.round,
            first_try,
        }
    }

    fn believe(&self, told: &[Told]) -> Vec<Belief> {
        let earlier: Vec<&Opinion> = self.opinions.iter().collect();
        many::beliefs(&self.chairs, self.people, &earlier, told)
    }
}

pub(crate) async fn opinion(
    brief: &OpinionBrief,
    mind: &Mind,
    voice: &Voice,
) -> Result<Opinion, TurnError> {
    if mind.backend.can_weigh() {
        measured(brief, mind, voice).await
    } else {
        stated(brief, mind, voice).await
    }
}

/// By weighing and scoring; the reasons come last.
async fn measured(brief: &OpinionBrief, mind: &Mind, voice: &Voice) -> Result<Opinion, TurnError> {
    let chairs = brief.heard.chairs();
    let pairs = many::ring(&chairs);
    let compared = try_join_all(pairs.iter().map(|pair| compare(brief, *pair, mind, voice)));
    let surprises = try_join_all(
        brief
            .heard
            .answers
            .iter()
            .map(|(_, answer)| judge::surprise(&brief.heard.question, answer, mind, voice)),
    );
    let (compared, surprises) = try_join(compared, surprises).await?;
    let strengths = many::compared(chairs.len(), &compared);
    let measured = !pairs.is_empty();
    let told: Vec<Told> = chairs
        .iter()
        .zip(strengths)
        .zip(surprises)
        .map(|((chair, strength), surprise)| Told {
            chair: *chair,
            strength: measured.then_some(strength),
            surprise,
        })
        .collect();
    let beliefs = brief.believe(&told);
    let reasoning = match Two::of(&brief.heard, &beliefs) {
        Some(two) => reasons(brief, &two, mind, voice).await?,
        None => words::silence(&brief.heard),
    };
    Ok(Opinion { reasoning, beliefs })
}

/// Log-odds that the first of two is the person.
async fn compare(
    brief: &OpinionBrief,
    pair: [Chair; 2],
    mind: &Mind,
    voice: &Voice,
) -> Result<Option<f32>, TurnError> {
    let draft = |order| words::table_weigh(brief.kind, &brief.heard, pair, order);
    let (Some(there), Some(back)) = (draft(Order::AFirst), draft(Order::BFirst)) else {
        return Ok(None);
    };
    let (there, back) = try_join(
        judge::weigh(&there, mind, voice),
        judge::weigh(&back, mind, voice),
    )
    .await?;
    Ok(Reading::weighed(there, back).map(Reading::log_odds))
}

async fn reasons(
    brief: &OpinionBrief,
    two: &Two,
    mind: &Mind,
    voice: &Voice,
) -> Result<String, TurnError> {
    // The form bounds its length; the draft's bound is for a model that writes by the word.
    let draft = Draft {
        max_tokens: REASONS_TOKENS,
        ..words::table_reasoning(brief.kind, two)
    };
    let schema = Constraint::JsonSchema(words::table_reasoning_schema(brief.kind, two));
    tries(brief.seeds(0), &|| (), async |seed| {
        let text = fill_in(&draft, &schema, seed, mind, voice, &unseen).await?;
        Ok(words::parse_reasoning(&text).map_err(|error| error.to_string()))
    })
    .await
}

/// By filling in the form, once in each order of the witnesses.
async fn stated(brief: &OpinionBrief, mind: &Mind, voice: &Voice) -> Result<Opinion, TurnError> {
    if brief.heard.answers.len() < 2 {
        return Ok(Opinion {
            reasoning: words::silence(&brief.heard),
            beliefs: brief.believe(&[]),
        });
    }
    let (there, back) = try_join(
        form(brief, Order::AFirst, mind, voice),
        form(brief, Order::BFirst, mind, voice),
    )
    .await?;
    let strengths = many::stated(&[there.human, back.human]);
    let told: Vec<Told> = brief
        .heard
        .chairs()
        .into_iter()
        .zip(strengths)
        .map(|(chair, strength)| Told {
            chair,
            strength: Some(strength),
            surprise: None,
        })
        .collect();
    Ok(Opinion {
        reasoning: there.reasoning,
        beliefs: brief.believe(&told),
    })
}

async fn form(
    brief: &OpinionBrief,
    order: Order,
    mind: &Mind,
    voice: &Voice,
) -> Result<TableForm, TurnError> {
    let schema = Constraint::JsonSchema(words::table_form_schema(&brief.heard));
    let first_try = match order {
        Order::AFirst => 0,
        Order::BFirst => TRIES,
    };
    tries(brief.seeds(first_try), &|| (), async |seed| {
        let text = remembering(&brief.earlier, async |history| {
            let draft = words::table_form(brief.kind, brief.people, history, &brief.heard, order);
            fill_in(&draft, &schema, seed, mind, voice, &unseen).await
        })
        .await?;
        Ok(words::parse_table_form(&text, &brief.heard).map_err(|error| error.to_string()))
    })
    .await
}

/// What is written is about the whole table, and shown when it is whole.
fn unseen(_: &str) -> Option<String> {
    None
}
