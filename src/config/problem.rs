//! What can be wrong with a configuration, said so that it can be mended: the key, where it stands,
//! what was given, what was expected.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a configuration could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{origin} is not TOML: {message}")]
    Syntax {
        /// Where it ceases to be.
        origin: Origin,
        /// What the parser says.
        message: String,
    },
    /// What was given is wrong: all of it, not only the first.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Given nowhere.
    Default,
    /// The configuration file.
    File {
        /// Its path as given.
        path: PathBuf,
        /// The line of the key, from 1.
        line: usize,
    },
    /// An environment variable, by its name.
    Environment(String),
    /// A flag, by its name.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `section.key`.
    pub key: String,
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// There is no such key.
    Unknown {
        /// The known one that is spelt most like it.
        closest: String,
    },
    /// The value has the wrong type, or is out of bounds.
    Value {
        /// What was given, passwords masked.
        given: String,
        /// What may be given.
        expected: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, origin, .. } = self;
        match &self.fault {
            Fault::Unknown { closest } => {
                write!(f, "{origin}: unknown key `{key}`, the closest is `{closest}`")
            }
            Fault::Value { given, expected } => {
                write!(f, "{origin}: `{key}` is {given}, expected {expected}")
            }
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}
