//! Times on the wire: RFC 3339, written with milliseconds and `Z`.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::model::UnixMs;
pub(super) use crate::model::time::rfc3339_bytes as format;

/// Longest text that is read as a time.
const TEXT_BYTES_MAX: usize = 64;

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
    use crate::model::time::LAST;
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
