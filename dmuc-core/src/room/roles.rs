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
/// [`Denied::Forbidden`] for those below admin (§9), and for admins who would change the lists that are the owners'
/// (§10.5, §10.8); [`Denied::NotAllowed`] for admins who would ban somebody on these (§9.1).
pub fn may_change_affiliation(actor: Affiliation, now: Affiliation, new: Affiliation) -> Result<(), Denied> {
    if actor >= AFFILIATION_CHANGE[now as usize][new as usize] {
        return Ok(());
    }
    let bans = new == Affiliation::Outcast && actor == Affiliation::Admin;
    Err(if bans { Denied::NotAllowed } else { Denied::Forbidden })
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

#[cfg(test)]
mod tests {
    use super::{Affiliation, Config, Denied, Role, may_change_affiliation, may_change_role};
    use crate::stanza::{Condition, ErrorKind, StanzaError};

    use Affiliation::{Admin, Member, Outcast, Owner};
    use Denied::{Forbidden, NotAllowed};
    use Role::{Moderator, Participant, Visitor};

    #[test]
    fn text_forms_are_read_back() {
        for affiliation in Affiliation::ALL {
            assert_eq!(affiliation.to_string().parse(), Ok(affiliation));
            let json = serde_json::to_string(&affiliation).expect("serialises");
            assert_eq!(json, format!("\"{affiliation}\""));
        }
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
            assert_eq!(serde_json::to_string(&role).expect("serialises"), format!("\"{role}\""));
        }
        assert!("superowner".parse::<Affiliation>().is_err() && "Owner".parse::<Affiliation>().is_err());
        assert!("owner".parse::<Role>().is_err());
    }

    #[test]
    fn ranks_ascend() {
        assert!(Affiliation::ALL.is_sorted() && Role::ALL.is_sorted());
    }

    /// XEP-0045 §5.1.2, row by row: outcast, none, member, admin, owner.
    #[test]
    fn default_roles_follow_the_kind_of_room() {
        let open = Config::default();
        let moderated = Config { moderated: true, ..Config::default() };
        let generous = Config { members_by_default: true, ..moderated.clone() };
        let members_only = Config { members_only: true, ..moderated.clone() };
        let rows = [
            (open, [Role::None, Participant, Participant, Moderator, Moderator]),
            (moderated, [Role::None, Visitor, Participant, Moderator, Moderator]),
            (generous, [Role::None, Participant, Participant, Moderator, Moderator]),
            (members_only, [Role::None, Role::None, Participant, Moderator, Moderator]),
        ];
        for (config, roles) in rows {
            assert_eq!(Affiliation::ALL.map(|who| who.default_role(&config)), roles, "{config:?}");
        }
    }

    #[test]
    fn nobody_below_admin_changes_affiliations() {
        for actor in [Outcast, Affiliation::None, Member] {
            for (now, new) in pairs() {
                assert_eq!(
                    may_change_affiliation(actor, now, new),
                    Err(Forbidden),
                    "{actor}: {now} to {new}"
                );
            }
        }
    }

    #[test]
    fn admins_leave_admins_and_owners_alone() {
        for (now, new) in pairs() {
            let denied = if new == Outcast { NotAllowed } else { Forbidden };
            let expected = if now.max(new) >= Admin { Err(denied) } else { Ok(()) };
            assert_eq!(may_change_affiliation(Admin, now, new), expected, "{now} to {new}");
            assert_eq!(may_change_affiliation(Owner, now, new), Ok(()), "{now} to {new}");
        }
        assert_eq!(may_change_affiliation(Admin, Owner, Outcast), Err(NotAllowed), "§9.1");
        assert_eq!(may_change_affiliation(Admin, Admin, Affiliation::None), Err(Forbidden), "§10.8");
        assert_eq!(may_change_affiliation(Admin, Member, Owner), Err(Forbidden), "§10.5");
    }

    fn pairs() -> impl Iterator<Item = (Affiliation, Affiliation)> {
        Affiliation::ALL.into_iter().flat_map(|now| Affiliation::ALL.map(|new| (now, new)))
    }

    #[test]
    fn roles_change_as_the_specification_says() {
        const NONE: Affiliation = Affiliation::None;
        const OUT: Role = Role::None;
        let cases = [
            // Kicking (§8.2).
            (Participant, Member, NONE, Visitor, OUT, Err(Forbidden)),
            (Moderator, NONE, NONE, Participant, OUT, Ok(())),
            (Moderator, NONE, Member, Participant, OUT, Err(NotAllowed)),
            (Moderator, Member, Member, Participant, OUT, Ok(())),
            (Moderator, Member, Admin, Moderator, OUT, Err(NotAllowed)),
            (Moderator, Member, Owner, Moderator, OUT, Err(NotAllowed)),
            (Moderator, Admin, Owner, Moderator, OUT, Err(NotAllowed)),
            (Moderator, Admin, Admin, Moderator, OUT, Ok(())),
            (Moderator, Member, NONE, Moderator, OUT, Err(Forbidden)),
            (OUT, Admin, NONE, Participant, OUT, Ok(())),
            // Granting voice (§8.3).
            (Visitor, NONE, NONE, Visitor, Participant, Err(Forbidden)),
            (Participant, Member, NONE, Visitor, Participant, Err(Forbidden)),
            (Moderator, NONE, NONE, Visitor, Participant, Ok(())),
            (Moderator, NONE, Member, Visitor, Participant, Ok(())),
            // Revoking voice (§8.4): not from one's peers, never from admins and owners.
            (Participant, Member, NONE, Participant, Visitor, Err(Forbidden)),
            (Moderator, Member, NONE, Participant, Visitor, Ok(())),
            (Moderator, Member, Member, Participant, Visitor, Err(NotAllowed)),
            (Moderator, Admin, Member, Participant, Visitor, Ok(())),
            (Moderator, Owner, Admin, Moderator, Visitor, Err(NotAllowed)),
            (Moderator, Owner, Owner, Participant, Visitor, Err(NotAllowed)),
            // Granting moderator status (§9.6).
            (Moderator, Member, NONE, Participant, Moderator, Err(Forbidden)),
            (Moderator, Admin, NONE, Visitor, Moderator, Ok(())),
            (OUT, Owner, Member, Participant, Moderator, Ok(())),
            // Revoking moderator status (§9.7).
            (Moderator, Member, NONE, Moderator, Participant, Err(Forbidden)),
            (Moderator, Admin, Member, Moderator, Participant, Ok(())),
            (Moderator, Admin, Admin, Moderator, Participant, Err(NotAllowed)),
            (Moderator, Owner, Admin, Moderator, Participant, Err(NotAllowed)),
            // Somebody who is not there (§5.1.3).
            (Moderator, Owner, NONE, OUT, Participant, Err(NotAllowed)),
        ];
        for (actor_role, actor, target, old, new, expected) in cases {
            let answer = may_change_role(actor_role, actor, target, old, new);
            assert_eq!(answer, expected, "{actor_role} ({actor}) makes {old} ({target}) {new}");
        }
    }

    #[test]
    fn denials_become_stanza_errors() {
        let forbidden = StanzaError::from(Forbidden);
        assert_eq!((forbidden.condition, forbidden.kind), (Condition::Forbidden, ErrorKind::Auth));
        let not_allowed = StanzaError::from(NotAllowed);
        assert_eq!((not_allowed.condition, not_allowed.kind), (Condition::NotAllowed, ErrorKind::Cancel));
    }
}
