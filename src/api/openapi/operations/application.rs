//! Applications.

use super::{delete, get, patch, post, put};
use crate::api::openapi::describe::{Described, Pages, Tag};
use crate::model::IdKind;

const ALL: &str = "/api/v1/app";
const ONE: &str = "/api/v1/app/{app_id}";
const TAG: Tag = Tag::Application;

pub(super) fn described() -> Vec<Described> {
    vec![
        get(ALL, "v1.application.list", TAG)
            .says("List applications", "The oldest come first unless told otherwise.")
            .pages(Pages::Ids(IdKind::Application))
            .query(&[
                "order",
                "exclude_apps_with_no_endpoints",
                "exclude_apps_with_disabled_endpoints",
                "exclude_apps_with_svix_play_endpoints",
            ])
            .answers(200, "ListResponse_ApplicationOut_"),
        post(ALL, "v1.application.create", TAG)
            .says(
                "Create an application",
                "With `get_if_exists=true` the application that has this uid already is answered, with status 200.",
            )
            .query(&["get_if_exists"])
            .body("ApplicationIn")
            .answers(201, "ApplicationOut")
            .answers(200, "ApplicationOut"),
        get(ONE, "v1.application.get", TAG).says("Get an application", "").answers(200, "ApplicationOut"),
        put(ONE, "v1.application.upsert", TAG)
            .says(
                "Replace or create an application",
                "What the body leaves out takes its default. Where the path names a uid that nobody has, the \
                 application is created.",
            )
            .body("ApplicationIn")
            .answers(200, "ApplicationOut")
            .answers(201, "ApplicationOut"),
        patch(ONE, "v1.application.patch", TAG)
            .says("Change an application", "What the body leaves out stays as it is.")
            .body("ApplicationPatch")
            .answers(200, "ApplicationOut"),
        delete(ONE, "v1.application.delete", TAG)
            .says("Delete an application", "Its endpoints go with it, and nothing more is sent to them.")
            .answers(204, ""),
    ]
}
