//! One section while it is read: typed values out, mistakes noted, unknown keys found at the end.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::mistake::{Mistake, Place, suggestion};

/// Keys whose values must not appear in any message.
const HIDDEN: [&str; 2] = ["secret", "password"];

/// A value as written.
pub(super) struct Entry<'t> {
    place: Place,
    value: Written<'t>,
}

enum Written<'t> {
    Toml(Spanned<DeValue<'t>>),
    /// TOML if the key needs it, otherwise text as it is.
    Variable(String),
}

impl<'t> Entry<'t> {
    pub fn written(place: Place, value: Spanned<DeValue<'t>>) -> Self {
        Self { place, value: Written::Toml(value) }
    }

    pub fn variable(place: Place, value: String) -> Self {
        Self { place, value: Written::Variable(value) }
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        let said = |error: toml::de::Error| error.message().trim_end().replace('\n', " ");
        match &self.value {
            Written::Toml(value) => T::deserialize(ValueDeserializer::from(value.clone())).map_err(said),
            Written::Variable(text) => {
                let text_value = Spanned::new(0..text.len(), DeValue::String(text.as_str().into()));
                let as_text = T::deserialize(ValueDeserializer::from(text_value)).map_err(said);
                as_text.or_else(|error| {
                    ValueDeserializer::parse(text).and_then(T::deserialize).map_err(|_| error)
                })
            }
        }
    }
}

/// A section that is being read.
pub(super) struct Section<'a, 't> {
    name: &'static str,
    place: Place,
    entries: BTreeMap<String, Entry<'t>>,
    /// All keys looked for so far, and where those of this section begin.
    known: &'a mut Vec<String>,
    known_from: usize,
    mistakes: &'a mut Vec<Mistake>,
}

impl<'a, 't> Section<'a, 't> {
    pub fn new(
        name: &'static str,
        place: Place,
        entries: BTreeMap<String, Entry<'t>>,
        mistakes: &'a mut Vec<Mistake>,
        known: &'a mut Vec<String>,
    ) -> Self {
        Self { name, place, entries, known_from: known.len(), known, mistakes }
    }

    /// The value of a key, if it is there and what it must be.
    pub fn get<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        self.checked(key, Ok::<T, String>)
    }

    /// The value of a key, or what is used without it.
    pub fn get_or<T: DeserializeOwned>(&mut self, key: &str, default: T) -> T {
        self.get(key).unwrap_or(default)
    }

    /// The value of a key after a check, which may turn it into something else.
    pub fn checked<T, U>(&mut self, key: &str, check: impl FnOnce(T) -> Result<U, String>) -> Option<U>
    where
        T: DeserializeOwned,
    {
        self.known.push(key.to_owned());
        let entry = self.entries.remove(key)?;
        match entry.read().and_then(check) {
            Ok(value) => Some(value),
            Err(_) if HIDDEN.contains(&key) => self.refuse(entry.place, key, "must be a text in quotes"),
            Err(message) => self.refuse(entry.place, key, &message),
        }
    }

    /// A number of at least `least`.
    pub fn number(&mut self, key: &str, least: u64, default: u64) -> u64 {
        let check =
            |number: u64| if number < least { Err(format!("must be at least {least}")) } else { Ok(number) };
        self.checked(key, check).unwrap_or(default)
    }

    /// Notes that a key which must be there is not.
    pub fn missing(&mut self, key: &str, message: &str) {
        self.refuse::<()>(self.place.clone(), key, message);
    }

    /// Whether the key was written and not read yet.
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    fn refuse<T>(&mut self, place: Place, key: &str, message: &str) -> Option<T> {
        let key = format!("{}.{key}", self.name);
        self.mistakes.push(Mistake { place, key, message: message.to_owned() });
        None
    }

    /// Ends the reading: what is left is unknown.
    pub fn finish(mut self) {
        for (key, entry) in std::mem::take(&mut self.entries) {
            let hint = suggestion(&key, self.known[self.known_from..].iter().map(String::as_str));
            self.refuse::<()>(entry.place, &key, &format!("there is no such key{hint}"));
        }
    }
}
