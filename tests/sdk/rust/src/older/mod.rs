//! The older version of the SDK.

pub(crate) mod names;
#[path = "../steps/mod.rs"]
pub(crate) mod steps;

pub(crate) use svix_older as sdk;

/// All of the SDK that the steps name: this version has its models beside its API.
pub(crate) mod prelude {
    pub(crate) use super::sdk::api::*;
}
