//! The newest version of the SDK.

pub(crate) mod names;
#[path = "../steps/mod.rs"]
pub(crate) mod steps;

pub(crate) use svix as sdk;

/// All of the SDK that the steps name.
pub(crate) mod prelude {
    pub(crate) use super::sdk::api::*;
    pub(crate) use super::sdk::models::*;
}
