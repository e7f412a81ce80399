//! A model's chat template: Jinja text in its metadata, rendered as Hugging Face's
//! `apply_chat_template` does.
//!
//! Two liberties are taken where a template would otherwise refuse a chat or lose part of it,
//! both as llama.cpp takes them. A system message that the template refuses or drops goes
//! before the first user message, after an empty line between them. Messages of one role in
//! a row, if the template refuses them, become one, with an empty line between.

mod python;

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, context};

use crate::{
    models::ModelError,
    wire::worker::{Message, Role},
};

const NAME: &str = "chat_template";
/// Steps that rendering a chat may take. A chat of a thousand messages takes a hundred
/// thousand; a template comes with the weights and may never end.
const FUEL: u64 = 20_000_000;
/// Stands between messages that become one.
const BETWEEN: &str = "\n\n";

/// A parsed chat template.
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    bos: String,
    eos: String,
    /// Whether a system message comes through.
    keeps_system: bool,
}

impl ChatTemplate {
    /// Parses `source`; `bos` and `eos` are the texts of the tokens of these names.
    pub(crate) fn parse(source: String, bos: String, eos: String) -> Result<Self, ModelError> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_unknown_method_callback(|_, value, method, args| {
            python::method(value, method, args)
        });
        environment.add_filter("tojson", python::to_json);
        environment.add_function("strftime_now", python::fixed_date);
        environment.add_function(
            "raise_exception",
            |message: String| -> Result<Value, Error> {
                Err(Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment
            .template_from_named_str(NAME, &source)
            .map_err(|error| ModelError::Template(error.to_string()))?;
        let mut template = Self {
            environment,
            source,
            bos,
            eos,
            keeps_system: true,
        };
        let probe = "system-probe";
        let chat = [(Role::System, probe), (Role::User, "hi")].map(|(role, content)| Message {
            role,
            content: content.into(),
        });
        let rendered = template.render_as_is(&chat);
        template.keeps_system = rendered.is_ok_and(|rendered| rendered.contains(probe));
        Ok(template)
    }

    /// The chat up to where the model's reply begins.
    ///
    /// # Errors
    /// When the template refuses the messages in every form.
    pub(crate) fn render(&self, messages: &[Message]) -> Result<String, ModelError> {
        let merged = match messages {
            [system, rest @ ..] if system.role == Role::System && !self.keeps_system => {
                Some(without_system(&system.content, rest))
            }
            _ => None,
        };
        let messages = merged.as_deref().unwrap_or(messages);
        self.render_as_is(messages)
            .or_else(|error| {
                let joined = one_role_in_turn(messages);
                match joined.len() == messages.len() {
                    true => Err(error),
                    false => self.render_as_is(&joined),
                }
            })
            .map_err(|error| ModelError::Template(error.to_string()))
    }

    fn render_as_is(&self, messages: &[Message]) -> Result<String, Error> {
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| context! { role => role(message.role), content => &message.content })
            .collect();
        self.environment
            .template_from_named_str(NAME, &self.source)?
            .render(context! {
                messages,
                add_generation_prompt => true,
                // Models that can think aloud answer at once: a room waits for the answer.
                enable_thinking => false,
                bos_token => &self.bos,
                eos_token => &self.eos,
            })
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// The messages with the system message's text before the first user message.
fn without_system(system: &str, rest: &[Message]) -> Vec<Message> {
    let mut rest = rest.to_vec();
    match rest.first_mut() {
        Some(first) if first.role == Role::User => {
            first.content = format!("{system}{BETWEEN}{}", first.content);
        }
        _ => rest.insert(
            0,
            Message {
                role: Role::User,
                content: system.to_owned(),
            },
        ),
    }
    rest
}

/// The messages with neighbours of one role made one.
fn one_role_in_turn(messages: &[Message]) -> Vec<Message> {
    let mut joined: Vec<Message> = Vec::with_capacity(messages.len());
    for message in messages {
        match joined.last_mut() {
            Some(last) if last.role == message.role => {
                last.content.push_str(BETWEEN);
                last.content.push_str(&message.content);
            }
            _ => joined.push(message.clone()),
        }
    }
    joined
}

#[cfg(test)]
mod tests;
