//! The newest version of the SDK.

mod names;
#[path = "../steps/mod.rs"]
pub(crate) mod steps;

use svix as sdk;
