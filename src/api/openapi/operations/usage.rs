//! Usage.

use super::{post, put};
use crate::api::openapi::describe::{Described, Tag};

const TAG: Tag = Tag::Statistics;

pub(super) fn described() -> Vec<Described> {
    vec![
        post("/api/v1/stats/usage/app", "v1.statistics.aggregate-app-stats", TAG)
            .says(
                "Count what applications were sent",
                "To how many endpoints each message made in a span of time was sent, added up by application. This \
                 goes on as a background task, whose data has the counts in the end.",
            )
            .body("AppUsageStatsIn")
            .answers(202, "AppUsageStatsOut"),
        put("/api/v1/stats/usage/event-types", "v1.statistics.aggregate-event-types", TAG)
            .says(
                "Count which event types are listed",
                "How many endpoints list each event type, and how many take all. This goes on as a background task, \
                 whose data has the counts in the end.",
            )
            .answers(202, "RecoverOut"),
    ]
}
