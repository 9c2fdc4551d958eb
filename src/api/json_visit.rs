//! How serde walks over the bodies that [`json`](super::json) takes apart.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::json::Fields;
use super::validate::TEXT_BYTES_MAX;

/// Finds the known fields of an object.
pub(super) struct FieldsVisitor<const N: usize> {
    pub(super) names: &'static [&'static str; N],
}

impl<'de, const N: usize> Visitor<'de> for FieldsVisitor<N> {
    type Value = Fields<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::new(self.names);
        while let Some(known) = map.next_key_seed(KnownName(self.names))? {
            let Some(place) = known else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            fields.put(place, map.next_value::<&'de RawValue>()?);
        }
        Ok(fields)
    }
}

/// Reads a name without keeping it: its place among the known ones.
struct KnownName(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for KnownName {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for KnownName {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|known| *known == name))
    }
}

/// Texts by name that knows when a name came twice.
pub(super) struct TextMap<V = String> {
    pub(super) texts: BTreeMap<String, V>,
    pub(super) has_duplicates: bool,
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for TextMap<V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(TextMapVisitor(PhantomData))
    }
}

struct TextMapVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for TextMapVisitor<V> {
    type Value = TextMap<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextMap<V>, A::Error> {
        let mut found = TextMap { texts: BTreeMap::new(), has_duplicates: false };
        while let Some((key, value)) = map.next_entry::<String, V>()? {
            if found.texts.len() > TEXT_BYTES_MAX {
                return Err(A::Error::custom("too many names"));
            }
            found.has_duplicates |= found.texts.insert(key, value).is_some();
        }
        Ok(found)
    }
}
