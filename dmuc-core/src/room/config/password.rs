//! The password-protected room (XEP-0045 §7.2.5): a switch and a secret, two fields of one option.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use xmpp_parsers::data_forms::{Field, FieldType};

use super::field::{boolean, labelled, read_boolean, read_line};
use super::{Config, Refused, RoomOption};

const PROTECTED_VAR: &str = "muc#roomconfig_passwordprotectedroom";
const SECRET_VAR: &str = "muc#roomconfig_roomsecret";
const CHARS_MAX: usize = 255;

/// The password of a room: a string that does not show itself in logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Deref for Password {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

pub(super) struct Protected;
pub(super) static PROTECTED: Protected = Protected;

impl RoomOption for Protected {
    fn var(&self) -> &'static str {
        PROTECTED_VAR
    }

    fn field(&self, config: &Config) -> Field {
        boolean(PROTECTED_VAR, "A password is required to enter", config.password.is_some())
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        match read_boolean(PROTECTED_VAR, values)? {
            Some(false) => config.password = None,
            // Refused by `check` unless the secret is there.
            Some(true) => {
                config.password.get_or_insert_with(|| Password::from(""));
            }
            None => {}
        }
        Ok(())
    }

    fn feature(&self, config: &Config) -> Option<&'static str> {
        Some(if config.password.is_some() { "muc_passwordprotected" } else { "muc_unsecured" })
    }

    fn protects(&self) -> bool {
        true
    }

    fn tightens(&self, old: &Config, new: &Config) -> bool {
        old.password.is_none() && new.password.is_some()
    }
}

pub(super) struct Secret;
pub(super) static SECRET: Secret = Secret;

impl RoomOption for Secret {
    fn var(&self) -> &'static str {
        SECRET_VAR
    }

    fn field(&self, config: &Config) -> Field {
        let secret = config.password.as_deref().map(str::to_owned);
        labelled(SECRET_VAR, FieldType::TextPrivate, "Password", secret.into_iter().collect())
    }

    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused> {
        let secret = read_line(SECRET_VAR, CHARS_MAX, values)?;
        // Where the switch is left out the secret speaks for it: filled in, it holds; emptied, nothing is asked for.
        config.password = (!secret.is_empty()).then(|| secret.into());
        Ok(())
    }

    fn protects(&self) -> bool {
        true
    }

    fn tightens(&self, old: &Config, new: &Config) -> bool {
        old.password.is_none() && new.password.is_some()
    }
}

/// Refuses a protected room with an empty password (XEP-0045 §10.1.3), which anybody could enter.
pub(super) fn check(config: &Config) -> Result<(), Refused> {
    match config.password.as_deref() {
        Some("") => Err(Refused::Invalid { var: SECRET_VAR, why: "a password is required" }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, RoomOption, SECRET};

    #[test]
    fn passwords_stay_out_of_logs() {
        let mut config = Config { password: Some("cauldronburn".into()), ..Config::default() };
        assert!(!format!("{config:?}").contains("cauldronburn"));
        let long = "cauldronburn".repeat(30);
        let refused = SECRET.apply(&mut config, &[long]).expect_err("too long");
        assert!(!format!("{refused} {refused:?}").contains("cauldron"));
    }
}
