//! What people in the room say and show to each other.

use super::{COVEN, Coven, Witch};
use crate::{CHAT, CONFERENCE, Element, JoinOptions, ROOMS};

impl Coven {
    /// Everybody says something: each message reaches everybody once, under one id, and crosses each link once.
    ///
    /// # Panics
    /// When the story goes otherwise.
    pub fn talks(&self, topic: &str) {
        let mut ids = Vec::new();
        for witch in &self.witches {
            let marks = self.world.lull();
            let mark = self.mark();
            let text = format!("{topic}, says {}", witch.nick);
            witch.says(&text);
            ids.push(self.all_hear(mark, &text));
            self.each_peer_got(&marks, witch.site, "message", 1, &text);
            self.nobody_heard_twice(&text);
            self.knows_the_speaker(&text, witch);
        }
        let said = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), said, "every message has an id of its own");
    }

    /// The message comes from the speaker's nick in the listener's own room, bears the speaker's occupant-id, the same
    /// for all, and nothing of what the instances tell each other.
    fn knows_the_speaker(&self, text: &str, speaker: &Witch) {
        let mut occupants = Vec::new();
        for witch in &self.witches {
            let message = witch.client.hears(0, text);
            assert_eq!(message.from(), witch.knows(&speaker.nick));
            assert_eq!(message.kind(), "groupchat");
            let inner = message.children.iter().find(|child| child.namespace.starts_with("urn:xmpp:dmuc"));
            assert!(inner.is_none(), "users are not shown the replication: {message}");
            let occupant = message.child("occupant-id", "urn:xmpp:occupant-id:0");
            occupants.push(occupant.map(|id| id.attr("id").to_owned()));
        }
        occupants.dedup();
        assert_eq!(occupants.len(), 1, "one occupant-id at all instances");
        assert!(occupants[0].is_some(), "messages bear an occupant-id");
    }

    /// Everybody speaks at once: nothing is lost or doubled, each speaker's own order is kept, and the links carry one
    /// stanza for each message.
    ///
    /// # Panics
    /// When the story goes otherwise.
    pub fn chatters(&self, rounds: usize) {
        let marks = self.world.lull();
        let mark = self.mark();
        let text = |round: usize, witch: &Witch| format!("round {round} of {}", witch.nick);
        for round in 0..rounds {
            self.witches.iter().for_each(|witch| witch.says(&text(round, witch)));
        }
        for speaker in &self.witches {
            let said: Vec<_> = (0..rounds).map(|round| text(round, speaker)).collect();
            said.iter().for_each(|text| drop(self.all_hear(mark, text)));
            for listener in &self.witches {
                let heard = listener.client.since(mark);
                let heard: Vec<_> = heard
                    .iter()
                    .filter(|stanza| stanza.from() == listener.knows(&speaker.nick))
                    .filter_map(Element::body)
                    .collect();
                assert_eq!(heard, said, "what {} heard of {}", listener.nick, speaker.nick);
            }
        }
        self.world.lull();
        for (from, peers) in super::PEERS.into_iter().enumerate() {
            let speakers = self.witches.iter().filter(|witch| witch.site == from).count();
            for to in peers {
                let sent = self.sent_by_room(&marks, from, to, "message");
                assert_eq!(sent, speakers * rounds, "messages from site {from} to {to}");
            }
        }
    }

    /// The user at the first shadow takes another nick: everybody sees it, as one pair of presences for each peer.
    ///
    /// # Panics
    /// When the story goes otherwise.
    pub fn changes_a_nick(&mut self) {
        let marks = self.world.lull();
        let mark = self.mark();
        let hag = self.witch("thirdwitch");
        hag.client.presence(&hag.knows("weirdsister"), "");
        for witch in &self.witches {
            let gone = witch.sees(mark, "thirdwitch", "going", |presence| presence.kind() == "unavailable");
            assert!(gone.statuses().contains(&"303"), "{gone}");
            assert_eq!(gone.muc_item("nick"), "weirdsister");
            witch.sees(mark, "weirdsister", "coming", |presence| presence.kind().is_empty());
        }
        self.each_peer_got(&marks, ROOMS, "presence", 2, "a change of nick");
        let hag = self.witches.iter_mut().find(|witch| witch.nick == "thirdwitch").expect("it was there");
        hag.nick = "weirdsister".to_owned();
    }

    /// An occupant shows that it is busy: everybody sees it, as one presence for each peer.
    ///
    /// # Panics
    /// When the story goes otherwise.
    pub fn shows_availability(&self) {
        let marks = self.world.lull();
        let mark = self.mark();
        let kit = self.witch("quill");
        kit.client.presence(&kit.knows("quill"), "<show>dnd</show><status>writing</status>");
        for witch in &self.witches {
            let shown = witch.sees(mark, "quill", "busy", |presence| presence.find("show").is_some());
            assert_eq!(shown.find("show").map(|show| show.text.as_str()), Some("dnd"));
            assert_eq!(shown.find("status").map(|status| status.text.as_str()), Some("writing"), "{shown}");
        }
        self.each_peer_got(&marks, CONFERENCE, "presence", 1, "a change of availability");
    }

    /// Words between two occupants at different sites reach nobody else, and no third site.
    ///
    /// # Panics
    /// When the story goes otherwise.
    pub fn whispers(&self) {
        let marks = self.world.lull();
        let mark = self.mark();
        let kit = self.witch("quill");
        kit.client.whisper(&kit.knows("firstwitch"), "when shall we two meet again");
        let crone = self.witch("firstwitch");
        let heard = crone.client.hears(mark, "when shall we two meet again");
        assert_eq!((heard.from(), heard.kind()), (crone.knows("quill").as_str(), "chat"));
        self.world.lull();
        for witch in self.witches.iter().filter(|witch| witch.nick != "firstwitch") {
            assert!(
                witch.client.copies_of("when shall we two meet again").is_empty(),
                "{} overheard",
                witch.nick
            );
        }
        assert_eq!(self.sent_by_room(&marks, CONFERENCE, CHAT, "message"), 1);
        assert_eq!(self.sent_by_room(&marks, CONFERENCE, ROOMS, "message"), 0);
        crone.client.whisper(&crone.knows("quill"), "in thunder");
        assert_eq!(kit.client.hears(mark, "in thunder").from(), kit.knows("firstwitch"));
    }

    /// A subject set at a shadow is everybody's subject.
    ///
    /// # Panics
    /// When the story goes otherwise.
    pub fn sets_a_subject(&self) {
        let marks = self.world.lull();
        let mark = self.mark();
        let setter = self.witch("anotherwitch");
        setter.client.set_subject(setter.room(), "Fire burn & cauldron bubble");
        for witch in &self.witches {
            let subject = witch.client.expect(mark, "the new subject", |stanza| {
                stanza.name == "message" && stanza.subject() == Some("Fire burn & cauldron bubble")
            });
            assert_eq!(subject.from(), witch.knows("anotherwitch"));
            assert_eq!(subject.body(), None);
        }
        self.each_peer_got(&marks, ROOMS, "message", 1, "a change of subject");
    }

    /// An occupant leaves: everybody sees it, as one presence for each peer.
    ///
    /// # Panics
    /// When the story goes otherwise.
    pub fn lets_go(&mut self, nick: &str) {
        let marks = self.world.lull();
        let mark = self.mark();
        let position = self.witches.iter().position(|witch| witch.nick == nick).expect("it is in the room");
        let leaver = self.witches.remove(position);
        leaver.client.leave(leaver.room(), nick);
        for witch in &self.witches {
            witch.sees(mark, nick, "leaving", |presence| presence.kind() == "unavailable");
        }
        self.each_peer_got(&marks, leaver.site, "presence", 1, "somebody leaving");
    }

    /// Newcomers at all three sites are shown the same history in the same order, with what was said at each site.
    ///
    /// # Panics
    /// When the story goes otherwise.
    pub fn tells_newcomers_the_same(&self) {
        let newcomers = [
            ("duncan@shakespeare.lit/throne", CHAT),
            ("lady@macbeth.lit/hall2", ROOMS),
            ("helen@marlowe.lit/tower2", CONFERENCE),
        ];
        let options = JoinOptions { max_stanzas: Some(40), ..JoinOptions::default() };
        let mut histories = Vec::new();
        for (jid, site) in newcomers {
            let client = self.world.login(jid);
            let joined = client.try_join(COVEN[site], "newcomer", options);
            let joined = joined.unwrap_or_else(|error| panic!("{jid} cannot join: {error}"));
            assert_eq!(joined.subject.subject(), Some("Fire burn & cauldron bubble"), "{}", joined.subject);
            let received = client.since(0);
            let mut past =
                received.iter().filter(|stanza| stanza.name == "message" && stanza.kind() == "groupchat");
            let last = past.next_back().expect("there is a subject");
            assert_eq!(
                last.subject(),
                Some("Fire burn & cauldron bubble"),
                "the subject ends the join: {last}"
            );
            let early: Vec<_> = past.filter(|message| message.subject().is_some()).collect();
            assert!(early.is_empty(), "subjects among the history: {early:#?}");
            let told = joined.history.iter().filter_map(|message| {
                let id = message.stanza_id(COVEN[site])?;
                Some((id.to_owned(), message.nick().to_owned(), message.body()?.to_owned()))
            });
            histories.push(told.collect::<Vec<_>>());
            client.leave(COVEN[site], "newcomer");
            self.witches[0].sees(0, "newcomer", "gone", |presence| presence.kind() == "unavailable");
            client.disconnect();
            client.expect_closed();
        }
        assert!(histories[0].len() >= 30, "there is a past to tell: {:#?}", histories[0]);
        assert_eq!(histories[0], histories[1], "source and first shadow");
        assert_eq!(histories[0], histories[2], "source and second shadow");
    }
}
