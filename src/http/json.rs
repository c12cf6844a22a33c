//! Strict JSON: only an object is accepted for a type with named fields.
//!
//! Serde's derived types also accept a list, and take its items as the fields in the order of their declaration. An
//! answer `["x", "y"]` would then be a customer `x` with account ID `y`. [`from_slice`] refuses that, at every depth.
//! It does not reach into types that serde buffers first (`untagged`, `flatten`); the types of answers use neither.

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::fmt;

/// Parses one document; further text after it is an error.
pub(super) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    let mut document = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(Strict(&mut document))?;
    document.end()?;
    Ok(value)
}

/// Wraps a deserializer, a visitor, a seed, or the access to a list or a map, and wraps everything that these pass on.
struct Strict<T>(T);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Strict(visitor))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(Strict(visitor))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(Strict(visitor))
    }

    /// `serde_json` recognises a `RawValue` by this name.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, Strict(visitor))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_ignored_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<V::Value, E> {
        self.0.visit_bool(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<V::Value, E> {
        self.0.visit_i64(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<V::Value, E> {
        self.0.visit_u64(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        self.0.visit_f64(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        self.0.visit_str(value)
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<V::Value, E> {
        self.0.visit_borrowed_str(value)
    }

    fn visit_string<E: Error>(self, value: String) -> Result<V::Value, E> {
        self.0.visit_string(value)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Strict(value))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Strict(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Strict(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Strict(fields))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Strict(from))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<A> {
    type Error = A::Error;

    /// A key has no fields, so it needs no wrapper.
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::value::RawValue;

    #[derive(Debug, Deserialize)]
    struct Body {
        id: String,
        #[serde(default)]
        inner: Option<Box<Body>>,
        #[serde(default)]
        items: Vec<Body>,
        #[serde(default)]
        raw: Option<Box<RawValue>>,
        #[serde(default)]
        anything: serde_json::Value,
        #[serde(default)]
        number: Option<f64>,
    }

    #[test]
    fn list_in_place_of_an_object_is_rejected_at_any_depth() {
        for list in [
            r#"["x", null, [], null, null, null]"#,
            r#"{"id": "x", "inner": ["y"]}"#,
            r#"{"id": "x", "inner": ["y", null, [], null, null, null]}"#,
            r#"{"id": "x", "items": [["y", null, [], null, null, null]]}"#,
            "[]",
        ] {
            assert!(from_slice::<Body>(list.as_bytes()).is_err(), "{list}");
        }
        let list = br#"[["x", null, [], null, null, null]]"#;
        assert!(from_slice::<Vec<Body>>(list).is_err());
        assert!(from_slice::<Vec<Body>>(br#"[{"id": "x"}]"#).is_ok());
    }

    #[test]
    fn valid_body_is_read_and_invalid_body_is_rejected() {
        let text = br#" {"id": "x\u00e9", "more": [[{}], 1e3], "items": [{"id": "y", "number": 7}],
            "raw": {"b" : [1,  2.50]}, "anything": [{"c": [null, true, -1]}], "inner": {"id": "z", "number": 0.5}} "#;
        let body: Body = from_slice(text).unwrap();
        assert_eq!((body.id.as_str(), body.items[0].number), ("xé", Some(7.0)));
        assert_eq!(body.raw.unwrap().get(), r#"{"b" : [1,  2.50]}"#);
        assert_eq!(body.anything.to_string(), r#"[{"c":[null,true,-1]}]"#);
        assert_eq!(body.inner.unwrap().number, Some(0.5));
        for wrong in ["", "{", r#"{"id": "x"} x"#, r#"{"id": 1}"#, "{}", "null"] {
            assert!(from_slice::<Body>(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
