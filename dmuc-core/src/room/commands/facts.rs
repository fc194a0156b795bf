//! What a room knows of itself, for those who run it.

use super::{Command, administers, moderates};
use crate::adhoc::{self, Call, Done, Step};
use crate::instance::Instance;
use crate::replication::{InstanceInfo, Placement, Standing};
use crate::room::admin::Actor;
use crate::room::roles::{Affiliation, Role};
use crate::stanza::StanzaError;

pub(super) const STATISTICS: Command =
    Command { node: "statistics", name: "Room statistics", offered: moderates, run: statistics };

pub(super) const INSTANCES: Command =
    Command { node: "instances", name: "Instances of the room", offered: administers, run: instances };

fn statistics(instance: &mut Instance, _: &Actor, _: &Call) -> Result<Step, StanzaError> {
    let room = instance.room();
    let with_role = |role| room.occupants.iter().filter(|occupant| occupant.role == role).count().to_string();
    let listed = |affiliation| room.affiliations.with(affiliation).count().to_string();
    let last = room.history.newest().map_or_else(|| "never".to_owned(), crate::Millis::to_stamp);
    let facts = [
        ("occupants", "Occupants", room.occupants.len().to_string()),
        ("here", "Occupants at this instance", room.occupants.local().count().to_string()),
        ("moderators", "Moderators", with_role(Role::Moderator)),
        ("participants", "Participants", with_role(Role::Participant)),
        ("visitors", "Visitors", with_role(Role::Visitor)),
        ("owners", "Owners", listed(Affiliation::Owner)),
        ("admins", "Admins", listed(Affiliation::Admin)),
        ("members", "Members", listed(Affiliation::Member)),
        ("outcasts", "Banned", listed(Affiliation::Outcast)),
        ("created", "Created", room.head.created.to_stamp()),
        ("last", "Last message", last),
    ];
    Ok(Step::Done(Done::showing(adhoc::facts("Room statistics", &facts))))
}

const COLUMNS: &[(&str, &str)] =
    &[("jid", "Address"), ("part", "Part"), ("state", "State"), ("occupants", "Occupants")];

fn instances(instance: &mut Instance, _: &Actor, _: &Call) -> Result<Step, StanzaError> {
    let room = instance.room();
    let occupants = |domain: &str| room.occupants.of_home(domain).count().to_string();
    let part = |jid: &crate::Address| {
        let source = room.head.source.as_ref() == Some(jid);
        if source { "source" } else { "shadow" }.to_owned()
    };
    let own =
        vec![instance.jid.to_string(), part(&instance.jid), "here".into(), occupants(instance.jid.domain())];
    let others = room.replication.instances.iter().map(|other| {
        vec![other.jid.to_string(), part(&other.jid), state(other).to_owned(), occupants(other.domain())]
    });
    let placed = |domain: &str| room.replication.instance(domain).is_some();
    let coming =
        room.replication.placements.iter().filter(|(domain, _)| !placed(domain)).map(
            |(domain, placement)| vec![domain.clone(), "shadow".into(), progress(placement), "0".into()],
        );
    let rows: Vec<Vec<String>> = std::iter::once(own).chain(others).chain(coming).collect();
    Ok(Step::Done(Done::showing(adhoc::table("Instances of the room", COLUMNS, &rows))))
}

fn state(instance: &InstanceInfo) -> &'static str {
    match (instance.standing, instance.core_only, instance.introduced) {
        (Standing::Suspended, ..) => "suspended",
        (Standing::Active, true, _) => "active (XEP-0281 alone)",
        (Standing::Active, false, true) => "active",
        (Standing::Active, false, false) => "being introduced",
    }
}

fn progress(placement: &Placement) -> String {
    match placement {
        Placement::Asking { .. } | Placement::Replicating { .. } => "being asked".to_owned(),
        Placement::Pending { .. } => "waits for its operator".to_owned(),
        Placement::Bringing => "being brought up".to_owned(),
        Placement::Placed => "placed".to_owned(),
        Placement::Refused { why } => format!("refused: {why}"),
        Placement::Waiting { at, tries } => format!("tried {tries} times, again at {}", at.to_stamp()),
        Placement::Unsupported { .. } => "knows no distributed rooms".to_owned(),
    }
}
