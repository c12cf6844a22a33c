//! IDs as the systems write them: text, or on some installations whole numbers, which are read as their digits.

use serde::de::{Deserializer, Error, Visitor};
use smol_str::{SmolStr, ToSmolStr};
use std::fmt;

/// Reads an ID that must not be `null`.
pub(super) fn required<'de, D: Deserializer<'de>>(from: D) -> Result<SmolStr, D::Error> {
    let text = from.deserialize_any(IdText)?;
    text.ok_or_else(|| D::Error::custom("null where an ID belongs"))
}

/// Reads an ID that may be `null`.
pub(super) fn optional<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SmolStr>, D::Error> {
    from.deserialize_any(IdText)
}

struct IdText;

impl Visitor<'_> for IdText {
    type Value = Option<SmolStr>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a whole number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(SmolStr::new(text)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number.to_smolstr()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number.to_smolstr()))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    #[derive(serde::Deserialize)]
    struct Body {
        #[serde(deserialize_with = "super::required")]
        id: smol_str::SmolStr,
        #[serde(default, deserialize_with = "super::optional")]
        account: Option<smol_str::SmolStr>,
    }

    #[test]
    fn integers_are_read_as_ids_and_other_numbers_are_rejected() {
        let read =
            |text: &str| serde_json::from_str::<Body>(text).map(|body| (body.id, body.account));
        let (id, account) = read(r#"{"id": 18446744073709551615, "account": -7}"#).unwrap();
        assert_eq!(
            (id.as_str(), account.as_deref()),
            ("18446744073709551615", Some("-7"))
        );
        let (id, account) = read(r#"{"id": "007", "account": null}"#).unwrap();
        assert_eq!((id.as_str(), account), ("007", None));
        for wrong in ["1.5", "1e3", "18446744073709551616", "null", "true", "[1]"] {
            let text = format!(r#"{{"id": {wrong}}}"#);
            assert!(read(&text).is_err(), "{wrong}");
        }
    }
}
