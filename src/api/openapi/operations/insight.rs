//! What came and went, and how all of it stands.

use super::get;
use crate::api::openapi::describe::{Described, Tag};

pub(super) fn described() -> Vec<Described> {
    vec![
        get("/api/v1/overview", "v1.overview.get", Tag::Statistics)
            .says(
                "What came and went",
                "Counts of the environment by time, with percentiles of how long attempts took, and how it stands now. \
                 Operational webhooks, and what belongs to applications that are gone, are not counted.",
            )
            .query(&["period"])
            .answers(200, "OverviewOut"),
        get("/api/v1/system", "v1.system.get", Tag::Server)
            .says(
                "How the server stands",
                "Nodes, store, journal and lanes, and what waits in the environment. What cannot be known is null.",
            )
            .answers(200, "SystemOut"),
    ]
}
