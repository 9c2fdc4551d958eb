//! Wall-clock time as the store and the API see it.

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type UnixMs = i64;

/// Where the time of day comes from. An argument everywhere, so that tests and the simulation
/// can be elsewhere in time.
pub trait Clock: Send + Sync + 'static {
    /// Now, in milliseconds since 1970.
    fn now_ms(&self) -> UnixMs;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now_ms(&self) -> UnixMs {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Bytes of a time as written.
const BYTES: usize = 24;
/// 9999-12-31T23:59:59.999Z: what is later is written as this.
pub const LAST: UnixMs = 253_402_300_799_999;

/// A time as RFC 3339 writes it, with milliseconds and `Z`.
pub fn rfc3339_bytes(at: UnixMs) -> [u8; BYTES] {
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

/// The same as text.
pub fn rfc3339(at: UnixMs) -> String {
    rfc3339_bytes(at).iter().map(|&byte| char::from(byte)).collect()
}
