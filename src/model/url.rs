//! URLs as they are shown.

use std::borrow::Cow;

use url::Url;

/// A URL with its password masked: how answers and records show it.
pub fn masked(url: &str) -> Cow<'_, str> {
    if !url.contains('@') {
        return Cow::Borrowed(url);
    }
    match Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => {
            // Setting a password fails only where there can be none.
            let _ = parsed.set_password(Some("***"));
            Cow::Owned(parsed.into())
        }
        _ => Cow::Borrowed(url),
    }
}

#[cfg(test)]
mod tests {
    use super::masked;

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
