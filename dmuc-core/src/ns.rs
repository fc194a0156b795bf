//! Namespaces, one constant each.

/// Stanzas and their own children (`body`, `subject`, `show` ...), whatever the stream calls them.
pub const STANZA: &str = "jabber:client";
/// The namespaces that streams use for stanzas; all read as [`STANZA`].
pub const STREAMS: [&str; 3] = ["jabber:client", "jabber:server", "jabber:component:accept"];
/// Stanza error conditions (RFC 6120 §8.3.3).
pub const ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// Distributed MUC as XEP-0281 published it.
pub const DMUC: &str = "urn:xmpp:dmuc:0";
/// Everything that XEP-0281 left open.
pub const SYNC: &str = "urn:xmpp:dmuc:sync:0";
/// XEP-0045 join.
pub const MUC: &str = "http://jabber.org/protocol/muc";
/// XEP-0045 what occupants see.
pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// XEP-0045 moderator and admin use cases.
pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
/// XEP-0045 owner use cases.
pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// XEP-0045 form of registering with a room, and the feature.
pub const MUC_REGISTER: &str = "http://jabber.org/protocol/muc#register";
/// XEP-0045 room configuration form.
pub const MUC_ROOMCONFIG: &str = "http://jabber.org/protocol/muc#roomconfig";
/// XEP-0045 room information form.
pub const MUC_ROOMINFO: &str = "http://jabber.org/protocol/muc#roominfo";
/// XEP-0045 voice request form.
pub const MUC_REQUEST: &str = "http://jabber.org/protocol/muc#request";
/// XEP-0045 §6.6.3 reserved nickname discovery node.
pub const MUC_NICK_NODE: &str = "x-roomuser-item";
/// XEP-0045 §17.1.1 allowable traffic node.
pub const MUC_TRAFFIC_NODE: &str = "http://jabber.org/protocol/muc#traffic";
/// XEP-0410 server optimisation.
pub const SELF_PING: &str = "http://jabber.org/protocol/muc#self-ping-optimization";
/// XEP-0045 feature: stable ids on reflected messages.
pub const MUC_STABLE_ID: &str = "http://jabber.org/protocol/muc#stable_id";
/// XEP-0030.
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// XEP-0030.
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// XEP-0004.
pub const DATA: &str = "jabber:x:data";
/// XEP-0203.
pub const DELAY: &str = "urn:xmpp:delay";
/// XEP-0249.
pub const CONFERENCE: &str = "jabber:x:conference";
/// XEP-0359.
pub const SID: &str = "urn:xmpp:sid:0";
/// XEP-0421.
pub const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";
/// ejabberd's MUC/Sub.
pub const MUC_SUB: &str = "urn:xmpp:mucsub:0";
/// XEP-0060: notifications.
pub const PUBSUB_EVENT: &str = "http://jabber.org/protocol/pubsub#event";
/// XEP-0317.
pub const HATS: &str = "urn:xmpp:hats:0";
/// XEP-0463.
pub const MAV: &str = "urn:xmpp:muc:affiliations:1";
/// XEP-0033.
pub const ADDRESSES: &str = "http://jabber.org/protocol/address";
/// XEP-0199.
pub const PING: &str = "urn:xmpp:ping";
/// XEP-0077.
pub const REGISTER: &str = "jabber:iq:register";
/// XEP-0054.
pub const VCARD: &str = "vcard-temp";
/// XEP-0092.
pub const VERSION: &str = "jabber:iq:version";
/// XEP-0297.
pub const FORWARD: &str = "urn:xmpp:forward:0";
/// XEP-0059.
pub const RSM: &str = "http://jabber.org/protocol/rsm";
/// XEP-0313.
pub const MAM: &str = "urn:xmpp:mam:2";
/// XEP-0313: everything beyond the oldest queries; and the field that leaves groupchats out.
pub const MAM_FEATURES: [&str; 3] = [MAM, "urn:xmpp:mam:2#extended", "urn:xmpp:mam:2#groupchat-field"];
/// XEP-0424.
pub const RETRACT: &str = "urn:xmpp:message-retract:1";
/// XEP-0424 §4: a retracted message leaves a tombstone.
pub const RETRACT_TOMBSTONE: &str = "urn:xmpp:message-retract:1#tombstone";
/// XEP-0425.
pub const MODERATE: &str = "urn:xmpp:message-moderate:1";
/// XEP-0334.
pub const HINTS: &str = "urn:xmpp:hints";
/// XEP-0184.
pub const RECEIPTS: &str = "urn:xmpp:receipts";
/// XEP-0333.
pub const MARKERS: &str = "urn:xmpp:chat-markers:0";
/// XEP-0444.
pub const REACTIONS: &str = "urn:xmpp:reactions:0";
/// XEP-0428.
pub const FALLBACK: &str = "urn:xmpp:fallback:0";
/// XEP-0085.
pub const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// XEP-0050.
pub const COMMANDS: &str = "http://jabber.org/protocol/commands";
/// XEP-0012.
pub const LAST: &str = "jabber:iq:last";
/// XEP-0202.
pub const TIME: &str = "urn:xmpp:time";
/// XEP-0157.
pub const SERVER_INFO: &str = "http://jabber.org/network/serverinfo";
/// XEP-0437.
pub const RAI: &str = "urn:xmpp:rai:0";
/// XEP-0433 searches and results.
pub const SEARCH: &str = "urn:xmpp:channel-search:0:search";
/// XEP-0433 search form.
pub const SEARCH_PARAMS: &str = "urn:xmpp:channel-search:0:search-params";
/// XEP-0433 error conditions.
pub const SEARCH_ERROR: &str = "urn:xmpp:channel-search:0:error";
/// XEP-0433 sort key: most occupants first.
pub const SEARCH_BY_USERS: &str = "{urn:xmpp:channel-search:0:order}nusers";
/// XEP-0433 sort key: by address.
pub const SEARCH_BY_ADDRESS: &str = "{urn:xmpp:channel-search:0:order}address";
/// XEP-0433 anonymity mode: everybody sees real JIDs.
pub const SEARCH_NOT_ANONYMOUS: &str = "{urn:xmpp:channel-search:0:anonymity}none";
/// XML namespaces of `xml:lang`.
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
