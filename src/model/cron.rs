//! Schedules: when a source of type cron makes its messages. Pure: the time is an argument.
//!
//! A schedule is five crontab fields in a time zone, and its ticks are whole minutes. The fields are those of
//! Vixie's cron: lists, ranges, steps (`*/5`, `10-30/5`), names (`MON`, `JAN`), 0 and 7 for Sunday; where day
//! of month and day of week are both restricted, either is enough. Beyond that `@hourly`, `@daily`, `@weekly`,
//! `@monthly` and `@yearly`; `L` and `15W` as a day of month, `FRI#2` and `FRI#L` as a day of week; a `+` before
//! the day of week, which asks for both days.
//!
//! Where the clocks change, a schedule with one minute and one hour ticks once in a day: a time that is left
//! out comes as soon as it is over, one that comes twice counts the first time. All other schedules go with
//! the clock: nothing in the hour that is left out, and twice in the one that comes twice.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::{Map, Value};

use super::source::Source;
use super::time::UnixMs;

/// The type of the sources that tick.
pub const CRON: &str = "cron";
/// The name of its configuration's schedule.
pub const SCHEDULE: &str = "schedule";
/// The name of its configuration's time zone.
pub const TIME_ZONE: &str = "timeZone";
/// The name of its configuration's payload.
pub const PAYLOAD: &str = "payload";
/// The name of its configuration's media type.
pub const CONTENT_TYPE: &str = "contentType";
/// The media type where nothing is said.
pub const CONTENT_TYPE_DEFAULT: &str = "application/json";

/// The header that says for when a message was made.
pub const SCHEDULED_AT: &str = "posthouse-scheduled-at";

/// Bytes of a schedule's text.
const TEXT_BYTES_MAX: usize = 512;
/// Whether a schedule ticks at all is asked from here on, in seconds since 1970: 2020-01-01.
const ASKED_FROM_S: i64 = 1_577_836_800;

/// A source of type cron, and how far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct CronSource {
    /// The source.
    pub source: Source,
    /// Up to when ticks have been made.
    pub last_tick: UnixMs,
}

/// When messages are made.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

/// Why there is no schedule in a configuration. The user's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// It is no crontab text.
    #[error("must be five crontab fields, such as `*/15 8-17 * * MON-FRI`: {0}")]
    Form(String),
    /// There is no such day.
    #[error("never ticks: there is no such day")]
    Never,
    /// No time zone has this name.
    #[error("must be the name of a time zone of the IANA database, such as `Europe/Berlin`")]
    Zone,
}

impl ScheduleError {
    /// The name in the configuration.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Form(_) | Self::Never => SCHEDULE,
            Self::Zone => TIME_ZONE,
        }
    }
}

/// What a schedule asks for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// The tick of this time; those that were missed before it are left out.
    Now(UnixMs),
    /// Nothing before this time.
    At(UnixMs),
    /// Nothing any more.
    Never,
}

impl Schedule {
    /// From a text and the name of a time zone; UTC if there is none.
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Self, ScheduleError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(ScheduleError::Form(format!("it has more than {TEXT_BYTES_MAX} bytes")));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| ScheduleError::Form(error.to_string()))?;
        let zone = match zone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| ScheduleError::Zone)?,
        };
        let schedule = Self { cron, zone };
        schedule.next(ASKED_FROM_S * 1_000).ok_or(ScheduleError::Never)?;
        Ok(schedule)
    }

    /// From a source's configuration.
    pub fn of(config: &Map<String, Value>) -> Result<Self, ScheduleError> {
        let text = |name: &str| config.get(name).and_then(Value::as_str);
        Self::parse(text(SCHEDULE).unwrap_or_default(), text(TIME_ZONE))
    }

    /// The first tick after a time.
    pub fn next(&self, after: UnixMs) -> Option<UnixMs> {
        // Fails where a time zone leaves out more than two hours, as one that changes sides of the date line
        // does, and the day that it leaves out is asked for: no zone is known to do that again.
        let found = self.cron.find_next_occurrence(&self.local(after)?, false).ok()?;
        Some(found.timestamp().as_millisecond())
    }

    /// The last tick until a time, that time included.
    fn last(&self, until: UnixMs) -> Option<UnixMs> {
        let found = self.cron.find_previous_occurrence(&self.local(until)?, true).ok()?;
        Some(found.timestamp().as_millisecond())
    }

    /// What is to be done at `now`, where ticks have been made up to `last_tick`.
    pub fn due(&self, last_tick: UnixMs, now: UnixMs) -> Due {
        match self.next(last_tick) {
            Some(next) if next <= now => Due::Now(self.last(now).map_or(next, |last| last.max(next))),
            Some(next) => Due::At(next),
            None => Due::Never,
        }
    }

    /// A time in the schedule's zone, without its part of a second.
    fn local(&self, at: UnixMs) -> Option<Zoned> {
        Some(Timestamp::from_second(at.div_euclid(1_000)).ok()?.to_zoned(self.zone.clone()))
    }
}

impl Source {
    /// Whether it makes its messages itself, and receives nothing.
    pub fn is_cron(&self) -> bool {
        self.spec.source_type == CRON
    }

    /// Whether it ticks at other times than another, or not at all while that does.
    pub fn is_rescheduled_from(&self, before: &Self) -> bool {
        let same = |name: &str| self.secret.config.get(name) == before.secret.config.get(name);
        self.is_cron() != before.is_cron() || (self.is_cron() && !(same(SCHEDULE) && same(TIME_ZONE)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;

    /// A time as it is written; with an offset, or in UTC.
    fn at(text: &str) -> UnixMs {
        text.parse::<Timestamp>().expect("a time").as_millisecond()
    }

    fn schedule(text: &str, zone: &str) -> Schedule {
        Schedule::parse(text, Some(zone)).unwrap_or_else(|error| panic!("{text} in {zone}: {error}"))
    }

    /// The ticks after a time, as the clocks of the zone show them.
    fn ticks(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let schedule = schedule(text, zone);
        let mut last = at(after);
        let tick = |_| {
            last = schedule.next(last).expect("a next one");
            schedule.local(last).expect("a time").strftime("%m-%d %H:%M%:z").to_string()
        };
        (0..count).map(tick).collect()
    }

    #[test]
    fn the_next_tick_is_after_the_time_that_is_asked_for() {
        for (text, after, next) in [
            ("* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
            ("* * * * *", "2026-01-01T00:00:00.500Z", "2026-01-01T00:01:00Z"),
            ("* * * * *", "2026-01-01T00:00:59.999Z", "2026-01-01T00:01:00Z"),
            ("*/15 * * * *", "2026-01-01T00:46:00Z", "2026-01-01T01:00:00Z"),
            ("5,10-12 * * * *", "2026-01-01T00:10:30Z", "2026-01-01T00:11:00Z"),
            ("30 8 * * MON-FRI", "2026-01-02T09:00:00Z", "2026-01-05T08:30:00Z"),
            ("0 0 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("0 0 1 jan *", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("0 0 31 * *", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"),
            ("0 0 L 12 *", "2026-12-01T00:00:00Z", "2026-12-31T00:00:00Z"),
            ("0 0 L 2 *", "2028-02-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 0 15W * *", "2026-08-01T00:00:00Z", "2026-08-14T00:00:00Z"),
            ("0 0 * * FRI#2", "2026-01-01T00:00:00Z", "2026-01-09T00:00:00Z"),
            ("0 0 * * FRI#L", "2026-01-01T00:00:00Z", "2026-01-30T00:00:00Z"),
            ("@hourly", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"),
            ("@daily", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("@monthly", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            ("@yearly", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            // Either day is enough; with a `+` both are asked for; a star asks for nothing.
            ("0 0 13 * FRI", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("0 0 13 * FRI", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"),
            ("0 0 13 * +FRI", "2026-01-01T00:00:00Z", "2026-02-13T00:00:00Z"),
            ("0 0 * * FRI", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
        ] {
            assert_eq!(schedule(text, "UTC").next(at(after)), Some(at(next)), "{text} after {after}");
        }
    }

    #[test]
    fn a_schedule_goes_by_the_clocks_of_its_zone() {
        assert_eq!(
            schedule("0 9 * * *", "Asia/Kolkata").next(at("2026-01-01T00:00:00Z")),
            Some(at("2026-01-01T03:30:00Z"))
        );
        assert_eq!(
            schedule("0 9 * * *", "Europe/Berlin").next(at("2026-07-01T00:00:00Z")),
            Some(at("2026-07-01T07:00:00Z"))
        );
        assert_eq!(
            schedule("0 9 * * *", "Europe/Berlin").next(at("2050-01-01T00:00:00Z")),
            Some(at("2050-01-01T08:00:00Z"))
        );
        let utc = Schedule::parse("0 9 * * *", None).expect("a schedule");
        assert_eq!(utc.next(at("2026-07-01T00:00:00Z")), Some(at("2026-07-01T09:00:00Z")));
    }

    #[test]
    fn a_time_that_the_clocks_leave_out_comes_when_that_is_over() {
        // Berlin, 29 March 2026: 02:00 is 03:00.
        let day = ["03-28 02:30+01:00", "03-29 03:00+02:00", "03-30 02:30+02:00"];
        assert_eq!(ticks("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3), day);
        // What is due before and after is where it was, and once.
        let before = ["03-29 01:30+01:00", "03-30 01:30+02:00"];
        assert_eq!(ticks("30 1 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2), before);
        let after = ["03-29 03:00+02:00", "03-30 03:00+02:00"];
        assert_eq!(ticks("0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2), after);
        // What goes with the clock has nothing in that hour.
        let hourly = ["03-29 01:00+01:00", "03-29 03:00+02:00", "03-29 04:00+02:00"];
        assert_eq!(ticks("0 * * * *", "Europe/Berlin", "2026-03-28T23:30:00Z", 3), hourly);
        let two = ["03-28 02:00+01:00", "03-28 02:30+01:00", "03-30 02:00+02:00", "03-30 02:30+02:00"];
        assert_eq!(ticks("0,30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 4), two);
        // Half an hour, on Lord Howe Island: 02:00 is 02:30.
        let half = ["10-03 02:15+10:30", "10-04 02:30+11:00", "10-05 02:15+11:00"];
        assert_eq!(ticks("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T12:00:00Z", 3), half);
    }

    #[test]
    fn a_time_that_comes_twice_counts_the_first_time() {
        // Berlin, 25 October 2026: 03:00 is 02:00 again.
        let day = ["10-24 02:30+02:00", "10-25 02:30+02:00", "10-26 02:30+01:00"];
        assert_eq!(ticks("30 2 * * *", "Europe/Berlin", "2026-10-23T12:00:00Z", 3), day);
        // What goes with the clock goes twice.
        let hourly = ["10-25 02:00+02:00", "10-25 02:00+01:00", "10-25 03:00+01:00"];
        assert_eq!(ticks("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 3), hourly);
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "",
            " ",
            "* * * *",
            "* * * * * *",
            "0 0 1 1 * 2030",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * 32 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "5/15 * * * *",
            "a b c d e",
            "@reboot",
            "@every 5m",
            "1-99999999999999999999 * * * *",
            "-1 * * * *",
            "H H * * *",
            "* * * * MONDAY",
        ] {
            let refused = Schedule::parse(text, None).expect_err(text);
            assert!(matches!(refused, ScheduleError::Form(_)), "{text}: {refused}");
            assert_eq!(refused.field(), "schedule");
        }
        let long = format!("{} * * * *", vec!["1"; 300].join(","));
        assert!(matches!(Schedule::parse(&long, None), Err(ScheduleError::Form(_))));
        for text in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "* * 31 4 *", "0 0 31W 4 *"] {
            assert_eq!(Schedule::parse(text, None).err(), Some(ScheduleError::Never), "{text}");
        }
        for zone in ["", "Berlin", "Europe/Nowhere", "../../etc/passwd", "+02:00"] {
            let refused = Schedule::parse("@daily", Some(zone)).expect_err(zone);
            assert_eq!((refused.field(), refused), ("timeZone", ScheduleError::Zone), "{zone}");
        }
    }

    #[test]
    fn of_what_was_missed_the_newest_is_due() {
        let every = schedule("*/5 * * * *", "UTC");
        let noon = at("2026-01-01T12:00:00Z");
        assert_eq!(every.due(noon, noon), Due::At(noon + 5 * MINUTE));
        assert_eq!(every.due(noon, noon + 5 * MINUTE - 1), Due::At(noon + 5 * MINUTE));
        assert_eq!(every.due(noon, noon + 5 * MINUTE), Due::Now(noon + 5 * MINUTE));
        assert_eq!(every.due(noon, noon + 3 * HOUR + MINUTE), Due::Now(noon + 3 * HOUR));
        // A clock that was set back asks for nothing that was made.
        assert_eq!(every.due(noon, noon - HOUR), Due::At(noon + 5 * MINUTE));
        let yearly = schedule("@yearly", "UTC");
        assert_eq!(yearly.due(at("1990-06-01T00:00:00Z"), noon), Due::Now(at("2026-01-01T00:00:00Z")));
    }

    fn field(from: u8, to: u8) -> impl Strategy<Value = String> {
        let one = (from..=to).prop_map(|value| value.to_string());
        let range = (from..=to, from..=to).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)));
        let step = (1..=to).prop_map(|step| format!("*/{step}"));
        prop_oneof![3 => Just("*".to_owned()), 3 => one, 1 => range, 2 => step]
    }

    fn any_schedule() -> impl Strategy<Value = String> {
        (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7))
            .prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"))
    }

    proptest! {
        /// The two ways to look agree, also where clocks change: what is due is a tick, and the last one.
        #[test]
        fn what_is_due_is_the_last_tick(
            text in any_schedule(),
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
                "America/Havana", "Africa/Casablanca", "Asia/Kathmandu", "Pacific/Chatham"]),
            now in 1_700_000_000_000_i64..2_500_000_000_000,
            missed in 0_i64..400 * 24 * HOUR,
        ) {
            let Ok(schedule) = Schedule::parse(&text, Some(zone)) else { return Ok(()) };
            match schedule.due(now - missed, now) {
                Due::Now(tick) => {
                    prop_assert!(now - missed < tick && tick <= now);
                    prop_assert_eq!(tick % MINUTE, 0);
                    prop_assert_eq!(schedule.next(tick - 1), Some(tick), "a tick");
                    prop_assert!(schedule.next(tick).is_none_or(|next| next > now), "the last one");
                }
                Due::At(next) => prop_assert!(next > now),
                Due::Never => prop_assert!(false, "it ticks"),
            }
        }

        /// Whatever is entered is answered.
        #[test]
        fn any_text_is_taken_or_refused(text in "[0-9*/,#LW?+@ A-Za-z-]{0,40}", zone in "[A-Za-z/_+:.0-9-]{0,20}") {
            let _ = Schedule::parse(&text, Some(&zone)).map(|schedule| schedule.due(0, 1_700_000_000_000));
        }

        /// Also what looks like a schedule.
        #[test]
        fn five_fields_are_taken_or_refused(fields in prop::collection::vec("[0-9*/,#LW?-]{1,6}", 5)) {
            let _ = Schedule::parse(&fields.join(" "), None).map(|schedule| schedule.due(0, 1_700_000_000_000));
        }
    }
}
