//! Passwords of local users, and proving to know one (RFC 4616, RFC 5802, RFC 7677).

use std::collections::BTreeMap;
use std::sync::Arc;

use hmac::digest::Digest;
use hmac::{Hmac, KeyInit, Mac};
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechanisms::scram::properties::ScramStoredPassword;
use rsasl::mechname::Mechname;
use rsasl::prelude::{SASLConfig, SASLServer, Session, SessionError, Validation};
use rsasl::property::{AuthId, AuthzId, Password};
use rsasl::validate::{Validate, ValidationError};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// RFC 5802 §5.1 asks for at least 4 096.
const ITERATIONS: u32 = 4096;

/// The mechanisms offered, best first.
pub(super) const MECHANISMS: [&str; 3] = ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"];

struct Keys {
    stored: Vec<u8>,
    server: Vec<u8>,
}

/// What is kept of a password: nothing that logs in elsewhere.
struct Account {
    salt: [u8; 16],
    sha1: Keys,
    sha256: Keys,
}

macro_rules! derive_keys {
    ($hash:ty, $password:expr, $salt:expr) => {{
        let mut salted = <$hash>::digest(b"");
        pbkdf2::pbkdf2_hmac::<$hash>($password, $salt, ITERATIONS, &mut salted);
        let sign = |text: &[u8]| {
            let mac = Hmac::<$hash>::new_from_slice(&salted).expect("HMAC takes keys of any length");
            mac.chain_update(text).finalize().into_bytes()
        };
        Keys { stored: <$hash>::digest(sign(b"Client Key")).to_vec(), server: sign(b"Server Key").to_vec() }
    }};
}

impl Account {
    fn new(password: &[u8], salt: [u8; 16]) -> Self {
        Self {
            salt,
            sha1: derive_keys!(Sha1, password, &salt),
            sha256: derive_keys!(Sha256, password, &salt),
        }
    }

    fn knows(&self, password: &[u8]) -> bool {
        let keys: Keys = derive_keys!(Sha256, password, &self.salt);
        keys.stored.ct_eq(&self.sha256.stored).into()
    }
}

/// The users of one domain and their passwords, which are kept salted and hashed.
#[derive(Clone, Default)]
pub struct Accounts {
    users: BTreeMap<String, Arc<Account>>,
}

impl Accounts {
    /// Adds a user by localpart, or changes its password.
    #[must_use]
    pub fn with(mut self, user: &str, password: &str) -> Self {
        let account = Account::new(password.as_bytes(), *Uuid::new_v4().as_bytes());
        self.users.insert(user.to_owned(), Arc::new(account));
        self
    }

    /// Whether there is such a user.
    #[must_use]
    pub fn contains(&self, user: &str) -> bool {
        self.users.contains_key(user)
    }

    /// Begins a login; `None` if the mechanism is not on offer.
    pub(super) fn login(&self, domain: &str, mechanism: &str) -> Option<Session<Login>> {
        if !MECHANISMS.contains(&mechanism) {
            return None;
        }
        let check = Check { accounts: self.clone(), domain: domain.to_owned() };
        let config = SASLConfig::builder().with_defaults().with_callback(check).ok()?;
        let mechanism = Mechname::parse(mechanism.as_bytes()).ok()?;
        SASLServer::<Login>::new(config).start_suggested(mechanism).ok()
    }
}

/// A login's outcome: the user, or nobody.
pub(super) struct Login;

impl Validation for Login {
    type Value = Option<String>;
}

struct Check {
    accounts: Accounts,
    domain: String,
}

impl Check {
    /// The user who logs in, if it acts for itself.
    fn user(&self, context: &Context<'_>) -> Option<String> {
        let user = context.get_ref::<AuthId>()?;
        let acts_for = context.get_ref::<AuthzId>().unwrap_or("");
        let own = acts_for.is_empty() || acts_for == format!("{user}@{}", self.domain);
        own.then(|| user.to_owned())
    }

    /// For an unknown user another one's account is tried in vain, so that both take the same time.
    fn knows_password(&self, user: &str, context: &Context<'_>) -> bool {
        let known = self.accounts.users.get(user);
        let account = known.or_else(|| self.accounts.users.values().next());
        match (account, context.get_ref::<Password>()) {
            (Some(account), Some(password)) => account.knows(password) && known.is_some(),
            _ => false,
        }
    }
}

impl SessionCallback for Check {
    fn callback(
        &self,
        session: &SessionData,
        context: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        let Some(account) = context.get_ref::<AuthId>().and_then(|user| self.accounts.users.get(user)) else {
            return Ok(());
        };
        let sha1 = session.mechanism().mechanism.as_bytes() == b"SCRAM-SHA-1";
        let keys = if sha1 { &account.sha1 } else { &account.sha256 };
        let stored = ScramStoredPassword::new(ITERATIONS, &account.salt, &keys.stored, &keys.server);
        request.satisfy::<ScramStoredPassword<'_>>(&stored)?;
        Ok(())
    }

    fn validate(
        &self,
        session: &SessionData,
        context: &Context<'_>,
        validate: &mut Validate<'_>,
    ) -> Result<(), ValidationError> {
        let plain = session.mechanism().mechanism.as_bytes() == b"PLAIN";
        validate.with::<Login, _>(|| {
            let proven = |user: &String| match plain {
                true => self.knows_password(user, context),
                false => self.accounts.contains(user),
            };
            Ok(self.user(context).filter(proven))
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, Accounts};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_password_is_known_by_its_hash() {
        let account = Account::new(b"pencil", [7; 16]);
        assert!(account.knows(b"pencil") && !account.knows(b"Pencil"));
        assert_eq!(account.sha1.stored.len(), 20);
        assert_ne!(hex(&account.sha256.stored), hex(&Account::new(b"pencil", [8; 16]).sha256.stored));
    }

    fn plain(user: &str, password: &str, acts_for: &str) -> Option<String> {
        let accounts = Accounts::default().with("alice", "sesame");
        let mut session = accounts.login("x.y", "PLAIN").expect("PLAIN is on offer");
        let text = format!("{acts_for}\0{user}\0{password}");
        session.step(Some(text.as_bytes()), &mut Vec::new()).expect("well-formed");
        session.validation().flatten()
    }

    #[test]
    fn only_the_right_password_logs_in_and_only_as_oneself() {
        assert_eq!(plain("alice", "sesame", "").as_deref(), Some("alice"));
        assert_eq!(plain("alice", "sesame", "alice@x.y").as_deref(), Some("alice"));
        for (user, password, acts_for) in
            [("alice", "open", ""), ("bob", "sesame", ""), ("alice", "sesame", "bob@x.y")]
        {
            assert_eq!(plain(user, password, acts_for), None, "{user} {password} {acts_for}");
        }
        assert!(Accounts::default().login("x.y", "LOGIN").is_none());
    }
}
