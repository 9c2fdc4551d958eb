//! The `Retry-After` of an answer, in both forms (RFC 9110, 10.2.3).

use std::time::UNIX_EPOCH;

use http::HeaderValue;

use crate::model::outcome::RetryAfterS;
use crate::model::time::{Clock, UnixMs};

/// What asks for more than this is nonsense: 30 days.
const RETRY_AFTER_S_MAX: u64 = 30 * 86_400;

/// Seconds to wait; `None` for what makes no sense. A date that has passed means now.
pub(super) fn parse(value: &HeaderValue, clock: &dyn Clock) -> Option<RetryAfterS> {
    let text = value.to_str().ok()?.trim();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let seconds = if digits { text.parse().ok()? } else { seconds_until(text, clock.now_ms())? };
    if seconds > RETRY_AFTER_S_MAX {
        return None;
    }
    RetryAfterS::try_from(seconds).ok()
}

/// Rounded up: not a moment too early.
fn seconds_until(http_date: &str, now_ms: UnixMs) -> Option<u64> {
    let date = httpdate::parse_http_date(http_date).ok()?;
    let date_ms = date.duration_since(UNIX_EPOCH).ok()?.as_millis();
    let wait_ms = i128::try_from(date_ms).ok()? - i128::from(now_ms);
    u64::try_from(wait_ms.max(0)).ok().map(|ms| ms.div_ceil(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(UnixMs);
    impl Clock for At {
        fn now_ms(&self) -> UnixMs {
            self.0
        }
    }

    #[test]
    fn both_forms_and_nonsense() {
        // Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110.
        let now = At(784_111_777_000);
        for (text, wanted) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 5 ", Some(5)),
            ("007", Some(7)),
            ("2592000", Some(2_592_000)),
            ("2592001", None),
            ("99999999999999", None),
            ("99999999999999999999999999", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1e300", None),
            ("inf", None),
            ("NaN", None),
            ("0x10", None),
            ("10, 20", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", Some(0)),
            ("Tue, 06 Dec 1994 08:49:37 GMT", Some(2_592_000)),
            ("Tue, 06 Dec 1994 08:49:38 GMT", None),
            ("Fri, 31 Dec 9999 23:59:59 GMT", None),
            ("Sun, 06 Nov 1994 25:00:00 GMT", None),
        ] {
            let value = HeaderValue::from_str(text).expect("a header");
            assert_eq!(parse(&value, &now), wanted, "{text}");
        }
        let bytes = HeaderValue::from_bytes(b"\xff\xfe").expect("a header");
        assert_eq!(parse(&bytes, &now), None);
        let late = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(parse(&late, &At(784_111_777_001)), Some(1));
    }
}
