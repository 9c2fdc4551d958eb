//! A text that a simple regular expression matches: letters, classes, repetitions, groups and
//! alternatives. What looks around, refers back, or excludes by Unicode's properties has none here.

use std::iter::Peekable;
use std::str::Chars;

/// Longest text, and levels of groups.
const CHARACTERS_MAX: usize = 256;
const DEPTH_MAX: usize = 16;
/// What an open class is filled from, in this order.
const FILL: &str = "aA0 _-.:/";

/// A text that `pattern` matches; `None` where the pattern is not simple.
pub(super) fn example_of(pattern: &str) -> Option<String> {
    let mut reader = Reader { rest: pattern.chars().peekable(), depth: 0 };
    let text = reader.alternatives()?;
    reader.rest.next().is_none().then_some(text)
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    depth: usize,
}

impl Reader<'_> {
    /// The first of what `|` separates.
    fn alternatives(&mut self) -> Option<String> {
        let first = self.sequence()?;
        while self.rest.next_if_eq(&'|').is_some() {
            self.sequence()?;
        }
        Some(first)
    }

    fn sequence(&mut self) -> Option<String> {
        let mut out = String::new();
        while let Some(&next) = self.rest.peek() {
            if matches!(next, '|' | ')') {
                break;
            }
            let atom = self.atom()?;
            let times = self.times()?;
            if out.len() + atom.len() * times > CHARACTERS_MAX {
                return None;
            }
            out.push_str(&atom.repeat(times));
        }
        Some(out)
    }

    fn atom(&mut self) -> Option<String> {
        let one = match self.rest.next()? {
            '^' | '$' => return Some(String::new()),
            '(' => return self.group(),
            '[' => self.class()?,
            '\\' => self.escape()?,
            '.' => 'a',
            '*' | '+' | '?' | '{' => return None,
            other => other,
        };
        Some(one.to_string())
    }

    fn group(&mut self) -> Option<String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        if self.rest.next_if_eq(&'?').is_some() {
            match self.rest.next()? {
                ':' => {}
                '<' => {
                    // A name; what looks back has `=` or `!` there.
                    if !self.rest.peek()?.is_alphabetic() {
                        return None;
                    }
                    self.rest.by_ref().find(|next| *next == '>')?;
                }
                _ => return None,
            }
        }
        let inner = self.alternatives()?;
        self.rest.next_if_eq(&')')?;
        self.depth -= 1;
        Some(inner)
    }

    fn escape(&mut self) -> Option<char> {
        match self.rest.next()? {
            'd' => Some('0'),
            'w' | 'D' | 'S' => Some('a'),
            's' | 'W' => Some(' '),
            't' => Some('\t'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            other if other.is_alphanumeric() => None,
            other => Some(other),
        }
    }

    /// One character of a class such as `[a-z_]` or `[^/]`.
    fn class(&mut self) -> Option<char> {
        let excludes = self.rest.next_if_eq(&'^').is_some();
        let mut ranges: Vec<(char, char)> = Vec::new();
        loop {
            let low = match self.rest.next()? {
                ']' => break,
                '\\' if self.rest.peek().is_some_and(|next| named(*next).is_some()) => {
                    ranges.extend(self.rest.next().and_then(named).unwrap_or_default());
                    continue;
                }
                '\\' => self.escape()?,
                '[' => return None,
                other => other,
            };
            // A hyphen at the end stands for itself.
            let mut ahead = self.rest.clone();
            if ahead.next() == Some('-') && ahead.next().is_some_and(|next| next != ']') {
                self.rest.next();
                let high = match self.rest.next()? {
                    '\\' => self.escape()?,
                    other => other,
                };
                ranges.push((low, high));
            } else {
                ranges.push((low, low));
            }
        }
        if !excludes {
            return ranges.first().map(|range| range.0);
        }
        FILL.chars().find(|fill| !ranges.iter().any(|(low, high)| (low..=high).contains(&fill)))
    }

    /// How often what stands before is repeated: as seldom as may be, but once where it may be.
    fn times(&mut self) -> Option<usize> {
        let times = match self.rest.peek() {
            Some('*' | '+' | '?') => {
                self.rest.next();
                1
            }
            Some('{') => {
                self.rest.next();
                let mut bounds = String::new();
                loop {
                    match self.rest.next()? {
                        '}' => break,
                        digit => bounds.push(digit),
                    }
                }
                let (low, high) = bounds.split_once(',').map_or((bounds.as_str(), bounds.as_str()), |both| both);
                let low: usize = low.parse().ok()?;
                if low == 0 && high != "0" { 1 } else { low }
            }
            _ => return Some(1),
        };
        // As few as possible, or all that there are: for one text it is the same.
        if matches!(self.rest.peek(), Some('?' | '+')) {
            self.rest.next();
        }
        Some(times.min(CHARACTERS_MAX + 1))
    }
}

/// The characters of `\d`, `\w` and `\s`.
fn named(class: char) -> Option<&'static [(char, char)]> {
    match class {
        'd' => Some(&[('0', '9')]),
        'w' => Some(&[('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')]),
        's' => Some(&[(' ', ' '), ('\t', '\r')]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::example_of;

    #[test]
    fn simple_patterns_have_an_example() {
        for (pattern, expected) in [
            ("", Some("")),
            ("^abc$", Some("abc")),
            (r"^\d{3}-\d{2,4}$", Some("000-00")),
            ("^[A-Z][a-z]+$", Some("Aa")),
            ("^(inv|ord)_[0-9a-f]{4}$", Some("inv_0000")),
            ("(?:a|b)?c*", Some("ac")),
            (r"^\+?[1-9]\d{1,14}$", Some("+10")),
            ("^[^a-z]{2}$", Some("AA")),
            (r"^[\w.-]+@[\w-]+\.com$", Some("a@a.com")),
            ("(?<year>[0-9]{4})", Some("0000")),
            (r"\.\*\\", Some(".*\\")),
            (r"^[^\s]+[^\w]$", Some("a ")),
            (r"[\d.]", Some("0")),
            ("[]a]", None),
            ("[a-]", Some("a")),
            ("x{0}y{0,3}", Some("y")),
            ("a+?", Some("a")),
            ("(?=a)b", None),
            (r"(a)\1", None),
            (r"\p{L}", None),
            ("[[:alpha:]]", None),
            ("a{1000}", None),
            ("(a", None),
            ("a)", None),
            ("*", None),
            ("[a", None),
            ("a{", None),
            ("a{x}", None),
            ("\\", None),
            ("(?<=a)b", None),
        ] {
            assert_eq!(example_of(pattern).as_deref(), expected, "{pattern}");
        }
        assert_eq!(example_of(&"(".repeat(1_000)), None);
        assert_eq!(example_of(&"(a{100}){100}".repeat(3)), None);
    }
}
