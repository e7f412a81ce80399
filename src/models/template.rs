//! A model's chat template: Jinja text in its metadata, rendered as Hugging Face's
//! `apply_chat_template` does.

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, context};

use crate::{
    models::ModelError,
    wire::worker::{Message, Role},
};

const NAME: &str = "chat_template";

/// A parsed chat template.
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    /// Parses `source`; `bos` and `eos` are the texts of the tokens of these names.
    pub(crate) fn parse(source: String, bos: String, eos: String) -> Result<Self, ModelError> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_unknown_method_callback(|_, value, method, args| {
            string_method(value, method, args)
        });
        environment.add_function(
            "raise_exception",
            |message: String| -> Result<Value, Error> {
                Err(Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment
            .template_from_named_str(NAME, &source)
            .map_err(|error| ModelError::Template(error.to_string()))?;
        Ok(Self {
            environment,
            source,
            bos,
            eos,
        })
    }

    /// The chat up to where the model's reply begins.
    pub(crate) fn render(&self, messages: &[Message]) -> Result<String, ModelError> {
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| context! { role => role(message.role), content => &message.content })
            .collect();
        self.environment
            .template_from_named_str(NAME, &self.source)
            .and_then(|template| {
                template.render(context! {
                    messages,
                    add_generation_prompt => true,
                    bos_token => &self.bos,
                    eos_token => &self.eos,
                })
            })
            .map_err(|error| ModelError::Template(error.to_string()))
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// The methods of Python's `str` that chat templates call.
fn string_method(value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let unknown = || Error::from(ErrorKind::UnknownMethod);
    let text = value.as_str().ok_or_else(unknown)?;
    let argument = args.first().and_then(|argument| argument.as_str());
    Ok(match (method, args.len(), argument) {
        ("strip", 0, _) => text.trim().into(),
        ("lstrip", 0, _) => text.trim_start().into(),
        ("rstrip", 0, _) => text.trim_end().into(),
        ("upper", 0, _) => text.to_uppercase().into(),
        ("lower", 0, _) => text.to_lowercase().into(),
        ("startswith", 1, Some(start)) => text.starts_with(start).into(),
        ("endswith", 1, Some(end)) => text.ends_with(end).into(),
        ("split", 1, Some(at)) => text.split(at).map(Value::from).collect(),
        _ => return Err(unknown()),
    })
}
