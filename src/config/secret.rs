//! Values that no log, error or screen may show.

use std::fmt;

/// A value that must not reach a log, an error or a screen.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A secret as clap reads it, which never finds it wrong: an error would repeat the value.
pub(super) fn secret(value: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::from(value.to_owned()))
}
