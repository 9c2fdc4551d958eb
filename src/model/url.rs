//! URLs as they are shown.

use std::borrow::Cow;

use url::Url;

/// What stands for a password that is not shown.
const MASK: &str = "***";

/// A URL that came back as it was shown, perhaps changed elsewhere, with the password that it had. A
/// password never goes to another place: `None` where scheme, user, host or port differ.
pub fn unmasked(url: Url, before: Option<&str>) -> Option<Url> {
    if url.password() != Some(MASK) {
        return Some(url);
    }
    let before = Url::parse(before?).ok()?;
    let place = |url: &Url| (url.scheme().to_owned(), url.username().to_owned(), url.host_str().map(str::to_owned));
    if place(&url) != place(&before) || url.port_or_known_default() != before.port_or_known_default() {
        return None;
    }
    let mut whole = url;
    whole.set_password(before.password()).ok()?;
    Some(whole)
}

/// A URL with its password masked: how answers and records show it.
pub fn masked(url: &str) -> Cow<'_, str> {
    if !url.contains('@') {
        return Cow::Borrowed(url);
    }
    match Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => {
            // Setting a password fails only where there can be none.
            let _ = parsed.set_password(Some(MASK));
            Cow::Owned(parsed.into())
        }
        _ => Cow::Borrowed(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_password_is_the_one_before_at_the_same_place_only() {
        let before = Some("https://user:secret@example.com/a");
        for (url, before, whole) in [
            ("https://user:***@example.com/b", before, Some("https://user:secret@example.com/b")),
            ("https://user:***@example.com:443/a", before, Some("https://user:secret@example.com/a")),
            ("https://user:other@example.com/a", before, Some("https://user:other@example.com/a")),
            ("https://example.org/", before, Some("https://example.org/")),
            ("https://user:***@example.org/a", before, None),
            ("http://user:***@example.com/a", before, None),
            ("https://other:***@example.com/a", before, None),
            ("https://user:***@example.com:8443/a", before, None),
            ("https://user:***@example.com/a", None, None),
        ] {
            let url = Url::parse(url).expect("a URL");
            assert_eq!(unmasked(url, before).map(String::from).as_deref(), whole);
        }
    }

    #[test]
    fn passwords_are_masked_and_nothing_else() {
        for (url, shown) in [
            ("https://example.com/a@b", "https://example.com/a@b"),
            ("https://user@example.com/", "https://user@example.com/"),
            ("https://user:secret@example.com/", "https://user:***@example.com/"),
            ("https://:secret@example.com/", "https://:***@example.com/"),
        ] {
            assert_eq!(masked(url), shown);
        }
    }
}
