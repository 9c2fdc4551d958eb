//! Timestamps: how they are written, and how far from the clock they may be.

use serde_json::Value;

use super::super::{Cause, Settings};

/// The settings by which a source's owner says the window, in seconds; the second is the API
/// contract's name for Tailscale.
pub(crate) const TOLERANCE_SETTINGS: [&str; 2] = ["toleranceSeconds", "timestampGraceSeconds"];
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
            Self::Rfc3339 => rfc3339_ms(text).map(Some),
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

/// How far a timestamp may be from the clock, in seconds; `None` is any distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tolerance {
    /// How old.
    pub past_s: Option<u32>,
    /// How far ahead.
    pub future_s: Option<u32>,
}

impl Tolerance {
    /// No window, unless the source's owner sets one.
    pub(crate) const NONE: Self = Self { past_s: None, future_s: None };

    /// So many seconds both ways.
    pub(crate) const fn both(seconds: u32) -> Self {
        Self { past_s: Some(seconds), future_s: Some(seconds) }
    }

    /// So many seconds in the past, and any time ahead.
    pub(crate) const fn past(seconds: u32) -> Self {
        Self { past_s: Some(seconds), future_s: None }
    }

    /// What the source's owner has set, in the directions that the provider's rule has; both where it
    /// has none.
    pub(crate) fn configured(self, settings: &Settings) -> Self {
        let set = TOLERANCE_SETTINGS.iter().find_map(|name| settings.integer(name));
        let Some(seconds) = set.and_then(|seconds| u32::try_from(seconds).ok()) else {
            return self;
        };
        let has_rule = self.past_s.is_some() || self.future_s.is_some();
        Self {
            past_s: (self.past_s.is_some() || !has_rule).then_some(seconds),
            future_s: (self.future_s.is_some() || !has_rule).then_some(seconds),
        }
    }

    /// Whether a time is in the window: the limit itself is. A clock of seconds is compared with one of
    /// seconds.
    pub(crate) fn judge(self, unit: Unit, at_ms: i64, now_ms: i64) -> Result<(), Cause> {
        let now_ms = if unit == Unit::Seconds { now_ms.div_euclid(1_000) * 1_000 } else { now_ms };
        let age_ms = now_ms.saturating_sub(at_ms);
        let is_beyond = |ms: i64, limit_s: Option<u32>| limit_s.is_some_and(|limit| ms > i64::from(limit) * 1_000);
        if is_beyond(age_ms, self.past_s) {
            Err(Cause::TimestampExpired)
        } else if is_beyond(age_ms.saturating_neg(), self.future_s) {
            Err(Cause::TimestampInFuture)
        } else {
            Ok(())
        }
    }
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

/// Milliseconds since 1970 of `2025-10-09T08:53:20.123456789Z` or with an offset.
fn rfc3339_ms(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| decimal(text.get(from..to)?);
    let is_at = |at: usize, marks: &str| text.as_bytes().get(at).is_some_and(|b| marks.contains(char::from(*b)));
    let is_laid_out = is_at(4, "-") && is_at(7, "-") && is_at(10, "Tt") && is_at(13, ":") && is_at(16, ":");
    if !is_laid_out {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let is_time = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !is_time {
        return None;
    }
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(after) => after.split_at(after.find(|c: char| !c.is_ascii_digit())?),
        None => ("0", rest),
    };
    if fraction.is_empty() {
        return None;
    }
    let thousandths =
        fraction.bytes().chain([b'0', b'0']).take(3).fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0'));
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some((seconds - offset_s(zone)?) * 1_000 + thousandths)
}

/// Seconds east of Greenwich.
fn offset_s(zone: &str) -> Option<i64> {
    if zone == "Z" || zone == "z" {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let is_laid_out = hours.len() == 2 && minutes.len() == 2;
    let (hours, minutes) = (decimal(hours)?, decimal(minutes)?);
    (is_laid_out && hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// Days from 1970 to a date (Howard Hinnant's algorithm).
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
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
        let both = Tolerance::both(300);
        let judge =
            |tolerance: Tolerance, age_s: i64| tolerance.judge(Unit::Seconds, 1_000_000 - age_s * 1_000, 1_000_999);
        assert_eq!(judge(both, 300), Ok(()));
        assert_eq!(judge(both, 301), Err(Cause::TimestampExpired));
        assert_eq!(judge(both, -300), Ok(()));
        assert_eq!(judge(both, -301), Err(Cause::TimestampInFuture));
        assert_eq!(judge(Tolerance::past(5), -100_000), Ok(()));
        assert_eq!(judge(Tolerance::NONE, 100_000), Ok(()));
        assert_eq!(both.judge(Unit::Milliseconds, 0, 300_001), Err(Cause::TimestampExpired));
    }

    #[test]
    fn a_configured_window_keeps_the_providers_directions() {
        let settings = |name: &str| Settings::new([(name.to_owned(), 60.into())].into_iter().collect());
        let set = settings("toleranceSeconds");
        assert_eq!(Tolerance::NONE.configured(&set), Tolerance::both(60));
        assert_eq!(Tolerance::past(5).configured(&set), Tolerance::past(60));
        assert_eq!(Tolerance::both(5).configured(&settings("timestampGraceSeconds")), Tolerance::both(60));
        assert_eq!(Tolerance::both(5).configured(&Settings::default()), Tolerance::both(5));
    }
}
