//! Keeping up with a room: from outside, or after having been away.

use dmuc_tests::scene::{Scene, service_of, until};
use dmuc_tests::{Client, Element};

/// XEP-0437: whoever belongs to a room hears from its own service that something was said in it.
pub fn activity(scene: &Scene) {
    scene.gather();
    let member = scene.bystander.bare_jid();
    scene.owner.changes_affiliation(&scene.room, member, "member").expect("an owner appoints");
    until("the member is known", || {
        scene.owner.lists(&scene.room, "member").is_ok_and(|members| members.iter().any(|it| it == member))
    });
    let followers = [(&scene.bystander, &scene.room), (&scene.far_owner, &scene.far_room)];
    let mark = scene.owner.mark();
    followers.iter().for_each(|(client, room)| client.follows_activity(service_of(room)));
    scene.guest.speaks(&scene.room, "By the pricking of my thumbs");
    for (client, room) in followers {
        client.expect(mark, "word of activity", |stanza| {
            stanza.from() == service_of(room) && stanza.all("activity").iter().any(|told| told.text == *room)
        });
        client.follows_no_activity(service_of(room));
    }
}

/// MUC/Sub: whoever subscribes at one instance hears what is said at all, without being in.
pub fn subscription(scene: &Scene) {
    scene.gather();
    scene.bystander.subscribes(&scene.room, "mole").expect("subscriptions are allowed");
    for (nick, client, room) in [("owner", &scene.owner, &scene.room), ("far", &scene.far, &scene.far_room)] {
        let mark = scene.bystander.mark();
        let text = format!("{nick} is heard");
        client.speaks(room, &text);
        // Its other clients may hear of other rooms.
        let of_the_room = |stanza: &Element| stanza.from() == scene.room && says(stanza, &text);
        let told = scene.bystander.expect(mark, "what was said", of_the_room);
        let items = told.find("items").expect("an event has items");
        assert_eq!(items.attr("node"), "urn:xmpp:mucsub:nodes:messages");
        assert_eq!(items.find("message").map(Element::from), Some(&*scene.nick(nick)));
    }
    scene.bystander.unsubscribes(&scene.room).expect("it may end that");
    let mark = scene.bystander.mark();
    scene.owner.speaks(&scene.room, "unheard");
    scene.owner.hears(mark, "unheard");
    scene.bystander.expect_nothing(mark, "what it does not subscribe to", |stanza| says(stanza, "unheard"));
}

fn says(stanza: &Element, text: &str) -> bool {
    stanza.all("body").iter().any(|body| body.text == text)
}

/// XEP-0463: whoever comes back is told what has changed in the lists, whichever instance it knew them from.
pub fn versions(scene: &Scene) {
    let (member, owner) = (scene.bystander.bare_jid(), scene.owner.bare_jid());
    let mark = scene.owner.mark();
    let first = enters(&scene.owner, &scene.nick("owner"), None);
    assert!(told(&scene.owner, mark, &scene.room).contains(&(owner.to_owned(), "owner".to_owned())));

    let mark = scene.owner.mark();
    scene.owner.changes_affiliation(&scene.room, member, "member").expect("an owner appoints");
    let step = scene.owner.expect(mark, "the step to a new version", |stanza| {
        stanza.name == "message" && stanza.find("mav").is_some_and(|mav| mav.attr("since") == first)
    });
    let second = step.find("mav").expect("it was seen").attr("until").to_owned();
    assert_eq!((step.muc_item("jid"), step.muc_item("affiliation")), (member, "member"));

    until("the other instance knows as well", || {
        let members = scene.far_owner.lists(&scene.far_room, "member");
        members.is_ok_and(|members| members.iter().any(|it| it == member))
    });
    let change = [(member.to_owned(), "member".to_owned())];
    scene.owner.leaves(&scene.room, "owner");
    for (nick, client, room) in
        [("owner", &scene.owner, &scene.room), ("far owner", &scene.far_owner, &scene.far_room)]
    {
        for (known, news) in [(&first, &change[..]), (&second, &[])] {
            let mark = client.mark();
            assert_eq!(enters(client, &format!("{room}/{nick}"), Some(known)), second, "{room}");
            assert_eq!(told(client, mark, room), news, "{room}");
            client.leaves(room, nick);
        }
    }
}

/// Enters under a nick and gives the version that the lists have.
fn enters(client: &Client, occupant: &str, since: Option<&str>) -> String {
    let mark = client.mark();
    let (room, nick) = occupant.split_once('/').expect("an occupant has a nick");
    client.enters_versioned(room, nick, since);
    let own = client.expect(mark, "its own presence", |presence| {
        presence.from() == occupant && presence.statuses().contains(&"110") && presence.kind().is_empty()
    });
    own.find("mav").map(|mav| mav.attr("until").to_owned()).unwrap_or_default()
}

/// What the lists were said to be before the client was in.
fn told(client: &Client, mark: usize, room: &str) -> Vec<(String, String)> {
    let lists = client.since(mark).into_iter().filter(|it| it.from() == room && it.find("mav").is_some());
    let entry = |item: &Element| (item.attr("jid").to_owned(), item.attr("affiliation").to_owned());
    lists.flat_map(|list| list.all("item").into_iter().map(entry).collect::<Vec<_>>()).collect()
}
