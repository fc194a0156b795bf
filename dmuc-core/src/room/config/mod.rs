//! Room configuration: one file per option, holding its value, its form field, its discovery feature and the
//! question that the room asks of it.
//!
//! [`OPTIONS`] is the table of them, in the order of the form. A new option is a field of [`Config`], a file and a
//! line of that table.

mod absent_members;
mod allow_invites;
mod allow_pm;
mod allow_subscription;
mod archiving;
mod change_subject;
mod contacts;
mod description;
mod distributed;
mod field;
mod form;
mod get_member_list;
mod hats;
mod history_length;
mod lang;
mod lists;
mod lock_nicks;
mod logging;
mod lookalike_nicks;
mod max_users;
mod members_by_default;
mod members_only;
mod moderated;
mod name;
mod password;
mod persistent;
mod presence_broadcast;
mod public;
mod pubsub;
mod refused;
mod registration;
mod voice_requests;
mod whois;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use xmpp_parsers::data_forms::Field;

pub use allow_pm::AllowPm;
pub use form::{Applied, FormScope};
pub use hats::Hat;
pub use lists::list_fields;
pub use password::Password;
pub use refused::Refused;
pub use registration::Registration;
pub use whois::Whois;

use super::roles::Role;
use crate::address::Address;

/// The configuration of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Config {
    /// Natural-language name, at most 255 characters; empty if it has none (`muc#roomconfig_roomname`).
    pub name: String,
    /// Short description, at most 4 096 bytes (`muc#roomconfig_roomdesc`).
    pub description: String,
    /// Language of the discussion, a BCP 47 tag (`muc#roomconfig_lang`).
    pub lang: Option<String>,
    /// Found by service discovery (`muc#roomconfig_publicroom`).
    pub public: bool,
    /// Outlives its last occupant (`muc#roomconfig_persistentroom`).
    pub persistent: bool,
    /// Only members may enter (`muc#roomconfig_membersonly`).
    pub members_only: bool,
    /// Only those with voice may speak (`muc#roomconfig_moderatedroom`).
    pub moderated: bool,
    /// Whether strangers enter a moderated room with voice (no registered field).
    pub members_by_default: bool,
    /// What one must know to enter (`muc#roomconfig_passwordprotectedroom`, `muc#roomconfig_roomsecret`).
    pub password: Option<Password>,
    /// Who sees real JIDs (`muc#roomconfig_whois`).
    pub whois: Whois,
    /// Whether occupants below moderator may change the subject (`muc#roomconfig_changesubject`).
    pub change_subject: bool,
    /// Most occupants, over all instances of the room; at least 1 (`muc#roomconfig_maxusers`).
    pub max_users: Option<u32>,
    /// Who may send private messages (`muc#roomconfig_allowpm`).
    pub allow_pm: AllowPm,
    /// Whether those below admin may invite to a members-only room (`muc#roomconfig_allowinvites`).
    pub allow_invites: bool,
    /// What happens to a stranger's request to be registered (no registered field).
    pub registration: Registration,
    /// Whether registered users keep to their registered nick (no registered field).
    pub lock_nicks: bool,
    /// Whether visitors may ask for voice (no registered field).
    pub voice_requests: bool,
    /// Seconds that a visitor waits before it asks for voice again (no registered field).
    pub voice_interval_s: u32,
    /// Roles whose presence is shown to others (`muc#roomconfig_presencebroadcast`).
    pub presence_broadcast: BTreeSet<Role>,
    /// Roles that may retrieve the member list (`muc#roomconfig_getmemberlist`).
    pub get_member_list: BTreeSet<Role>,
    /// Members who are not in are shown as unavailable to those who may retrieve their list.
    pub absent_members: bool,
    /// Most messages of history sent on joining (`muc#maxhistoryfetch`).
    pub history_length: u32,
    /// Conversations are publicly logged (`muc#roomconfig_enablelogging`).
    pub logging: bool,
    /// What is said is kept for later queries (`muc#roomconfig_enablearchiving`).
    pub archiving: bool,
    /// XMPP URI of an associated publish-subscribe node (`muc#roomconfig_pubsub`).
    pub pubsub: Option<String>,
    /// Whether users may subscribe without entering (`muc#roomconfig_allow_subscription`).
    pub allow_subscription: bool,
    /// Whom to ask about the room, shown to everyone (no registered field).
    pub contacts: Vec<Address>,
    /// The hats that it has to give, by URI (no registered field).
    pub hats: BTreeMap<String, Hat>,
    /// Whether a nick may look like another's (no registered field).
    pub lookalike_nicks: bool,
    /// Lives on several services at once (`muc#roomconfig_distributed`, XEP-0281).
    pub distributed: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            lang: None,
            public: true,
            persistent: false,
            members_only: false,
            moderated: false,
            members_by_default: false,
            password: None,
            whois: Whois::Moderators,
            change_subject: false,
            max_users: None,
            allow_pm: AllowPm::Anyone,
            allow_invites: false,
            registration: Registration::Usual,
            lock_nicks: false,
            voice_requests: true,
            voice_interval_s: 300,
            presence_broadcast: BTreeSet::from(Role::OCCUPANTS),
            get_member_list: BTreeSet::from(Role::OCCUPANTS),
            absent_members: false,
            history_length: 20,
            logging: false,
            archiving: true,
            pubsub: None,
            allow_subscription: false,
            contacts: Vec::new(),
            hats: BTreeMap::new(),
            lookalike_nicks: false,
            distributed: false,
        }
    }
}

/// One option of the configuration form.
pub trait RoomOption: Sync {
    /// The field's name in the form.
    fn var(&self) -> &'static str;

    /// The field with its present value. The value is what [`RoomOption::apply`] reads back.
    fn field(&self, config: &Config) -> Field;

    /// Sets the option.
    ///
    /// # Errors
    /// [`Refused`] naming the field if the values mean nothing or break a limit; `config` is then unchanged.
    fn apply(&self, config: &mut Config, values: &[String]) -> Result<(), Refused>;

    /// The discovery feature that tells the present value (XEP-0045 §6.4, §16.3).
    fn feature(&self, _config: &Config) -> Option<&'static str> {
        None
    }

    /// What `muc#roominfo` tells about the present value; any field of the form may be told there as it is
    /// (XEP-0045 §6.4).
    fn info(&self, _config: &Config) -> Vec<Field> {
        Vec::new()
    }

    /// Whether a shadow that cannot enforce this option must not open the room.
    fn protects(&self) -> bool {
        false
    }

    /// Whether `new` protects the room more than `old` does in this respect, which a shadow may bring into force
    /// before its source has agreed.
    fn tightens(&self, _old: &Config, _new: &Config) -> bool {
        false
    }

    /// Whether the form of this scope has the option.
    fn is_in(&self, _scope: FormScope) -> bool {
        true
    }
}

/// Every option in the order of the form.
pub static OPTIONS: &[&dyn RoomOption] = &[
    &name::OPTION,
    &description::OPTION,
    &lang::OPTION,
    &logging::OPTION,
    &archiving::OPTION,
    &change_subject::OPTION,
    &allow_invites::OPTION,
    &allow_pm::OPTION,
    &registration::OPTION,
    &lock_nicks::OPTION,
    &voice_requests::ALLOWED,
    &voice_requests::INTERVAL,
    &max_users::OPTION,
    &presence_broadcast::OPTION,
    &get_member_list::OPTION,
    &absent_members::OPTION,
    &public::OPTION,
    &persistent::OPTION,
    &moderated::OPTION,
    &members_by_default::OPTION,
    &members_only::OPTION,
    &password::PROTECTED,
    &password::SECRET,
    &whois::OPTION,
    &history_length::OPTION,
    &pubsub::OPTION,
    &allow_subscription::OPTION,
    &contacts::OPTION,
    &hats::OPTION,
    &lookalike_nicks::OPTION,
    &distributed::OPTION,
];

/// The option whose field has this name.
#[must_use]
pub fn option(var: &str) -> Option<&'static dyn RoomOption> {
    OPTIONS.iter().copied().find(|option| option.var() == var)
}

impl Config {
    /// The discovery features of a room so configured, such as `muc_open` (XEP-0045 §16.3).
    #[must_use]
    pub fn features(&self) -> Vec<&'static str> {
        OPTIONS.iter().filter_map(|option| option.feature(self)).collect()
    }

    /// What the configuration contributes to the room's `muc#roominfo` form (XEP-0045 §6.4).
    #[must_use]
    pub fn info_fields(&self) -> Vec<Field> {
        OPTIONS.iter().flat_map(|option| option.info(self)).collect()
    }

    /// The options whose values differ between the two, in the order of the form.
    fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'static dyn RoomOption> + 'a {
        OPTIONS.iter().copied().filter(move |option| option.field(self).values != option.field(other).values)
    }

    /// The fields whose values differ between the two, in the order of the form.
    #[must_use]
    pub fn changed(&self, other: &Self) -> Vec<&'static str> {
        self.differing(other).map(|option| option.var()).collect()
    }

    /// Whether every change from `old` to this protects the room more: what a shadow may do on its own while its
    /// source is out of reach. True as well if nothing changed.
    #[must_use]
    pub fn only_tightens(&self, old: &Self) -> bool {
        self.differing(old).all(|option| option.tightens(old, self))
    }
}

/// The status codes of the notice that tells occupants about a change of configuration, ascending; empty if nothing
/// changed (XEP-0045 §10.2.1).
#[must_use]
pub fn status_codes(old: &Config, new: &Config) -> Vec<u16> {
    let changed = old.changed(new);
    let code_of = |var: &str| match var {
        logging::VAR if new.logging => 170,
        logging::VAR => 171,
        whois::VAR if new.whois == Whois::Anyone => 172,
        whois::VAR => 173,
        absent_members::VAR if new.absent_members => 102,
        absent_members::VAR => 103,
        _ => 104,
    };
    changed.into_iter().map(code_of).collect::<BTreeSet<u16>>().into_iter().collect()
}

#[cfg(test)]
mod tests;
