//! Timestamps: how they are written, and how far from the clock they may be.

use serde_json::Value;

use super::super::Cause;
use super::super::reading::{self, Window};

/// Most digits of a timestamp: those of milliseconds for some thousand years.
const DIGITS_MAX: usize = 15;

/// How a timestamp is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Seconds since 1970, in decimal digits.
    Seconds,
    /// Milliseconds since 1970, in decimal digits.
    Milliseconds,
    /// RFC 3339, with any number of digits of a second.
    Rfc3339,
    /// Something that is signed and tells no time (a nonce).
    Opaque,
}

impl Unit {
    /// Its name in a configuration.
    pub(crate) const NAMES: [(&'static str, Self); 3] =
        [("s", Self::Seconds), ("ms", Self::Milliseconds), ("rfc3339", Self::Rfc3339)];

    /// The time in milliseconds since 1970; `None` in `Some` where the text tells none. `None` for a
    /// text of another form.
    #[expect(clippy::option_option, reason = "a wrong form and no time are two things")]
    pub(crate) fn read(self, text: &str) -> Option<Option<i64>> {
        match self {
            Self::Seconds => decimal(text)?.checked_mul(1_000).map(Some),
            Self::Milliseconds => decimal(text).map(Some),
            Self::Rfc3339 => reading::rfc3339(text).map(Some),
            Self::Opaque => (!text.is_empty()).then_some(None),
        }
    }

    /// What it is, for a hint.
    pub(crate) const fn named(self) -> &'static str {
        match self {
            Self::Seconds => "seconds since 1970",
            Self::Milliseconds => "milliseconds since 1970",
            Self::Rfc3339 => "RFC 3339",
            Self::Opaque => "a text that is not empty",
        }
    }

    /// A time as this writes it.
    pub(crate) fn write(self, at_ms: i64) -> String {
        match self {
            Self::Seconds | Self::Opaque => (at_ms / 1_000).to_string(),
            Self::Milliseconds => at_ms.to_string(),
            Self::Rfc3339 => written_rfc3339(at_ms),
        }
    }
}

/// Judges a time by a window, whose limits are in it. A clock of seconds is compared with one of seconds.
pub(crate) fn judge(window: Window, unit: Unit, at_ms: i64, now_ms: i64) -> Result<(), Cause> {
    let now_ms = if unit == Unit::Seconds { now_ms.div_euclid(1_000) * 1_000 } else { now_ms };
    window.check(now_ms, at_ms)
}

/// Milliseconds since 1970 from a JSON body, where they have to be a number.
pub(crate) fn in_body(body: &[u8], pointer: &str) -> Result<i64, Cause> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Cause::MalformedBody)?;
    match body.pointer(pointer) {
        None | Some(Value::Null) => Err(Cause::MissingTimestamp),
        Some(at) => at.as_i64().ok_or(Cause::MalformedTimestamp),
    }
}

/// Digits only: no sign, no blanks, nothing that two readers could read differently.
fn decimal(text: &str) -> Option<i64> {
    let is_decimal = (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_decimal { text.parse().ok() } else { None }
}

/// A time as RFC 3339 writes it, in UTC with milliseconds.
fn written_rfc3339(at_ms: i64) -> String {
    let (days, ms) = (at_ms.div_euclid(86_400_000), at_ms.rem_euclid(86_400_000));
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::super::super::Settings;
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        let read = |unit: Unit, text: &str| unit.read(text).flatten();
        assert_eq!(read(Unit::Seconds, "1760000000"), Some(1_760_000_000_000));
        assert_eq!(read(Unit::Milliseconds, "1760000000123"), Some(1_760_000_000_123));
        for other in ["", "-1", "+1", " 1", "1.5", "1e9", "0x10", "١", "1234567890123456"] {
            assert_eq!(Unit::Seconds.read(other), None, "{other}");
        }
        assert_eq!(read(Unit::Rfc3339, "2025-10-09T08:53:20Z"), Some(1_760_000_000_000));
        assert_eq!(read(Unit::Rfc3339, "2025-10-09T10:53:20.1+02:00"), Some(1_760_000_000_100));
        assert_eq!(read(Unit::Rfc3339, "2025-10-09T08:53:20.123456789Z"), Some(1_760_000_000_123));
        for other in
            ["2025-10-09", "2025-10-09T08:53:20", "2025-13-09T08:53:20Z", "2025-10-09T08:53:20.Z", "20251009T085320Z"]
        {
            assert_eq!(Unit::Rfc3339.read(other), None, "{other}");
        }
        for at_ms in [0, 951_782_400_000, 1_760_000_000_123, 253_402_300_799_999] {
            assert_eq!(read(Unit::Rfc3339, &Unit::Rfc3339.write(at_ms)), Some(at_ms));
        }
    }

    #[test]
    fn the_limits_of_a_window_are_in_it() {
        let both = Window::both(300);
        let at = |window: Window, age_s: i64| judge(window, Unit::Seconds, 1_000_000 - age_s * 1_000, 1_000_999);
        assert_eq!(at(both, 300), Ok(()));
        assert_eq!(at(both, 301), Err(Cause::TimestampExpired));
        assert_eq!(at(both, -300), Ok(()));
        assert_eq!(at(both, -301), Err(Cause::TimestampInFuture));
        assert_eq!(at(Window::past(5), -100_000), Ok(()));
        assert_eq!(at(Window::NONE, 100_000), Ok(()));
        assert_eq!(judge(both, Unit::Milliseconds, 0, 300_001), Err(Cause::TimestampExpired));
    }

    #[test]
    fn a_configured_window_keeps_the_providers_directions() {
        let settings = |name: &str| Settings::new([(name.to_owned(), 60.into())].into_iter().collect());
        let set = settings("toleranceSeconds");
        assert_eq!(Window::NONE.configured(&set), Window::both(60));
        assert_eq!(Window::past(5).configured(&set), Window::past(60));
        assert_eq!(Window::both(5).configured(&settings("timestampGraceSeconds")), Window::both(60));
        assert_eq!(Window::both(5).configured(&Settings::default()), Window::both(5));
    }
}
