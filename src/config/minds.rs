//! Who plays the bot and who judges.

use clap::Args;

use super::{
    ConfigError,
    secret::{Secret, secret},
};

/// Who plays the bot and who judges.
#[derive(Clone, Debug, Args)]
pub struct MindSettings {
    /// Who plays the bot: `local`, or the URL of an OpenAI-compatible server
    #[arg(
        long,
        env = "PARLOUR_WITNESS",
        default_value = "local",
        value_name = "local|URL"
    )]
    witness: String,
    /// Model that the witness's server is asked for
    #[arg(long, env = "PARLOUR_WITNESS_MODEL", default_value = "")]
    witness_model: String,
    /// API key of the witness's server
    #[arg(long, env = "PARLOUR_WITNESS_KEY", hide_env_values = true, value_parser = secret)]
    witness_key: Option<Secret>,
    /// Who judges: `local`, or the URL of an OpenAI-compatible server
    #[arg(
        long,
        env = "PARLOUR_JUDGE",
        default_value = "local",
        value_name = "local|URL"
    )]
    judge: String,
    /// Model that the judge's server is asked for
    #[arg(long, env = "PARLOUR_JUDGE_MODEL", default_value = "")]
    judge_model: String,
    /// API key of the judge's server
    #[arg(long, env = "PARLOUR_JUDGE_KEY", hide_env_values = true, value_parser = secret)]
    judge_key: Option<Secret>,
}

impl MindSettings {
    /// Checks what clap cannot.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.witness()?;
        self.judge()?;
        Ok(())
    }

    /// Who plays the bot.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub fn witness(&self) -> Result<BackEnd, ConfigError> {
        back_end(
            "PARLOUR_WITNESS",
            &self.witness,
            &self.witness_model,
            &self.witness_key,
        )
    }

    /// Who judges.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub fn judge(&self) -> Result<BackEnd, ConfigError> {
        back_end(
            "PARLOUR_JUDGE",
            &self.judge,
            &self.judge_model,
            &self.judge_key,
        )
    }

    /// Whether any seat needs a worker of ours.
    ///
    /// # Errors
    /// As [`Self::witness`] and [`Self::judge`].
    pub fn needs_worker(&self) -> Result<bool, ConfigError> {
        Ok(self.witness()? == BackEnd::Local || self.judge()? == BackEnd::Local)
    }
}

/// Where a seat's text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackEnd {
    /// The worker that this server starts.
    Local,
    /// Any server that speaks `POST {url}/chat/completions`.
    OpenAi {
        url: String,
        model: String,
        key: Option<Secret>,
    },
}

fn back_end(
    name: &'static str,
    value: &str,
    model: &str,
    key: &Option<Secret>,
) -> Result<BackEnd, ConfigError> {
    if value == "local" {
        return Ok(BackEnd::Local);
    }
    if !(value.starts_with("http://") || value.starts_with("https://")) {
        return Err(ConfigError::Bad {
            name,
            problem: format!(
                "{value:?} is neither `local` nor a URL such as http://127.0.0.1:8081/v1"
            ),
        });
    }
    Ok(BackEnd::OpenAi {
        url: value.trim_end_matches('/').to_owned(),
        model: model.to_owned(),
        key: key.clone(),
    })
}
