//! Owners and what they decide, wherever they are.

use super::{ADMIN, COVEN, Coven, OWNER, Witch, admin_item, ask_until, configuration, disco, has_feature};
use crate::{CHAT, CONFERENCE, Client, JoinOptions, ROOMS};

impl Coven {
    /// The founder makes the occupant of a shadow an owner: all instances know it at once.
    ///
    /// # Panics
    /// When the story goes otherwise.
    pub fn appoints_an_owner_at_a_shadow(&self) {
        let mark = self.mark();
        let crone = self.witch("firstwitch");
        crone.client.request(COVEN[CHAT], "set", &admin_item("affiliation='owner' jid='hag66@macbeth.lit'"));
        self.all_see_affiliation(mark, "weirdsister", "owner");
    }

    /// An owner at a shadow changes the configuration there: it is judged at the source and holds everywhere.
    ///
    /// # Panics
    /// When the story goes otherwise.
    pub fn is_configured_at_a_shadow(&self) {
        let hag = self.witch("weirdsister");
        let form = hag.client.request(COVEN[ROOMS], "get", &format!("<query xmlns='{OWNER}'/>"));
        assert_eq!(form.form_values("muc#roomconfig_roomname"), Some(vec!["A Dark Cave"]));
        for (value, feature) in [("1", "muc_moderated"), ("0", "muc_unmoderated")] {
            let mark = self.mark();
            let change = configuration(&[("muc#roomconfig_moderatedroom", value)]);
            hag.client.request(COVEN[ROOMS], "set", &change);
            for witch in &self.witches {
                witch.client.expect(mark, "word of the new configuration", |stanza| {
                    stanza.name == "message" && stanza.statuses().contains(&"104")
                });
                ask_until(&witch.client, witch.room(), &disco("info"), feature, |info| {
                    has_feature(info, feature)
                });
            }
        }
        let refusal = self.witch("quill").client.iq(
            COVEN[CONFERENCE],
            "set",
            &configuration(&[("muc#roomconfig_moderatedroom", "1")]),
        );
        assert_eq!(refusal.condition(), Some("forbidden"), "only owners configure: {refusal}");
    }

    /// An owner at a shadow makes a user of the third site a member: the source and everybody know.
    ///
    /// # Panics
    /// When the story goes otherwise.
    pub fn takes_members_at_a_shadow(&self) {
        let mark = self.mark();
        let hag = self.witch("weirdsister");
        hag.client.request(COVEN[ROOMS], "set", &admin_item("affiliation='member' jid='kit@marlowe.lit'"));
        self.all_see_affiliation(mark, "quill", "member");
        for owner in [self.witch("firstwitch"), hag] {
            let members = owner.client.request(owner.room(), "get", &admin_item("affiliation='member'"));
            let listed = members.all("item").iter().any(|item| item.attr("jid") == "kit@marlowe.lit");
            assert!(listed, "the members as {} gets them: {members}", owner.nick);
        }
    }

    /// The founder kicks an occupant of a shadow: it goes everywhere, and may come back.
    ///
    /// # Panics
    /// When the story goes otherwise.
    pub fn kicks_across(&mut self) {
        let mark = self.mark();
        let crone = self.witch("firstwitch");
        let kick = format!(
            "<query xmlns='{ADMIN}'><item nick='anotherwitch' role='none'><reason>toil and trouble</reason></item></query>"
        );
        crone.client.request(COVEN[CHAT], "set", &kick);
        for witch in &self.witches {
            let gone =
                witch.sees(mark, "anotherwitch", "kicked", |presence| presence.kind() == "unavailable");
            assert!(gone.statuses().contains(&"307"), "{gone}");
            assert_eq!(gone.muc_item("role"), "none");
        }
        let back = self.mark();
        let kicked = self.witch("anotherwitch");
        kicked.client.join(kicked.room(), "anotherwitch");
        for witch in &self.witches {
            witch.sees(back, "anotherwitch", "back", |presence| presence.kind().is_empty());
        }
    }

    /// The founder bans an occupant of a shadow: it goes everywhere, and no instance lets it in again.
    ///
    /// # Panics
    /// When the story goes otherwise.
    pub fn bans_across(&mut self) {
        let mark = self.mark();
        let crone = self.witch("firstwitch");
        let ban = admin_item("affiliation='outcast' jid='somewitch@macbeth.lit'");
        crone.client.request(COVEN[CHAT], "set", &ban);
        for witch in &self.witches {
            let gone =
                witch.sees(mark, "anotherwitch", "banned", |presence| presence.kind() == "unavailable");
            assert!(gone.statuses().contains(&"301"), "{gone}");
        }
        let position = self.witches.iter().position(|witch| witch.nick == "anotherwitch");
        let Witch { client, .. } = self.witches.remove(position.expect("it was there"));
        for site in [ROOMS, CONFERENCE, CHAT] {
            is_banned(&client, site);
        }
        let heard = self.mark();
        client.say(COVEN[ROOMS], "double, double");
        for witch in &self.witches {
            witch.client.expect_nothing(heard, "words of a banned user", |stanza| {
                stanza.body() == Some("double, double") && stanza.kind() == "groupchat"
            });
        }
    }

    fn all_see_affiliation(&self, mark: usize, nick: &str, affiliation: &str) {
        for witch in &self.witches {
            witch.sees(mark, nick, affiliation, |presence| presence.muc_item("affiliation") == affiliation);
        }
    }
}

fn is_banned(client: &Client, site: usize) {
    let refused = client.try_join(COVEN[site], "anotherwitch", JoinOptions::default());
    let refusal = refused.expect_err("it is banned");
    assert_eq!(refusal.condition(), Some("forbidden"), "at {}: {refusal}", COVEN[site]);
    assert!(refusal.child("x", "http://jabber.org/protocol/muc").is_some(), "{refusal}");
}
