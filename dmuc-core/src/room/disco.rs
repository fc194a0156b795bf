//! Service discovery of a room (XEP-0045 §6.4, §6.5; XEP-0281 "Finding a Room").

use xmpp_parsers::data_forms::{DataForm, DataFormType, Field, FieldType};

use crate::address::Address;
use crate::instance::Instance;
use crate::ns;
use crate::room::roles::Affiliation;
use crate::stanza::{Condition, El, Payload, Stanza};

/// What every room can do.
const FEATURES: &[&str] = &[
    ns::MUC,
    ns::DISCO_INFO,
    ns::DISCO_ITEMS,
    ns::PING,
    ns::SID,
    ns::OCCUPANT_ID,
    ns::SELF_PING,
    ns::MUC_STABLE_ID,
    ns::RETRACT,
    ns::RETRACT_TOMBSTONE,
    ns::MODERATE,
    "http://jabber.org/protocol/muc#roomconfig",
    "jabber:iq:version",
    ns::REGISTER,
    ns::MUC_REGISTER,
    ns::VCARD,
    ns::COMMANDS,
    ns::HATS,
];

impl Instance {
    pub(crate) fn handle_disco_info(&mut self, stanza: &Stanza, request: &Payload) {
        let node = request.attr("node");
        match node.as_deref() {
            None => {
                let info = self.disco_info(stanza.from.as_ref());
                self.turn.send(stanza.result().with(info));
            }
            Some(ns::MUC_NICK_NODE) => self.handle_reserved_nick(stanza),
            // Nothing is kept from passing (XEP-0045 §17.1.1).
            Some(ns::MUC_TRAFFIC_NODE) => self.turn.refuse(stanza, Condition::ServiceUnavailable),
            Some(node) => self.handle_command_info(stanza, node),
        }
    }

    fn disco_info(&self, asker: Option<&Address>) -> Payload {
        let room = self.room();
        let name = Some(room.config.name.as_str()).filter(|name| !name.is_empty()).or(self.jid.local());
        let mut query = El::new("query", ns::DISCO_INFO).child(
            El::new("identity", ns::DISCO_INFO)
                .attr("category", "conference")
                .attr("type", "text")
                .attr_opt("name", name),
        );
        let distributed = (room.config.distributed || !self.is_source()).then_some(ns::DMUC);
        let asks = room.config.voice_requests.then_some(ns::MUC_REQUEST);
        let versioned = (!room.head.core_only).then_some(ns::MAV);
        let archive: &[&str] = if room.config.archiving { &ns::MAM_FEATURES } else { &[] };
        let features = FEATURES.iter().chain(archive).copied();
        let optional = distributed.into_iter().chain(asks).chain(versioned);
        for feature in features.chain(room.config.features()).chain(optional) {
            query = query.child(El::new("feature", ns::DISCO_INFO).attr("var", feature));
        }
        query.payload_child(&Payload::of(&self.room_info(asker))).payload()
    }

    /// The room information form; a shadow names its source in `dmuc-source`.
    fn room_info(&self, asker: Option<&Address>) -> DataForm {
        let room = self.room();
        let mut fields = room.config.info_fields();
        if self.is_open() || asker.is_some_and(|asker| self.belongs(asker)) {
            fields.push(Field::text_single("muc#roominfo_subject", &room.subject.text));
        }
        fields.extend(avatar_hash(&room.vcard.hashes));
        fields.extend(self.logs().map(|url| {
            let field = Field::text_single("muc#roominfo_logs", &url);
            Field { label: Some("URL for discussion logs".to_owned()), ..field }
        }));
        fields.push(Field::text_single("muc#roominfo_occupants", &room.occupants.len().to_string()));
        if let Some(source) = room.head.source.as_ref().filter(|_| !self.is_source()) {
            let mut field = Field::new("dmuc-source", FieldType::JidSingle).with_value(source.as_str());
            field.label = Some("Source Room".to_owned());
            fields.push(field);
        }
        DataForm::new(DataFormType::Result_, ns::MUC_ROOMINFO, fields)
    }

    /// Where the room's public logs are read, as the operator says (XEP-0045 §6.4).
    fn logs(&self) -> Option<String> {
        let url = self.policy.logs_url.as_ref().filter(|_| self.room().config.logging)?;
        Some(url.replace("{room}", &in_url(self.jid.local()?)))
    }

    /// The nick that the asking user has reserved (XEP-0045 §6.6.3).
    fn handle_reserved_nick(&mut self, stanza: &Stanza) {
        let Some(from) = &stanza.from else { return };
        let nick = self.room().affiliations.entry(from).and_then(|standing| standing.nick.clone());
        let mut query = El::new("query", ns::DISCO_INFO).attr("node", ns::MUC_NICK_NODE);
        if let Some(nick) = nick {
            let identity = El::new("identity", ns::DISCO_INFO);
            query =
                query.child(identity.attr("category", "conference").attr("type", "text").attr("name", nick));
        }
        self.turn.send(stanza.result().with(query.payload()));
    }

    /// Whether anybody may come in.
    pub(crate) fn is_open(&self) -> bool {
        !self.room().config.members_only && self.room().config.password.is_none()
    }

    /// Whether somebody is in, or on the list of those who may always come in.
    pub(crate) fn belongs(&self, jid: &Address) -> bool {
        self.room().occupants.of_session(jid).is_some() || self.affiliation(jid) >= Affiliation::Member
    }

    /// The occupants, for those who belong here or who need but walk in to see them; others get an empty list
    /// (XEP-0045 §6.5).
    pub(crate) fn handle_disco_items(&mut self, stanza: &Stanza, request: &Payload) {
        let Some(from) = &stanza.from else { return };
        match request.attr("node").as_deref() {
            None => {}
            Some(ns::COMMANDS) => return self.handle_command_list(stanza),
            Some(_) => return self.turn.refuse(stanza, Condition::ItemNotFound),
        }
        let is_public = self.room().config.public && self.is_open();
        let shown = self.belongs(from) || (is_public && self.affiliation(from) > Affiliation::Outcast);
        let broadcast = |role| self.room().config.broadcasts(role);
        let occupants = self.room().occupants.iter().filter(|o| shown && broadcast(o.role));
        let items = occupants.map(|occupant| {
            let jid = self.nick_jid(occupant.nick.as_str());
            El::new("item", ns::DISCO_ITEMS).attr("jid", jid.as_str()).attr("name", occupant.nick.as_str())
        });
        let query = El::new("query", ns::DISCO_ITEMS).children(items);
        self.turn.send(stanza.result().with(query.payload()));
    }
}

/// The hashes of the room's avatar (XEP-0486 §4.3); no field if it has none.
fn avatar_hash(hashes: &[String]) -> Option<Field> {
    let mut field = Field::new("muc#roominfo_avatarhash", FieldType::TextMulti);
    field.label = Some("Avatar hash".to_owned());
    field.values = hashes.to_vec();
    (!hashes.is_empty()).then_some(field)
}

/// A room's name as part of a URL (RFC 3986 §2.1).
fn in_url(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
