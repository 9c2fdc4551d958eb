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
        get("/api/v1/app/{app_id}/stats/attempts", "v1.application.stats.attempts", Tag::Application)
            .says(
                "Count an application's attempts by event type",
                "Attempts of its endpoints, and deliveries that were cancelled. Where there are very many, the newest \
                 count: `since` says from when on all are counted.",
            )
            .query(&["since", "until", "event_types"])
            .answers(200, "AppAttemptStatsOut"),
        get("/api/v1/app/stats/count-active", "v1.application.count-active", Tag::Application)
            .says("Count active applications", "Those that have an endpoint.")
            .query(&["exclude_svix_play", "exclude_disabled"])
            .answers(200, "ActiveAppCount"),
        get("/api/v1/stats/app/{app_id}/attempt", "v1.stats.app-attempts", Tag::Statistics)
            .says(
                "Count an application's attempts by time",
                "Each list has a number for each bucket of the period, from `startDate` on, which is moved to where a \
                 bucket begins. By five minutes, or of some event types, it is later than was asked for where there are \
                 very many attempts.",
            )
            .query(&["startDate", "endDate", "period", "event_types"])
            .answers(200, "AttemptStatisticsResponse"),
        get("/api/v1/stats/endpoint/count", "v1.statistics.endpoint-count", Tag::Statistics)
            .says("Count endpoints", "All of the environment.")
            .query(&["exclude_svix_play"])
            .answers(200, "EndpointCountOut"),
        get("/api/v1/system", "v1.system.get", Tag::Server)
            .says(
                "How the server stands",
                "Nodes, store, journal and lanes, and what waits in the environment. What cannot be known is null.",
            )
            .answers(200, "SystemOut"),
    ]
}
