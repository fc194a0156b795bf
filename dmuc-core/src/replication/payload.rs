//! The elements of `urn:xmpp:dmuc:sync:0` and `urn:xmpp:dmuc:0` that are read as values.

use xso::{AsXml, FromXml};

use crate::clock::Hlc;
use crate::event::{Event, EventId, Position};
use crate::ns;
use crate::stanza::{El, Payload, Stanza};

/// `<ev/>`: where a message stands in its origin's log.
#[derive(FromXml, AsXml, Debug, Clone, PartialEq)]
#[xml(namespace = ns::SYNC, name = "ev")]
pub struct Ev {
    /// Origin; omitted on direct pushes.
    #[xml(attribute(default))]
    pub o: Option<String>,
    /// Incarnation.
    #[xml(attribute)]
    pub i: u32,
    /// Number.
    #[xml(attribute)]
    pub s: u64,
    /// Stamp.
    #[xml(attribute)]
    pub h: Hlc,
    /// Name.
    #[xml(attribute)]
    pub id: EventId,
    /// What its writer had of others.
    #[xml(child(n = ..))]
    pub deps: Vec<Dep>,
}

/// `<dep/>`: a position.
#[derive(FromXml, AsXml, Debug, Clone, PartialEq)]
#[xml(namespace = ns::SYNC, name = "dep")]
pub struct Dep {
    /// Origin.
    #[xml(attribute)]
    pub o: String,
    /// Incarnation.
    #[xml(attribute)]
    pub i: u32,
    /// Number.
    #[xml(attribute)]
    pub s: u64,
}

impl Ev {
    /// As pushed by the origin itself (`o` omitted) or, with `relayed`, by another holder.
    #[must_use]
    pub fn of(event: &Event, relayed: bool) -> Self {
        Self {
            o: relayed.then(|| event.pos.o.to_string()),
            i: event.pos.i,
            s: event.pos.s,
            h: event.h,
            id: event.id,
            deps: event.deps.iter().map(|dep| Dep { o: dep.o.to_string(), i: dep.i, s: dep.s }).collect(),
        }
    }

    /// The position, `o` defaulting to the sender.
    #[must_use]
    pub fn position(&self, sender: &str) -> Position {
        Position { o: self.o.as_deref().unwrap_or(sender).into(), i: self.i, s: self.s }
    }

    /// The event of a message, as far as it does not tell who speaks.
    #[must_use]
    pub fn event(&self, pos: Position, message: &Stanza, content: Vec<Payload>) -> Event {
        Event {
            pos,
            h: self.h,
            id: self.id,
            deps: self.dependencies(),
            nick: None,
            oid: None,
            jid: None,
            stanza: message.id.as_deref().map(str::to_owned),
            lang: message.lang.as_deref().map(str::to_owned),
            content,
        }
    }

    /// The dependencies as positions.
    #[must_use]
    pub fn dependencies(&self) -> Vec<Position> {
        self.deps.iter().map(|dep| Position { o: dep.o.as_str().into(), i: dep.i, s: dep.s }).collect()
    }
}

/// `<at/>`: the version of its instance's occupancy that a presence makes.
#[derive(FromXml, AsXml, Debug, Clone, PartialEq)]
#[xml(namespace = ns::SYNC, name = "at")]
pub struct At {
    /// Version.
    #[xml(attribute)]
    pub ver: u64,
    /// When the nick was claimed.
    #[xml(attribute)]
    pub h: Hlc,
    /// Occupant id.
    #[xml(attribute(default))]
    pub oid: Option<String>,
}

/// What `<offer/>` and `<accept/>` say.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// The room.
    pub uid: String,
    /// Its source.
    pub source: String,
    /// The source's term.
    pub term: u32,
    /// An operator has to approve first.
    pub pending: bool,
}

/// Seconds of an idle link after which a heartbeat is due.
const HEARTBEAT_S: &str = "30";
/// Unacknowledged events that may be pushed.
const WINDOW: &str = "256";
/// Seconds that history is kept for peers.
const RETAIN_S: &str = "1209600";

impl Terms {
    /// As `<offer/>` or `<accept/>`.
    #[must_use]
    pub fn element(&self, name: &str, bytes_max: u32) -> El {
        El::new(name, ns::SYNC)
            .attr("uid", &self.uid)
            .attr("source", &self.source)
            .attr("term", self.term.to_string())
            .attr("heartbeat", HEARTBEAT_S)
            .attr("window", WINDOW)
            .attr("max-bytes", bytes_max.to_string())
            .attr("retain", RETAIN_S)
            .attr("topology", "mesh")
            .attr("order", "local")
            .attr_opt("pending", self.pending.then_some("true"))
    }

    /// Reads either.
    #[must_use]
    pub fn read(element: &minidom::Element) -> Option<Self> {
        Some(Self {
            uid: element.attr("uid")?.to_owned(),
            source: element.attr("source")?.to_owned(),
            term: element.attr("term")?.parse().ok()?,
            pending: matches!(element.attr("pending"), Some("true" | "1")),
        })
    }
}

/// `<ver/>`: the version of what stands beside it.
#[derive(FromXml, AsXml, Debug, Clone, Copy, PartialEq)]
#[xml(namespace = ns::SYNC, name = "ver")]
pub struct Ver {
    /// Term of the source that minted it.
    #[xml(attribute)]
    pub term: u32,
    /// Number in the term.
    #[xml(attribute = "n")]
    pub number: u64,
}

/// `<verdict/>`: what the source says to a proposal.
#[derive(FromXml, AsXml, Debug, Clone, PartialEq)]
#[xml(namespace = ns::SYNC, name = "verdict")]
pub struct Verdict {
    /// The proposal.
    #[xml(attribute)]
    pub id: EventId,
    /// Accepted.
    #[xml(attribute)]
    pub ok: bool,
    /// Why not.
    #[xml(attribute(default))]
    pub why: Option<String>,
}

/// An application-specific condition of this protocol.
#[must_use]
pub fn condition(name: &str) -> Payload {
    El::new(name, ns::SYNC).payload()
}

/// `<retry/>`: in how many seconds to try again.
#[must_use]
pub fn retry_after(seconds: u32) -> Payload {
    El::new("retry", ns::SYNC).attr("after", seconds.to_string()).payload()
}

/// `<room id=''/>` of XEP-0281.
#[must_use]
pub fn room_element(id: &str) -> El {
    El::new("room", ns::DMUC).attr("id", id)
}
