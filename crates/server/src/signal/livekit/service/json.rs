//! The JSON form of protobuf, as far as the server API needs it: read leniently, as the
//! specification asks for (names in either style, numbers as strings), written strictly.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode::Indifferent;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

/// A field that does not hold what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the field {0} is not what it should be")]
pub(super) struct BadField(&'static str);

/// A message that can be read. Fields that are unknown are passed over.
pub(super) trait FromJson: Sized {
    fn from_json(fields: &mut Fields) -> Result<Self, BadField>;
}

/// A message that can be written.
pub(super) trait ToJson {
    fn to_json(&self) -> Value;
}

impl<T: ToJson> ToJson for Vec<T> {
    fn to_json(&self) -> Value {
        self.iter().map(ToJson::to_json).collect()
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, ToJson::to_json)
    }
}

/// The name of an enum's value, or its number where there is no name here.
pub(super) fn named<E: TryFrom<i32>>(value: i32, name: impl Fn(&E) -> &'static str) -> Value {
    E::try_from(value).map_or(Value::from(value), |known| Value::from(name(&known)))
}

/// The fields of a message, by their names in camel case. What is absent or null is the default.
#[derive(Debug)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn parse(bytes: &[u8]) -> Result<Fields, serde_json::Error> {
        serde_json::from_slice(bytes).map(Fields)
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        let value = self.0.remove(name).or_else(|| self.0.remove(&snake(name)));
        value.filter(|value| !value.is_null())
    }

    /// Reads a field that is there.
    fn read<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>, BadField> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        read(value).map(Some).ok_or(BadField(name))
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<String, BadField> {
        Ok(self.read(name, text)?.unwrap_or_default())
    }

    pub(super) fn optional_text(&mut self, name: &'static str) -> Result<Option<String>, BadField> {
        self.read(name, text)
    }

    pub(super) fn texts(&mut self, name: &'static str) -> Result<Vec<String>, BadField> {
        let all = self.read(name, |value| list(value)?.into_iter().map(text).collect())?;
        Ok(all.unwrap_or_default())
    }

    pub(super) fn pairs(
        &mut self,
        name: &'static str,
    ) -> Result<BTreeMap<String, String>, BadField> {
        let all = self.read(name, |value| {
            let pairs = map(value)?.into_iter();
            pairs
                .map(|(key, value)| Some((key, text(value)?)))
                .collect()
        })?;
        Ok(all.unwrap_or_default())
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, BadField> {
        Ok(self
            .read(name, |value| value.as_bool())?
            .unwrap_or_default())
    }

    pub(super) fn number(&mut self, name: &'static str) -> Result<u32, BadField> {
        Ok(self
            .read(name, |value| whole(&value)?.try_into().ok())?
            .unwrap_or_default())
    }

    /// Either alphabet, with or without padding.
    pub(super) fn bytes(&mut self, name: &'static str) -> Result<Vec<u8>, BadField> {
        const CONFIG: GeneralPurposeConfig =
            GeneralPurposeConfig::new().with_decode_padding_mode(Indifferent);
        let decoded = self.read(name, |value| {
            let text = text(value)?;
            let url_safe = text.contains(['-', '_']);
            let alphabet = if url_safe { &URL_SAFE } else { &STANDARD };
            GeneralPurpose::new(alphabet, CONFIG).decode(text).ok()
        })?;
        Ok(decoded.unwrap_or_default())
    }

    /// A value of an enum, by name or by number.
    pub(super) fn choice<E: Into<i32>>(
        &mut self,
        name: &'static str,
        from: impl Fn(&str) -> Option<E>,
    ) -> Result<i32, BadField> {
        Ok(self
            .read(name, |value| choice(&value, &from))?
            .unwrap_or_default())
    }

    pub(super) fn choices<E: Into<i32>>(
        &mut self,
        name: &'static str,
        from: impl Fn(&str) -> Option<E>,
    ) -> Result<Vec<i32>, BadField> {
        let all = self.read(name, |value| {
            let values = list(value)?.into_iter();
            values.map(|value| choice(&value, &from)).collect()
        })?;
        Ok(all.unwrap_or_default())
    }

    pub(super) fn message<T: FromJson>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, BadField> {
        let fields = self.read(name, map)?;
        fields
            .map(|fields| T::from_json(&mut Fields(fields)))
            .transpose()
    }

    pub(super) fn messages<T: FromJson>(&mut self, name: &'static str) -> Result<Vec<T>, BadField> {
        let all: Option<Vec<_>> =
            self.read(name, |value| list(value)?.into_iter().map(map).collect())?;
        let all = all.unwrap_or_default().into_iter();
        all.map(|fields| T::from_json(&mut Fields(fields)))
            .collect()
    }
}

fn text(value: Value) -> Option<String> {
    if let Value::String(text) = value {
        Some(text)
    } else {
        None
    }
}

fn list(value: Value) -> Option<Vec<Value>> {
    if let Value::Array(list) = value {
        Some(list)
    } else {
        None
    }
}

fn map(value: Value) -> Option<Map<String, Value>> {
    if let Value::Object(map) = value {
        Some(map)
    } else {
        None
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value.as_str() {
        Some(text) => text.parse().ok(),
        None => value.as_i64(),
    }
}

fn choice<E: Into<i32>>(value: &Value, from: &impl Fn(&str) -> Option<E>) -> Option<i32> {
    match value.as_str() {
        Some(name) => from(name).map(Into::into),
        None => value.as_i64()?.try_into().ok(),
    }
}

fn snake(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 4);
    for c in camel.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use umbrella_wire::client::data_packet::Kind;

    use super::*;

    fn fields(text: &str) -> Fields {
        Fields::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn sdk_of_another_language_writes_names_and_numbers_its_own_way() {
        for text in [
            r#"{"emptyTimeout": 7, "kind": "LOSSY", "data": "_-8="}"#,
            r#"{"empty_timeout": "7", "kind": 1, "data": "/+8"}"#,
        ] {
            let mut fields = fields(text);
            assert_eq!(fields.number("emptyTimeout"), Ok(7), "{text}");
            assert_eq!(fields.choice("kind", Kind::from_str_name), Ok(1), "{text}");
            assert_eq!(fields.bytes("data"), Ok(vec![0xff, 0xef]), "{text}");
        }
    }

    #[test]
    fn wrong_field_passes_for_an_absent_one() {
        let text = r#"{"a": 1, "b": "x", "c": -1, "d": {"k": 1}, "e": "NO", "f": [1], "g": null}"#;
        let mut fields = fields(text);
        assert!(fields.text("a").is_err());
        assert!(fields.flag("b").is_err());
        assert!(fields.number("c").is_err());
        assert!(fields.pairs("d").is_err());
        assert!(fields.choice("e", Kind::from_str_name).is_err());
        assert!(fields.texts("f").is_err());
        assert_eq!(fields.text("g"), Ok(String::new()));
    }
}
