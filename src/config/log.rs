//! `[log]`: what is written to standard error, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// What is written to standard error, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How a line is written.
    pub format: LogFormat,

    /// What is written: `error`, `warn`, `info`, `debug`, `trace` or `off`, followed by
    /// exceptions for parts of the program, such as `info,posthouse::deliver=debug`.
    #[serde(deserialize_with = "filter")]
    #[schemars(example = "info,posthouse::deliver=debug")]
    pub level: String,

    /// Of which attempts the canonical line (endpoint, message, outcome, times) is written. At
    /// thousands of attempts a second the lines cost more than the attempts.
    pub attempts: AttemptLines,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Of which attempts a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttemptLines {
    /// Of every attempt.
    All,
    /// Of those that failed.
    Failures,
    /// Of none.
    None,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned(), attempts: AttemptLines::All }
    }
}

/// A filter that means what it says: a bare word that is no level would be taken for a part of the
/// program, so that `inof` logs nothing at all.
fn filter<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    EnvFilter::builder().parse(&text).map_err(serde::de::Error::custom)?;
    for word in text.split(',').map(str::trim) {
        let is_level = !word.is_empty() && word.parse::<LevelFilter>().is_ok();
        if !is_level && !word.contains('=') {
            return Err(serde::de::Error::custom(format!("`{word}` is neither a level nor `part=level`")));
        }
    }
    Ok(text)
}
