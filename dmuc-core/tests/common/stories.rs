//! What users do in stories, and peers at domains without a service here, whose stanzas the story writes by hand.

use dmuc_core::Stanza;
use dmuc_core::policy::PeerRule;
use dmuc_core::stanza::Payload;

use super::{World, jid, payload};

impl World {
    /// Lets every service peer with a domain.
    pub fn allow(&mut self, domain: &str) {
        for site in self.sites.values_mut() {
            let known = site.policy.peers.iter().cloned();
            site.policy.peers = known.chain([PeerRule::allow(domain)]).collect();
        }
    }

    /// Takes everything that came for a domain without a service here.
    pub fn mail(&mut self, domain: &str) -> Vec<Stanza> {
        let mut mail = Vec::new();
        self.inbox.retain(|to, stanzas| {
            let theirs = to.domain() == domain;
            if theirs {
                mail.append(stanzas);
            }
            !theirs
        });
        mail
    }

    /// Has a peerhost that the story plays say yes to everything, until nothing more is asked of it; gives all that it
    /// got. `sync`: it knows more than XEP-0281.
    pub fn agree(&mut self, domain: &str, sync: bool) -> Vec<Stanza> {
        let mut all = Vec::new();
        loop {
            let mail = self.mail(domain);
            if mail.is_empty() {
                return all;
            }
            for request in mail.iter().filter(|stanza| stanza.is_request()) {
                let answer = request.result().with_opt(yes(request, sync));
                self.send(&answer.to_xml());
            }
            all.extend(mail);
        }
    }

    pub fn joins(&mut self, user: &str, room_nick: &str) -> &mut Self {
        self.send(&format!(
            "<presence from='{user}' to='{room_nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
        ))
    }

    pub fn leaves(&mut self, user: &str, room_nick: &str) -> &mut Self {
        self.send(&format!("<presence type='unavailable' from='{user}' to='{room_nick}'/>"))
    }

    pub fn says(&mut self, user: &str, room: &str, text: &str) -> &mut Self {
        self.send(&format!(
            "<message type='groupchat' id='m-{text}' from='{user}' to='{room}'><body>{text}</body></message>"
        ))
    }

    /// Creates an instant room; `options` are `var=value`.
    pub fn creates(&mut self, user: &str, room_nick: &str, options: &[(&str, &str)]) -> &mut Self {
        self.joins(user, room_nick);
        let room = jid(room_nick).to_bare();
        self.configures(user, room.as_str(), options)
    }

    pub fn configures(&mut self, user: &str, room: &str, options: &[(&str, &str)]) -> &mut Self {
        let fields: String = options
            .iter()
            .map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>"))
            .collect();
        self.send(&format!(
            "<iq type='set' id='cfg' from='{user}' to='{room}'><query xmlns='http://jabber.org/protocol/muc#owner'>\
             <x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
             <value>http://jabber.org/protocol/muc#roomconfig</value></field>{fields}</x></query></iq>"
        ))
    }

    /// A `muc#admin` set with one item.
    pub fn orders(&mut self, user: &str, room: &str, item: &str) -> &mut Self {
        self.send(&format!(
            "<iq type='set' id='adm' from='{user}' to='{room}'>\
             <query xmlns='http://jabber.org/protocol/muc#admin'><item {item}/></query></iq>"
        ))
    }
}

/// What a willing peerhost answers.
fn yes(request: &Stanza, sync: bool) -> Option<Payload> {
    let asked = request.children.first()?;
    if asked.ns() == "http://jabber.org/protocol/disco#info" {
        let sync = if sync { "<feature var='urn:xmpp:dmuc:sync:0'/>" } else { "" };
        return Some(payload(&format!(
            "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='conference' type='text'/>\
             <feature var='http://jabber.org/protocol/muc'/><feature var='urn:xmpp:dmuc:0'/>{sync}</query>"
        )));
    }
    let offer = asked.element().ok()?.get_child("offer", "urn:xmpp:dmuc:sync:0").cloned().filter(|_| sync)?;
    let [uid, source, term] = ["uid", "source", "term"].map(|name| offer.attr(name).unwrap().to_owned());
    Some(payload(&format!(
        "<accept xmlns='urn:xmpp:dmuc:sync:0' uid='{uid}' source='{source}' term='{term}'/>"
    )))
}
