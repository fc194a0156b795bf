//! Affiliations and roles, ranked, and who may change them (XEP-0045 §5).
//!
//! What an occupant may do is a comparison of ranks; what a change takes is a cell of a table, laid out as the
//! specification prints it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::config::Config;
use crate::stanza::{Condition, StanzaError};

/// A text that names no affiliation or role; answered with `bad-request`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a known affiliation or role")]
pub struct Unknown;

/// The lasting relation of a bare JID to a room, lowest first (XEP-0045 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Affiliation {
    /// Banned.
    Outcast,
    /// The absence of an affiliation.
    #[default]
    None,
    /// On the member list.
    Member,
    /// May ban, and edit the member list.
    Admin,
    /// May do everything.
    Owner,
}

impl Affiliation {
    /// Every affiliation, lowest first.
    pub const ALL: [Self; 5] = [Self::Outcast, Self::None, Self::Member, Self::Admin, Self::Owner];

    /// The attribute's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outcast => "outcast",
            Self::None => "none",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// The role with which somebody of this affiliation enters (XEP-0045 §5.1.2); [`Role::None`] for those who may
    /// not enter: outcasts, and strangers of a members-only room.
    #[must_use]
    pub fn default_role(self, config: &Config) -> Role {
        match self {
            Self::Outcast => Role::None,
            Self::None if config.members_only => Role::None,
            Self::None if config.moderated && !config.members_by_default => Role::Visitor,
            Self::None | Self::Member => Role::Participant,
            Self::Admin | Self::Owner => Role::Moderator,
        }
    }
}

/// What an occupant may do during this visit, lowest first (XEP-0045 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Not in the room.
    #[default]
    None,
    /// In the room without voice.
    Visitor,
    /// With voice.
    Participant,
    /// May kick, and grant and revoke voice.
    Moderator,
}

impl Role {
    /// Every role, lowest first.
    pub const ALL: [Self; 4] = [Self::None, Self::Visitor, Self::Participant, Self::Moderator];

    /// The roles of occupants, lowest first.
    pub const OCCUPANTS: [Self; 3] = [Self::Visitor, Self::Participant, Self::Moderator];

    /// The attribute's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Visitor => "visitor",
            Self::Participant => "participant",
            Self::Moderator => "moderator",
        }
    }

    /// Whether this role may send messages to all occupants ("voice").
    #[must_use]
    pub fn has_voice(self) -> bool {
        self >= Self::Participant
    }
}

macro_rules! text_form {
    ($($name:ty),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = Unknown;
            fn from_str(text: &str) -> Result<Self, Unknown> {
                Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or(Unknown)
            }
        }
    )+};
}
text_form!(Affiliation, Role);

/// Why a change of affiliation or role is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The actor has no such privilege over anybody: `forbidden`.
    #[error("you do not have the privilege for this")]
    Forbidden,
    /// The actor has the privilege, but not over this user: `not-allowed`.
    #[error("not allowed with this user")]
    NotAllowed,
}

impl From<Denied> for StanzaError {
    fn from(denied: Denied) -> Self {
        let condition = match denied {
            Denied::Forbidden => Condition::Forbidden,
            Denied::NotAllowed => Condition::NotAllowed,
        };
        Self::new(condition).because(denied.to_string())
    }
}

/// The lowest affiliation that may change a row's affiliation into a column's (XEP-0045 §5.2.2).
const AFFILIATION_CHANGE: [[Affiliation; 5]; 5] = {
    const A: Affiliation = Affiliation::Admin;
    const O: Affiliation = Affiliation::Owner;
    // to: outcast, none, member, admin, owner
    [
        [A, A, A, O, O], // outcast
        [A, A, A, O, O], // none
        [A, A, A, O, O], // member
        [O, O, O, O, O], // admin
        [O, O, O, O, O], // owner
    ]
};

/// Whether `actor` may change an affiliation from `now` into `new`.
///
/// Not decided here, since they depend on who else there is: banning oneself and the last owner stepping down, both
/// `conflict` (XEP-0045 §9.1, §10.2).
///
/// # Errors
/// [`Denied::Forbidden`] for those below admin (§9); [`Denied::NotAllowed`] where only an owner may (§9.1, §10).
pub fn may_change_affiliation(actor: Affiliation, now: Affiliation, new: Affiliation) -> Result<(), Denied> {
    if actor < Affiliation::Admin {
        return Err(Denied::Forbidden);
    }
    if actor < AFFILIATION_CHANGE[now as usize][new as usize] {
        return Err(Denied::NotAllowed);
    }
    Ok(())
}

/// What a change of role takes.
#[derive(Clone, Copy)]
enum Takes {
    Moderator,
    Admin,
    /// Nobody does this to another; it happens by entering.
    Entering,
}

/// What changing a row's role into a column's takes (XEP-0045 §5.1.3).
const ROLE_CHANGE: [[Takes; 4]; 4] = {
    const M: Takes = Takes::Moderator;
    const A: Takes = Takes::Admin;
    const E: Takes = Takes::Entering;
    // to: none, visitor, participant, moderator
    [
        [E, E, E, E], // none
        [M, M, M, A], // visitor
        [M, M, M, A], // participant
        [A, A, A, A], // moderator
    ]
};

/// Whether somebody of `actor_role` and `actor` affiliation may change the role of an occupant of `target`
/// affiliation from `old` into `new`. Admins and owners moderate even if they are not in the room.
///
/// # Errors
/// [`Denied::Forbidden`] for those who do not moderate (§8), or who would manage moderators without being admin
/// (§9); [`Denied::NotAllowed`] for kicking somebody of higher affiliation (§8.2), for revoking voice from a peer or
/// better (§8.4), for lowering an admin or owner (§8.4, §9.7), and for somebody who is not in the room.
pub fn may_change_role(
    actor_role: Role,
    actor: Affiliation,
    target: Affiliation,
    old: Role,
    new: Role,
) -> Result<(), Denied> {
    if actor_role < Role::Moderator && actor < Affiliation::Admin {
        return Err(Denied::Forbidden);
    }
    if outranks(actor, target, old, new) {
        return Err(Denied::NotAllowed);
    }
    match ROLE_CHANGE[old as usize][new as usize] {
        Takes::Entering => Err(Denied::NotAllowed),
        Takes::Admin if actor < Affiliation::Admin => Err(Denied::Forbidden),
        Takes::Admin | Takes::Moderator => Ok(()),
    }
}

/// Whether the target's affiliation protects it from being lowered so by this actor.
fn outranks(actor: Affiliation, target: Affiliation, old: Role, new: Role) -> bool {
    let lowered = new < old;
    let kicked = new == Role::None;
    let loses_voice = old.has_voice() && !new.has_voice();
    lowered
        && if kicked {
            target > actor
        } else {
            target >= Affiliation::Admin || (loses_voice && target >= actor)
        }
}
