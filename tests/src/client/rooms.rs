//! What a user does in rooms, by the functions that its library has for it.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Client, escape};
use crate::element::Element;

/// What was asked for, or the error that was answered.
pub type Answer<T> = Result<T, Box<Element>>;

impl Client {
    fn asks<T: DeserializeOwned>(&self, command: Value) -> Answer<T> {
        let what = command.to_string();
        match self.command(command) {
            Ok(value) => {
                Ok(serde_json::from_value(value).unwrap_or_else(|error| panic!("{error}, after {what}")))
            }
            Err(error) => Err(serde_json::from_value(error.clone())
                .unwrap_or_else(|_| panic!("{} did {what}: {error}{}", self.jid, self.arrived(0)))),
        }
    }

    fn does(&self, command: Value) {
        let what = command.to_string();
        let done: Answer<()> = self.asks(command);
        done.unwrap_or_else(|error| panic!("{} did {what}: {error}", self.jid));
    }

    /// Leaves a room.
    pub fn leaves(&self, room: &str, nick: &str) {
        self.does(json!({ "do": "leave", "room": room, "nick": nick }));
    }

    /// Says something in a room.
    pub fn speaks(&self, room: &str, text: &str) {
        self.does(json!({ "do": "say", "room": room, "text": text }));
    }

    /// Says something to one occupant.
    pub fn confides(&self, occupant: &str, text: &str) {
        self.does(json!({ "do": "whisper", "occupant": occupant, "text": text }));
    }

    /// Sets the subject.
    pub fn changes_subject(&self, room: &str, subject: &str) {
        self.does(json!({ "do": "subject", "room": room, "subject": subject }));
    }

    /// Changes its nick; gives the one that the room let it have.
    pub fn changes_nick(&self, room: &str, nick: &str) -> Answer<String> {
        self.asks(json!({ "do": "nick", "room": room, "nick": nick }))
    }

    /// Changes somebody's role (XEP-0045 §8).
    pub fn changes_role(&self, room: &str, nick: &str, role: &str) -> Answer<()> {
        self.asks(json!({ "do": "role", "room": room, "nick": nick, "role": role }))
    }

    /// Changes somebody's affiliation (XEP-0045 §9).
    pub fn changes_affiliation(&self, room: &str, jid: &str, affiliation: &str) -> Answer<()> {
        self.asks(json!({ "do": "affiliation", "room": room, "jid": jid, "affiliation": affiliation }))
    }

    /// The bare JIDs of an affiliation.
    pub fn lists(&self, room: &str, affiliation: &str) -> Answer<Vec<String>> {
        self.asks(json!({ "do": "list", "room": room, "affiliation": affiliation }))
    }

    /// The configuration form.
    pub fn reads_configuration(&self, room: &str) -> Answer<Element> {
        self.asks(json!({ "do": "configuration", "room": room }))
    }

    /// Asks for the configuration form, and submits it with these values.
    pub fn changes_configuration(&self, room: &str, values: &[(&str, &str)]) -> Answer<()> {
        self.asks(json!({ "do": "configure", "room": room, "values": object(values) }))
    }

    /// Invites somebody through the room.
    pub fn invites(&self, room: &str, jid: &str) {
        self.does(json!({ "do": "invite", "room": room, "jid": jid }));
    }

    /// Declines an invitation.
    pub fn declines(&self, room: &str, jid: &str) {
        self.does(json!({ "do": "decline", "room": room, "jid": jid }));
    }

    /// Asks the moderators for voice.
    pub fn requests_voice(&self, room: &str) {
        self.does(json!({ "do": "request_voice", "room": room }));
    }

    /// Sends a form with these values, as a moderator does to give the voice that was asked for.
    pub fn sends_form(&self, to: &str, form_type: &str, values: &[(&str, &str)]) {
        self.does(json!({ "do": "send_form", "to": to, "form_type": form_type, "values": object(values) }));
    }

    /// Destroys a room.
    pub fn destroys(&self, room: &str) -> Answer<()> {
        self.asks(json!({ "do": "destroy", "room": room }))
    }

    /// Pings whatever it is (XEP-0199, XEP-0410).
    pub fn pings(&self, to: &str) -> Answer<()> {
        self.asks(json!({ "do": "ping", "to": to }))
    }

    /// The features in service discovery.
    pub fn discovers(&self, to: &str) -> Answer<Vec<String>> {
        self.asks(json!({ "do": "features", "to": to }))
    }

    /// All messages of the archive, oldest first, page by page (XEP-0313).
    pub fn reads_archive(&self, room: &str) -> Answer<Vec<Element>> {
        self.asks(json!({ "do": "archive", "room": room }))
    }

    /// Retracts a message of its own, by its stanza-id (XEP-0424).
    pub fn retracts(&self, room: &str, message: &str) {
        self.does(json!({ "do": "retract", "room": room, "message": message }));
    }

    /// Retracts somebody's message as a moderator (XEP-0425).
    pub fn moderates(&self, room: &str, message: &str) -> Answer<()> {
        self.asks(json!({ "do": "moderate", "room": room, "message": message }))
    }

    /// Registers with a room under a nick (XEP-0045 §7.10).
    pub fn registers(&self, room: &str, nick: &str) -> Answer<()> {
        let values = object(&[("muc#register_roomnick", nick)]);
        self.asks(json!({ "do": "register", "room": room, "values": values }))
    }

    /// Ends the registration.
    pub fn unregisters(&self, room: &str) -> Answer<()> {
        self.asks(json!({ "do": "unregister", "room": room }))
    }

    /// The vCard of a room or occupant (XEP-0054).
    pub fn reads_card(&self, of: &str) -> Answer<Element> {
        self.asks(json!({ "do": "card", "of": of }))
    }

    /// Gives a room a vCard with a picture (XEP-0486).
    pub fn publishes_card(&self, of: &str, photo: &str) -> Answer<()> {
        self.asks(json!({ "do": "publish_card", "of": of, "photo": photo }))
    }

    /// The nodes of the commands that a room or service offers it (XEP-0050 §2.2).
    pub fn is_offered(&self, of: &str) -> Answer<Vec<String>> {
        self.asks(json!({ "do": "commands", "of": of }))
    }

    /// Executes a command (XEP-0050); the form that it asks for, if any, is submitted with these values.
    ///
    /// Gives the `<command/>` of the last answer.
    pub fn executes(&self, of: &str, node: &str, values: &[(&str, &str)]) -> Answer<Element> {
        self.asks(json!({ "do": "execute", "of": of, "node": node, "values": object(values) }))
    }

    /// Wants to hear from a service which of its rooms there is something new in (XEP-0437).
    pub fn follows_activity(&self, service: &str) {
        self.does(json!({ "do": "follow", "service": service }));
    }

    /// Wants to hear of that no more.
    pub fn follows_no_activity(&self, service: &str) {
        self.does(json!({ "do": "unfollow", "service": service }));
    }

    /// Joins a room and asks for what has changed in its lists since a version, or for all of them (XEP-0463), without
    /// waiting.
    pub fn enters_versioned(&self, room: &str, nick: &str, since: Option<&str>) {
        self.does(json!({ "do": "enter_versioned", "room": room, "nick": nick, "since": since }));
    }

    /// Subscribes to what is said in a room without being in it (MUC/Sub of ejabberd).
    pub fn subscribes(&self, room: &str, nick: &str) -> Answer<()> {
        let nick = escape(nick);
        let said = "<event node='urn:xmpp:mucsub:nodes:messages'/>";
        self.sets(room, &format!("<subscribe xmlns='urn:xmpp:mucsub:0' nick='{nick}'>{said}</subscribe>"))
    }

    /// Ends that.
    pub fn unsubscribes(&self, room: &str) -> Answer<()> {
        self.sets(room, "<unsubscribe xmlns='urn:xmpp:mucsub:0'/>")
    }

    /// Requests what the libraries have no function for.
    fn sets(&self, to: &str, payload: &str) -> Answer<()> {
        let answer = self.iq(to, "set", payload);
        if answer.kind() == "result" { Ok(()) } else { Err(Box::new(answer)) }
    }
}

/// The values of a form by their fields.
fn object(values: &[(&str, &str)]) -> Value {
    values
        .iter()
        .map(|(var, value)| ((*var).to_owned(), Value::from(*value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
