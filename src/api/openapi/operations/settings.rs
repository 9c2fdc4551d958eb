//! Settings of an environment.

use super::{get, patch, put};
use crate::api::openapi::describe::{Described, Tag};

const PATH: &str = "/api/v1/management/environment-settings";
const TAG: Tag = Tag::Environment;

pub(super) fn described() -> Vec<Described> {
    vec![
        get(PATH, "v1.management.environment-settings.get", TAG)
            .says("Get the settings", "")
            .answers(200, "SettingsInternalOut"),
        get("/api/v1/environment/settings", "v1.environment.get-settings", TAG)
            .says("What the portal is told", "How it looks, and whether it is for reading only.")
            .answers(200, "EnvironmentSettingsOut"),
        put(PATH, "v1.management.environment-settings.update", TAG)
            .says("Replace the settings", "What the body leaves out goes back to its default.")
            .body("SettingsInternalIn")
            .answers(200, "SettingsInternalOut"),
        patch(PATH, "v1.management.environment-settings.patch", TAG)
            .says("Change the settings", "What the body leaves out stays as it is.")
            .body("SettingsInternalPatch")
            .answers(200, "SettingsInternalOut"),
    ]
}
