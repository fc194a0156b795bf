//! The room is made, its shadows appear, and people find their way to them.

use super::{COVEN, Coven, OWNER, Witch, ask_until, configuration, disco, has_feature};
use crate::{CHAT, CONFERENCE, Client, ROOMS, World};

impl Coven {
    /// crone1 creates a reserved room, marks it as distributed in its form, and shadows appear at both peerhosts.
    ///
    /// # Panics
    /// When the story goes otherwise.
    pub fn founded(world: World) -> Self {
        let crone = world.login("crone1@shakespeare.lit/desktop");
        world.wait_for_service(CHAT, &crone);
        let elsewhere = [world.login("lady@macbeth.lit/hall"), world.login("helen@marlowe.lit/tower")];
        world.wait_for_service(ROOMS, &elsewhere[0]);
        world.wait_for_service(CONFERENCE, &elsewhere[1]);
        create(&crone);
        distribute(&crone);
        for (site, client) in [(ROOMS, &elsewhere[0]), (CONFERENCE, &elsewhere[1])] {
            find_shadow(&world, site, client);
        }
        elsewhere.iter().for_each(Client::disconnect);
        let witches = vec![Witch { client: crone, site: CHAT, nick: "firstwitch".to_owned() }];
        Self { world, witches }
    }

    /// hag66 knocks at the source and is sent to the shadow of its own site, by error and by invitation.
    ///
    /// # Panics
    /// When the story goes otherwise.
    pub fn redirects_to_the_shadow(&mut self) {
        let hag = self.world.login("hag66@macbeth.lit/pda");
        let refused = hag.try_join(COVEN[CHAT], "thirdwitch", crate::JoinOptions::default());
        let refusal = refused.expect_err("hag66 belongs to a peerhost's domain");
        assert_eq!(refusal.condition(), Some("redirect"), "{refusal}");
        assert_eq!(refusal.from(), "coven@chat.shakespeare.lit/thirdwitch", "the nick it tried: {refusal}");
        let target = refusal.find("redirect").expect("it is the condition").text.clone();
        assert_eq!(target, "xmpp:coven@rooms.macbeth.lit?join");
        let invitation = hag.expect(0, "the invitation to the shadow", |stanza| {
            stanza.name == "message" && stanza.child("x", "jabber:x:conference").is_some()
        });
        assert_eq!(invitation.from(), COVEN[CHAT]);
        assert_eq!(invitation.find("x").expect("it was asked for").attr("jid"), COVEN[ROOMS]);
        hag.disconnect();
        hag.expect_closed();
    }

    /// Two users at each site join their own instance; each join crosses each link once.
    ///
    /// # Panics
    /// When the story goes otherwise.
    pub fn gathers(&mut self) {
        let newcomers = [
            ("wiccarocks@shakespeare.lit/laptop", CHAT, "secondwitch"),
            ("hag66@macbeth.lit/pda2", ROOMS, "thirdwitch"),
            ("somewitch@macbeth.lit/mobile", ROOMS, "anotherwitch"),
            ("kit@marlowe.lit/quill", CONFERENCE, "quill"),
            ("faustus@marlowe.lit/study", CONFERENCE, "doctor"),
        ];
        for (jid, site, nick) in newcomers {
            let marks = self.world.lull();
            let mark = self.join(jid, site, nick);
            let witch = self.witch(nick);
            for other in &self.witches {
                witch.sees(mark, &other.nick, "in the roster", |presence| presence.kind().is_empty());
            }
            self.each_peer_got(&marks, site, "presence", 1, nick);
        }
    }
}

fn create(crone: &Client) {
    let extension = "<x xmlns='http://jabber.org/protocol/muc'/>";
    crone.presence("coven@chat.shakespeare.lit/firstwitch", extension);
    let own = crone.expect(0, "its own presence in the new room", |stanza| {
        stanza.name == "presence" && stanza.statuses().contains(&"110")
    });
    assert!(own.statuses().contains(&"201"), "the room is new: {own}");
    assert_eq!((own.muc_item("affiliation"), own.muc_item("role")), ("owner", "moderator"));
}

fn distribute(crone: &Client) {
    let form = crone.request(COVEN[CHAT], "get", &format!("<query xmlns='{OWNER}'/>"));
    assert_eq!(form.form_values("FORM_TYPE"), Some(vec!["http://jabber.org/protocol/muc#roomconfig"]));
    let distributed = form.form_values("muc#roomconfig_distributed").expect("the form offers to distribute");
    assert!(["0", "false"].contains(&distributed[0]), "not distributed unless the owner says so: {form}");
    let fields = [
        ("muc#roomconfig_roomname", "A Dark Cave"),
        ("muc#roomconfig_distributed", "1"),
        ("muc#roomconfig_publicroom", "1"),
        ("muc#roomconfig_persistentroom", "1"),
        ("muc#roomconfig_changesubject", "1"),
        ("muc#roomconfig_whois", "anyone"),
        ("muc#maxhistoryfetch", "50"),
    ];
    crone.request(COVEN[CHAT], "set", &configuration(&fields));
}

fn find_shadow(world: &World, site: usize, client: &Client) {
    let service = world.site(site).service_domain;
    let items = ask_until(client, service, &disco("items"), "the shadow among its rooms", |answer| {
        answer.all("item").iter().any(|item| item.attr("jid") == COVEN[site])
    });
    let listed = items.all("item").into_iter().find(|item| item.attr("jid") == COVEN[site]);
    assert_eq!(listed.map(|item| item.attr("name")), Some("A Dark Cave"));
    let info = client.request(COVEN[site], "get", &disco("info"));
    assert_eq!(info.form_values("dmuc-source"), Some(vec![COVEN[CHAT]]), "{info}");
    assert_eq!(info.form_values("FORM_TYPE"), Some(vec!["http://jabber.org/protocol/muc#roominfo"]));
    let support = client.request(service, "get", &disco("info"));
    assert!(has_feature(&support, "urn:xmpp:dmuc:0"), "{support}");
}
