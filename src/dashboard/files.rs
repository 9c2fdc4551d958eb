//! The embedded files: their media types, tags, and the codings in which each is there.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

/// What pages are.
const HTML: &str = "text/html; charset=utf-8";

/// How the bytes of a file are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Brotli,
    Gzip,
    Identity,
}

impl Coding {
    /// As the header names it; the file as it is has none.
    pub(super) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Identity => None,
        }
    }

    /// What follows the name of a file that is coded so.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
            Self::Identity => "",
        }
    }

    /// Whether Brotli and gzip are taken, by the values of `Accept-Encoding`.
    pub(super) fn accepted<'a>(values: impl Iterator<Item = &'a str>) -> (bool, bool) {
        let (mut brotli, mut gzip, mut any) = (None, None, None);
        for range in values.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let is_taken = weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0));
            match name.to_ascii_lowercase().as_str() {
                "br" => brotli = Some(is_taken),
                "gzip" | "x-gzip" => gzip = Some(is_taken),
                "*" => any = Some(is_taken),
                _ => {}
            }
        }
        let taken = |of: Option<bool>| of.or(any).unwrap_or(false);
        (taken(brotli), taken(gzip))
    }
}

/// A file in one of its codings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variant {
    pub(super) coding: Coding,
    pub(super) bytes: &'static [u8],
}

/// A file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) media_type: &'static str,
    /// Its entity tag, the same for all codings.
    pub(super) tag: String,
    bytes: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

impl File {
    /// The shortest of what is taken.
    pub(super) fn variant(&self, (brotli, gzip): (bool, bool)) -> Variant {
        if let Some(bytes) = self.brotli.filter(|_| brotli) {
            return Variant { coding: Coding::Brotli, bytes };
        }
        if let Some(bytes) = self.gzip.filter(|_| gzip) {
            return Variant { coding: Coding::Gzip, bytes };
        }
        Variant { coding: Coding::Identity, bytes: self.bytes }
    }
}

/// All files, by path.
#[derive(Debug)]
pub(super) struct Files(HashMap<&'static str, File>);

impl Files {
    /// From a table of paths and bytes.
    pub(super) fn new(table: &'static [(&'static str, &'static [u8])]) -> Self {
        let coded = |name: &str, coding: Coding| {
            let name = format!("{name}{}", coding.suffix());
            table.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
        };
        let is_coding = |name: &str| {
            let plain = name.strip_suffix(".br").or_else(|| name.strip_suffix(".gz"));
            plain.is_some_and(|plain| table.iter().any(|(known, _)| *known == plain))
        };
        let files = table.iter().filter(|(name, _)| !is_coding(name)).map(|(name, bytes)| {
            let hash = crate::store::seal::hex(&Sha256::digest(bytes)[..16]);
            let file = File {
                media_type: media_type(name),
                // Weak, because the codings share it.
                tag: format!("W/\"{hash}\""),
                bytes,
                brotli: coded(name, Coding::Brotli),
                gzip: coded(name, Coding::Gzip),
            };
            (*name, file)
        });
        Self(files.collect())
    }

    /// One of them; none where the app was not built.
    pub(super) fn get(&self, name: &str) -> Option<&File> {
        self.0.get(name)
    }

    /// Files beside the pages, such as an icon.
    pub(super) fn beside_pages(&'static self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied().filter(|name| !name.contains('/') && media_type(name) != HTML)
    }
}

/// What a file is, by the end of its name.
fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => HTML,
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_those_that_are_taken() {
        for (values, expected) in [
            (&[][..], (false, false)),
            (&["gzip, deflate, br, zstd"], (true, true)),
            (&["gzip"], (false, true)),
            (&["br;q=0, gzip;q=0.5"], (false, true)),
            (&["BR ; q=0.1"], (true, false)),
            (&["*"], (true, true)),
            (&["*;q=0"], (false, false)),
            (&["*, br;q=0"], (false, true)),
            (&["identity", "gzip"], (false, true)),
            (&["br;q=x"], (false, false)),
            (&["brotli"], (false, false)),
        ] {
            assert_eq!(Coding::accepted(values.iter().copied()), expected, "{values:?}");
        }
    }
}
