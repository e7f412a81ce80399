//! A table's games as a spreadsheet takes them.

use super::quoted;
use crate::{
    play::party::{Event, Machine, Voter, Witness},
    wire::browser::Stamped,
};

/// One line per thing said or voted. `game` and `round` count from 1; `who` is `judge`, the
/// number of a person at the table, `model`, `eliza` or a persona's name; `human` is the
/// chair that a ballot or an opinion takes for a person's.
pub(super) fn csv(events: &[Stamped<Event>]) -> String {
    let mut table = Sheet {
        text: String::from("offset,at,game,round,what,who,chair,text,human,confidence\r\n"),
        game: 0,
        chairs: Vec::new(),
        judge: String::new(),
    };
    for Stamped { offset, at, event } in events {
        if let Some(event) = event {
            table.put(*offset, *at, event);
        }
    }
    table.text
}

struct Sheet {
    text: String,
    game: u32,
    chairs: Vec<String>,
    judge: String,
}

impl Sheet {
    fn put(&mut self, offset: u32, at: u64, event: &Event) {
        let game = self.game;
        let mut line = |rest: String| {
            self.text += &format!("{offset},{at},{game},{rest}\r\n");
        };
        match event {
            Event::Started {
                game,
                chairs,
                judge,
                ..
            } => {
                self.game = *game;
                self.chairs = chairs.iter().flatten().map(who).collect();
                self.judge = judge.map_or_else(|| "judge".to_owned(), |judge| judge.0.to_string());
            }
            Event::Questioned { round, text } => {
                let (who, text) = (&self.judge, quoted(text));
                line(format!("{round},question,{who},,{text},,"));
            }
            Event::Revealed { round, answers } => {
                for answer in answers {
                    let who = self.chairs.get(usize::from(answer.chair.0));
                    let who = who.map_or("", String::as_str);
                    let chair = answer.chair.letter();
                    let text = quoted(answer.text.as_deref().unwrap_or_default());
                    line(format!("{round},answer,{who},{chair},{text},,"));
                }
            }
            Event::Weighed { round, opinion } => {
                let best = opinion.beliefs.iter().max_by_key(|belief| belief.human);
                let (human, sure) = best.map_or_else(Default::default, |belief| {
                    (belief.chair.letter().to_string(), belief.human.to_string())
                });
                let text = quoted(&opinion.reasoning);
                line(format!("{round},opinion,judge,,{text},{human},{sure}"));
            }
            Event::Voted {
                voter,
                ballot: Some(ballot),
            } => {
                let who = match voter {
                    Voter::Machine => "judge".to_owned(),
                    Voter::Person { member } => member.0.to_string(),
                };
                let (human, sure) = (ballot.human.letter(), ballot.confidence);
                line(format!(",ballot,{who},,,{human},{sure}"));
            }
            Event::Finished { finish, .. } => {
                let finish = serde_json::to_value(finish).unwrap_or_default();
                let finish = quoted(finish.as_str().unwrap_or_default());
                line(format!(",finish,,,{finish},,"));
            }
            _ => {}
        }
    }
}

fn who(witness: &Witness) -> String {
    match witness {
        Witness::Person { member } => member.0.to_string(),
        Witness::Machine { machine } => match machine {
            Machine::Model => "model".to_owned(),
            Machine::Eliza => "eliza".to_owned(),
            Machine::Persona { name } => quoted(name),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::play::party::{Answer, Ballot, Chair, Finish, Member};

    #[test]
    fn a_sheet_holds_one_line_for_each_thing_said_or_voted() {
        let person = Witness::Person { member: Member(4) };
        let machine = Witness::Machine {
            machine: Machine::Eliza,
        };
        let events = [
            Event::Started {
                game: 2,
                chairs: Some(vec![machine, person]),
                count: 2,
                yours: None,
                judge: Some(Member(1)),
                seed: Some(7),
            },
            Event::Questioned {
                round: 1,
                text: "Why?".into(),
            },
            Event::Revealed {
                round: 1,
                answers: vec![
                    Answer {
                        chair: Chair(0),
                        text: Some("=1+1".into()),
                    },
                    Answer {
                        chair: Chair(1),
                        text: None,
                    },
                ],
            },
            Event::Voted {
                voter: Voter::Person { member: Member(1) },
                ballot: Some(Ballot {
                    human: Chair(1),
                    confidence: 80,
                }),
            },
            Event::Finished {
                finish: Finish::Played,
                chairs: Vec::new(),
                voters: Vec::new(),
            },
        ];
        let stamped: Vec<_> = (3..)
            .zip(events)
            .map(|(offset, event)| Stamped {
                offset,
                at: 5,
                event: Some(event),
            })
            .collect();
        assert_eq!(
            csv(&stamped),
            "offset,at,game,round,what,who,chair,text,human,confidence\r\n\
             4,5,2,1,question,1,,\"Why?\",,\r\n\
             5,5,2,1,answer,eliza,A,\"'=1+1\",,\r\n\
             5,5,2,1,answer,4,B,\"\",,\r\n\
             6,5,2,,ballot,1,,,B,80\r\n\
             7,5,2,,finish,,,\"played\",,\r\n"
        );
    }
}
