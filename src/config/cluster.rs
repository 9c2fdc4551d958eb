//! `[cluster]`: several nodes on one PostgreSQL database.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Several nodes on one PostgreSQL database. With the embedded store there is one node, and nothing
/// here counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Seconds for which a node owns its share of the endpoints without renewing. After a crash
    /// other nodes take its share over when they have passed. Shorter means a shorter pause then;
    /// longer means that a slow database or network costs no node its share.
    #[schemars(range(min = 3, max = 60))]
    pub lease_s: u64,

    /// The name of this node, in the database, in logs and in metrics: 1 to 63 letters, digits, `.`,
    /// `-` and `_`. Two nodes at once must not have the same: the one that started first stops
    /// delivering. Not given: a random one, kept in `storage.data_dir`.
    #[serde(deserialize_with = "node_name")]
    #[schemars(example = "node-1", length(min = 1, max = 63))]
    pub node_name: Option<String>,
}

const NODE_NAME_BYTES_MAX: usize = 63;

impl Default for Cluster {
    fn default() -> Self {
        Self { lease_s: 10, node_name: None }
    }
}

fn node_name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let name = Option::<String>::deserialize(from)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    match name {
        Some(name) if name.is_empty() || name.len() > NODE_NAME_BYTES_MAX || !name.bytes().all(plain) => {
            Err(serde::de::Error::custom("not 1 to 63 letters, digits, `.`, `-` and `_`"))
        }
        name => Ok(name),
    }
}
