//! The hats that the room has to give (XEP-0317 §4.2). They are created and destroyed by commands; the option carries
//! them to shadows, and tells occupants that something has changed.

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use xmpp_parsers::data_forms::{Field, FieldType};

use super::field::labelled;
use super::{Config, FormScope, Refused, RoomOption};
use crate::ns;
use crate::stanza::El;

const VAR: &str = "{urn:xmpp:dmuc:sync:0}hats";
/// Most hats of one room.
const HATS_MAX: usize = 64;
const URI_BYTES_MAX: usize = 256;
const TITLE_CHARS_MAX: usize = 64;

/// What a hat looks like; its name is its URI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hat {
    /// For people.
    pub title: String,
    /// Its colour as a hue angle, 0 to 360 degrees (XEP-0392).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hue: Option<String>,
}

impl Hat {
    /// As occupants see it (XEP-0317 §4.1).
    pub(crate) fn element(&self, uri: &str) -> El {
        El::new("hat", ns::HATS)
            .attr("title", &self.title)
            .attr("uri", uri)
            .attr_opt("hue", self.hue.as_deref())
    }

    fn check(&self, uri: &str) -> Result<(), &'static str> {
        let blank = |c: char| c.is_whitespace() || c.is_control();
        if uri.len() > URI_BYTES_MAX || uri.contains(blank) || !uri.contains(':') {
            return Err("must have a URI of at most 256 bytes");
        }
        let chars = self.title.chars().count();
        if self.title.trim().is_empty() || chars > TITLE_CHARS_MAX || self.title.contains(char::is_control) {
            return Err("must have a title of at most 64 characters");
        }
        let hue = self.hue.as_ref().map(|hue| hue.parse::<f64>());
        match hue {
            Some(Ok(hue)) if (0.0..=360.0).contains(&hue) => Ok(()),
            None => Ok(()),
            Some(_) => Err("must have a hue from 0 to 360"),
        }
    }
}

pub(super) struct Hats;
pub(super) static OPTION: Hats = Hats;

impl RoomOption for Hats {
    fn var(&self) -> &'static str {
        VAR
    }

    /// One value for each hat: URI, hue or `-`, title.
    fn field(&self, config: &Config) -> Field {
        let value = |(uri, hat): (&String, &Hat)| {
            format!("{uri} {} {}", hat.hue.as_deref().unwrap_or("-"), hat.title)
        };
        labelled(VAR, FieldType::TextMulti, "Hats", config.hats.iter().map(value).collect())
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        let mut read = Config::default();
        values.iter().try_for_each(|value| {
            let mut words = value.splitn(3, ' ');
            let (Some(uri), Some(hue), Some(title)) = (words.next(), words.next(), words.next()) else {
                return Err(Refused::Invalid { var: VAR, why: "must be a list of hats" });
            };
            let hue = (hue != "-").then(|| hue.to_owned());
            let hat = Hat { title: title.to_owned(), hue };
            read.put_hat(uri.to_owned(), hat).map_err(|why| Refused::Invalid { var: VAR, why })
        })?;
        config.hats = read.hats;
        Ok(())
    }

    /// By the hash clients see whether they know the hats (XEP-0317 §3).
    fn info(&self, config: &Config) -> Vec<Field> {
        if config.hats.is_empty() {
            return Vec::new();
        }
        let digest = Sha1::digest(self.field(config).values.join("\n"));
        let hash = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        vec![labelled("hats#hash", FieldType::TextSingle, "Hats hash", vec![hash])]
    }

    fn is_in(&self, scope: FormScope) -> bool {
        scope == FormScope::Peer
    }
}

impl Config {
    /// Creates a hat, or changes the one with this URI.
    ///
    /// # Errors
    /// What is wrong with it, for people, as "must ...".
    pub fn put_hat(&mut self, uri: String, hat: Hat) -> Result<(), &'static str> {
        hat.check(&uri)?;
        if self.hats.len() >= HATS_MAX && !self.hats.contains_key(&uri) {
            return Err("must be one of at most 64");
        }
        self.hats.insert(uri, hat);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, FormScope, Hat, OPTION, RoomOption};

    #[test]
    fn what_is_no_hat_is_refused() {
        let hat = |title: &str, hue: Option<&str>| Hat { title: title.into(), hue: hue.map(str::to_owned) };
        let long = ("urn:".to_owned() + &"x".repeat(252), "urn:".to_owned() + &"x".repeat(253));
        for (uri, hat, taken) in [
            ("urn:x", hat("Host", Some("360")), true),
            (&long.0, hat(&"é".repeat(64), Some("0.5")), true),
            (&long.1, hat("Host", None), false),
            ("no-uri", hat("Host", None), false),
            ("urn:a b", hat("Host", None), false),
            ("urn:x", hat(" ", None), false),
            ("urn:x", hat(&"é".repeat(65), None), false),
            ("urn:x", hat("Ho\nst", None), false),
            ("urn:x", hat("Host", Some("361")), false),
            ("urn:x", hat("Host", Some("-1")), false),
            ("urn:x", hat("Host", Some("NaN")), false),
            ("urn:x", hat("Host", Some("red")), false),
        ] {
            let mut config = Config::default();
            assert_eq!(config.put_hat(uri.to_owned(), hat.clone()).is_ok(), taken, "{uri} {hat:?}");
        }
        let mut config = Config::default();
        (0..64).for_each(|n| config.put_hat(format!("urn:{n}"), hat("Hat", None)).expect("so many"));
        assert!(
            config.put_hat("urn:0".to_owned(), hat("Other", None)).is_ok(),
            "one that there is may change"
        );
        assert!(config.put_hat("urn:64".to_owned(), hat("Hat", None)).is_err());
        assert!(!OPTION.is_in(FormScope::Owner { distributed: true }), "owners have commands for it");
    }
}
