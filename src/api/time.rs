//! Times on the wire: RFC 3339, written with milliseconds and `Z`.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::model::UnixMs;

/// Bytes of a time as written.
const BYTES: usize = 24;
/// Longest text that is read as a time.
const TEXT_BYTES_MAX: usize = 64;
/// 9999-12-31T23:59:59.999Z.
const LAST: UnixMs = 253_402_300_799_999;

/// A time as the API writes it.
pub(super) fn format(at: UnixMs) -> [u8; BYTES] {
    let at = at.clamp(0, LAST);
    let (days, ms) = (at / 86_400_000, at % 86_400_000);
    let (year, month, day) = civil(days);
    let mut out = *b"0000-00-00T00:00:00.000Z";
    let mut put = |place: usize, digits: usize, mut value: i64| {
        for i in (place..place + digits).rev() {
            out[i] = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    put(0, 4, year);
    put(5, 2, month);
    put(8, 2, day);
    put(11, 2, ms / 3_600_000);
    put(14, 2, ms / 60_000 % 60);
    put(17, 2, ms / 1_000 % 60);
    put(20, 3, ms % 1_000);
    out
}

/// Year, month and day of a number of days since 1970 (Howard Hinnant's algorithm).
const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Reads a time with an offset.
pub(super) fn parse(text: &str) -> Option<UnixMs> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// A time in a struct that is serialised.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(inline, extend("type" = "string", "format" = "date-time"))]
pub(super) struct Time(#[schemars(with = "String")] pub(super) UnixMs);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(str::from_utf8(&format(self.0)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_what_the_calendar_says() {
        for (at, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (LAST, "9999-12-31T23:59:59.999Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
            (-1, "1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(str::from_utf8(&format(at)), Ok(text));
        }
    }

    #[test]
    fn reads_times_with_an_offset_only() {
        assert_eq!(parse("2023-11-14T22:13:20.123Z"), Some(1_700_000_000_123));
        assert_eq!(parse("2023-11-15T00:13:20.123+02:00"), Some(1_700_000_000_123));
        for text in ["", "2023-11-14", "2023-11-14T22:13:20", "now", "1700000000", &"2".repeat(65)] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(at in 0..LAST) {
            prop_assert_eq!(parse(str::from_utf8(&format(at)).unwrap_or_default()), Some(at));
        }
    }
}
