//! The older version of the SDK.

mod names;
#[path = "../steps/mod.rs"]
pub(crate) mod steps;

use svix_older as sdk;
