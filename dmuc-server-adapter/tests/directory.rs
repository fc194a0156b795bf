//! What the service as a whole answers about its rooms: lists, searches, activity. On each store there is.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;

use common::desk::Desk;
use common::jid;
use dmuc_core::policy::ServicePolicy;
use dmuc_core::storage::{MemoryStore, Storage};
use dmuc_server_adapter::service::open_storage;

/// Plays a story with rooms kept in memory and in a file.
async fn on_each_store<F: Future<Output = ()>>(story: impl Fn(Desk) -> F) {
    let dir = tempfile::tempdir().unwrap();
    let file = open_storage(&format!("sqlite:{}", dir.path().join("rooms.db").display())).await.unwrap();
    let stores: [Arc<dyn Storage>; 2] = [Arc::new(MemoryStore::new()), file];
    for store in stores {
        story(Desk::on(store, policy()).await).await;
    }
}

fn policy() -> ServicePolicy {
    let mut policy = ServicePolicy::new(&jid(common::CHAT));
    policy.lock_new_rooms = false;
    policy.defaults.persistent = true;
    policy
}

/// Rooms `a` to `e`, the third of them hidden.
async fn five(desk: &Desk) {
    for room in ["a", "b", "c", "d", "e"] {
        desk.joined("hecate", room).await;
    }
    desk.configured("hecate", "c", &[("muc#roomconfig_publicroom", "0")]).await;
}

fn items(rsm: &str) -> String {
    let set = if rsm.is_empty() {
        String::new()
    } else {
        format!("<set xmlns='http://jabber.org/protocol/rsm'>{rsm}</set>")
    };
    format!("<query xmlns='http://jabber.org/protocol/disco#items'>{set}</query>")
}

const RSM: &str = "http://jabber.org/protocol/rsm";

/// Names, count, index of the first.
fn page(answer: &minidom::Element) -> (String, Option<String>, Option<String>) {
    let rooms = answer.children().filter(|child| child.name() == "item");
    let address = |room: &minidom::Element| room.attr("jid").or(room.attr("address")).unwrap().to_owned();
    let names = rooms.map(|room| address(room).split('@').next().unwrap().to_owned()).collect();
    let set = answer.get_child("set", RSM);
    let count = set.and_then(|set| set.get_child("count", RSM)).map(minidom::Element::text);
    let index = set.and_then(|set| set.get_child("first", RSM)?.attr("index")).map(str::to_owned);
    (names, count, index)
}

#[tokio::test]
async fn public_rooms_are_listed_by_pages() {
    on_each_store(|desk| async move {
        five(&desk).await;
        let some = |text: &str| Some(text.to_owned());
        for (rsm, expected) in [
            ("", ("abde".to_owned(), None, None)),
            ("<max>2</max>", ("ab".to_owned(), some("4"), some("0"))),
            ("<max>2</max><after>b@chat.shakespeare.lit</after>", ("de".to_owned(), some("4"), some("2"))),
            ("<max>1</max><before/>", ("e".to_owned(), some("4"), some("3"))),
            ("<max>2</max><before>e@chat.shakespeare.lit</before>", ("bd".to_owned(), some("4"), some("1"))),
            ("<max>0</max>", (String::new(), some("4"), None)),
            ("<max>1</max><index>2</index>", ("d".to_owned(), some("4"), some("2"))),
            ("<max>9</max><after>e@chat.shakespeare.lit</after>", (String::new(), some("4"), None)),
        ] {
            let answer = desk.asks("get", "wyrd", &items(rsm)).await.unwrap();
            assert_eq!(page(&answer), expected, "{rsm}");
        }
        for (rsm, refusal) in [
            ("<max>2</max><after>nowhere@chat.shakespeare.lit</after>", "item-not-found cancel"),
            ("<max>2</max><after>c@chat.shakespeare.lit</after>", "item-not-found cancel"),
            ("<max>2</max><before>@</before>", "item-not-found cancel"),
            ("<max>many</max>", "bad-request modify"),
        ] {
            assert_eq!(desk.asks("get", "wyrd", &items(rsm)).await.unwrap_err(), refusal, "{rsm}");
        }
    })
    .await;
}

fn search(fields: &[(&str, &str)], rsm: &str) -> String {
    let field = |(var, value): &(&str, &str)| format!("<field var='{var}'><value>{value}</value></field>");
    let fields: String = fields.iter().map(field).collect();
    format!(
        "<search xmlns='urn:xmpp:channel-search:0:search'><set xmlns='{RSM}'>{rsm}</set>\
         <x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
         <value>urn:xmpp:channel-search:0:search-params</value></field>{fields}</x></search>"
    )
}

const BY_ADDRESS: (&str, &str) = ("key", "{urn:xmpp:channel-search:0:order}address");
const BY_USERS: (&str, &str) = ("key", "{urn:xmpp:channel-search:0:order}nusers");

#[tokio::test]
async fn public_rooms_are_searched() {
    on_each_store(|desk| async move {
        five(&desk).await;
        desk.configured(
            "hecate",
            "b",
            &[("muc#roomconfig_roomname", "A Dark Cave"), ("muc#roomconfig_lang", "en")],
        )
        .await;
        let about = [("muc#roomconfig_roomdesc", "Not so dark"), ("muc#roomconfig_membersonly", "1")];
        desk.configured("hecate", "d", &about).await;
        desk.joined("wyrd", "b").await;
        for (fields, found) in [
            (&[("q", "dark"), BY_ADDRESS][..], "bd"),
            (&[("q", "DARK cave")], "b"),
            (&[("q", "dark"), ("sindescription", "false")], "b"),
            (&[("q", "dark"), ("sinname", "0"), BY_ADDRESS], "d"),
            (&[("q", "e@chat")], "e"),
            (&[("q", "e@chat"), ("sinaddress", "false")], ""),
            (&[("q", "nothing")], ""),
            (&[("all", "true"), BY_ADDRESS], "abde"),
            (&[("all", "true"), BY_USERS], "bade"),
            (&[("all", "1"), ("types", "xep-0369")], ""),
            (&[("all", "1"), ("types", "xep-0045"), ("unknown", "field")], "bade"),
        ] {
            let answer = desk.asks("get", "wyrd", &search(fields, "")).await.unwrap();
            assert_eq!(page(&answer).0, found, "{fields:?}");
        }
        let answer = desk.asks("get", "wyrd", &search(&[("q", "dark"), BY_ADDRESS], "")).await.unwrap();
        let told = String::from(&answer);
        for part in [
            "<name>A Dark Cave</name><language>en</language><nusers>2</nusers>",
            "<service-type>xep-0045</service-type><is-open>true</is-open>",
            "<anonymity-mode>muc_semianonymous</anonymity-mode>",
            "<description>Not so dark</description><nusers>1</nusers>",
            "<is-open>false</is-open>",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    })
    .await;
}

#[tokio::test]
async fn results_come_by_pages() {
    on_each_store(|desk| async move {
        five(&desk).await;
        for key in [BY_ADDRESS, BY_USERS] {
            let ask = |rsm: String| search(&[("all", "true"), key], &rsm);
            let edge = |answer: &minidom::Element, name: &str| {
                answer.get_child("set", RSM).unwrap().get_child(name, RSM).unwrap().text()
            };
            let first = desk.asks("get", "wyrd", &ask("<max>3</max>".into())).await.unwrap();
            assert_eq!(page(&first), ("abd".into(), Some("4".into()), Some("0".into())));
            let after = format!("<max>3</max><after>{}</after>", edge(&first, "last"));
            let second = desk.asks("get", "wyrd", &ask(after)).await.unwrap();
            assert_eq!(page(&second), ("e".into(), Some("4".into()), Some("3".into())));
            let before = format!("<max>2</max><before>{}</before>", edge(&second, "first"));
            let back = desk.asks("get", "wyrd", &ask(before)).await.unwrap();
            assert_eq!(page(&back), ("bd".into(), Some("4".into()), Some("1".into())));
            let last = desk.asks("get", "wyrd", &ask("<max>1</max><before/>".into())).await.unwrap();
            assert_eq!(page(&last), ("e".into(), Some("4".into()), Some("3".into())));
        }
    })
    .await;
}

#[tokio::test]
async fn searches_that_make_no_sense_are_refused() {
    on_each_store(|desk| async move {
        for (fields, refusal) in [
            (&[][..], "bad-request cancel no-search-conditions"),
            (&[("q", " ")], "bad-request cancel no-search-conditions"),
            (&[("q", "x")], "bad-request modify invalid-search-terms"),
            (&[("q", "dark"), ("all", "true")], "bad-request modify conflicting-fields"),
            (&[("q", "dark"), ("key", "colour")], "feature-not-implemented modify invalid-sort-key"),
        ] {
            assert_eq!(desk.asks("get", "wyrd", &search(fields, "")).await.unwrap_err(), refusal, "{fields:?}");
        }
        let other = "<search xmlns='urn:xmpp:channel-search:0:search'><x xmlns='jabber:x:data' type='submit'/></search>";
        assert_eq!(desk.asks("get", "wyrd", other).await.unwrap_err(), "bad-request modify");
        let unknown = search(&[("all", "true")], "<after>elsewhere</after>");
        assert_eq!(desk.asks("get", "wyrd", &unknown).await.unwrap_err(), "item-not-found cancel");
        let form = desk.asks("get", "wyrd", "<search xmlns='urn:xmpp:channel-search:0:search'/>").await.unwrap();
        let form = String::from(&form);
        for var in ["q", "all", "sinname", "sindescription", "sinaddress", "types", "key"] {
            assert!(form.contains(&format!("var=\"{var}\"")) || form.contains(&format!("var='{var}'")), "{var}: {form}");
        }
    })
    .await;
}

#[tokio::test]
async fn members_hear_once_of_activity_in_rooms_that_they_are_not_in() {
    on_each_store(|desk| async move {
        desk.joined("hecate", "coven").await;
        desk.ordered("hecate", "coven", "jid='wyrd@shakespeare.lit' affiliation='member'").await;
        desk.world.say("hecate", "coven", "before");
        desk.until("said", |world| world.heard("hecate", "coven") == ["before"]).await;

        let told = |desk: &Desk| desk.activity("wyrd");
        desk.follows("wyrd");
        desk.until("told of what was before", |world| {
            world.activity("wyrd") == ["coven@chat.shakespeare.lit"]
        })
        .await;
        desk.world.say("hecate", "coven", "again");
        desk.until("said", |world| world.heard("hecate", "coven").len() == 2).await;
        assert_eq!(told(&desk).len(), 1, "once is enough");

        desk.joined("wyrd", "coven").await;
        desk.world.leave("wyrd", "coven");
        desk.until("gone", |world| world.got("wyrd").iter().any(|stanza| stanza.ty() == "unavailable")).await;
        desk.world.say("hecate", "coven", "thrice");
        desk.until("told anew", |world| world.activity("wyrd").len() == 2).await;

        desk.follows("stranger");
        desk.world
            .handle("<presence type='unavailable' from='wyrd@shakespeare.lit/x' to='chat.shakespeare.lit'/>");
        desk.joined("wyrd", "coven").await;
        desk.world.leave("wyrd", "coven");
        desk.world.say("hecate", "coven", "to nobody");
        desk.until("said", |world| world.heard("hecate", "coven").len() == 4).await;
        assert_eq!(told(&desk).len(), 2, "it does not want to know any more");
        assert!(desk.activity("stranger").is_empty(), "it does not belong there");
    })
    .await;
}
