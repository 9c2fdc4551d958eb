//! Access of customers.

use super::post;
use crate::api::openapi::describe::{Described, Tag};

const TAG: Tag = Tag::Authentication;

pub(super) fn described() -> Vec<Described> {
    vec![
        post("/api/v1/auth/app-portal-access/{app_id}", "v1.authentication.app-portal-access", TAG)
            .says(
                "Give a customer access",
                "A link and a token for one application. Where the path names a uid that nobody has and the body says \
                 how, the application is created.",
            )
            .body("AppPortalAccessIn")
            .answers(200, "AppPortalAccessOut"),
        post("/api/v1/auth/logout", "v1.authentication.logout", TAG)
            .says("End a portal token", "The token that was sent opens nothing any more.")
            .answers(204, ""),
    ]
}
