//! Rooms as tasks: waking, failing, sleeping, stopping.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{TestStore, World, jid};
use dmuc_core::policy::{Distribute, PeerRule, ServicePolicy};
use dmuc_core::storage::PeerPolicy;
use dmuc_server_adapter::module::{Accepted, Inbound, MucModule, Origin};
use dmuc_server_adapter::service::Tuning;
use dmuc_server_adapter::wire::parse_stanzas;

#[tokio::test]
async fn a_room_wakes_and_speaks() {
    let world = World::new().await;
    world.joined("hecate", "coven").await;
    world.joined("wyrd", "coven").await;
    assert!(world.say("wyrd", "coven", "thrice"));
    world
        .until("both hear", |world| {
            ["hecate", "wyrd"].iter().all(|who| world.heard(who, "coven") == ["thrice"])
        })
        .await;
    assert_eq!(world.service.rooms_awake(), 1);
}

#[tokio::test]
async fn a_room_that_cannot_be_read_is_never_created_anew() {
    let store = Arc::<TestStore>::default();
    let first = World::with(store.clone(), Tuning::default()).await;
    first.joined("hecate", "coven").await;
    first.service.shutdown().await;

    let second = World::with(store.clone(), Tuning::default()).await;
    store.down.store(true, Ordering::SeqCst);
    second.handle(
        "<presence id='try' from='eve@shakespeare.lit/x' to='coven@chat.shakespeare.lit/eve'>\
         <x xmlns='http://jabber.org/protocol/muc'/></presence>",
    );
    second.until("refused", |world| world.refused("eve") == ["try"]).await;
    second.until("nothing is kept", |world| world.service.rooms_awake() == 0).await;

    store.down.store(false, Ordering::SeqCst);
    second.joined("eve", "coven").await;
    let own = second
        .got("eve")
        .iter()
        .map(|stanza| stanza.to_xml())
        .find(|xml| xml.contains("code='110'"))
        .unwrap();
    assert!(own.contains("affiliation='none'"), "a stranger owns nothing: {own}");
    assert_eq!(store.rooms(), 1);
}

#[tokio::test]
async fn a_failed_commit_is_refused_and_nobody_else_notices() {
    let world = World::new().await;
    for room in ["coven", "heath"] {
        world.joined("hecate", room).await;
        world.joined("wyrd", room).await;
    }
    *world.store.cursed.lock().unwrap() = Some(jid("coven@chat.shakespeare.lit"));
    world.say("wyrd", "coven", "lost");
    world.say("wyrd", "heath", "kept");
    world.until("refused", |world| world.refused("wyrd") == ["lost"]).await;
    world.until("the other room goes on", |world| world.heard("hecate", "heath") == ["kept"]).await;

    *world.store.cursed.lock().unwrap() = None;
    world.say("wyrd", "coven", "again");
    world.until("everybody is still there", |world| world.heard("hecate", "coven") == ["again"]).await;
    assert_eq!(world.heard("wyrd", "coven"), ["again"]);
    assert_eq!(world.refused("wyrd"), ["lost"]);
}

#[tokio::test]
async fn a_room_taken_over_by_another_node_says_nothing_more() {
    let tuning = Tuning { lease_ttl: Duration::from_millis(200), ..Tuning::default() };
    let world = World::with(Arc::default(), tuning).await;
    world.joined("hecate", "coven").await;
    world.store.steal();
    world.say("hecate", "coven", "late");
    world.until("refused", |world| world.refused("hecate") == ["late"]).await;
    world.say("hecate", "coven", "later");
    world.until("refused again", |world| world.refused("hecate") == ["late", "later"]).await;
    assert!(world.heard("hecate", "coven").is_empty());
    world.store.expire_stolen();
    world.say("hecate", "coven", "back");
    world.until("ours again", |world| world.heard("hecate", "coven") == ["back"]).await;
}

#[tokio::test]
async fn a_lease_is_renewed_and_its_loss_is_noticed_without_a_commit() {
    let tuning = Tuning { lease_ttl: Duration::from_millis(90), ..Tuning::default() };
    let world = World::with(Arc::default(), tuning).await;
    world.joined("hecate", "coven").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.say("hecate", "coven", "ours");
    world.until("renewed", |world| world.heard("hecate", "coven") == ["ours"]).await;
    world.store.steal();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let commits = world.store.groups().len();
    world.say("hecate", "coven", "theirs");
    world.until("refused", |world| world.refused("hecate") == ["theirs"]).await;
    assert_eq!(world.store.groups().len(), commits, "the store need not refuse what the room does not try");
}

#[tokio::test]
async fn an_unused_room_sleeps_and_comes_back_as_it_was() {
    let tuning = Tuning { hibernate_after: Duration::from_millis(50), ..Tuning::default() };
    let world = World::with(Arc::default(), tuning).await;
    world.joined("hecate", "coven").await;
    world.joined("wyrd", "coven").await;
    world.say("wyrd", "coven", "before");
    world.until("heard", |world| world.heard("hecate", "coven") == ["before"]).await;
    world.until("asleep", |world| world.service.rooms_awake() == 0).await;
    assert_eq!(world.store.leased(), 0, "a sleeping room is anybody's");
    world.say("hecate", "coven", "after");
    world.until("awake", |world| world.heard("wyrd", "coven") == ["before", "after"]).await;
    world.joined("macbeth", "coven").await;
    assert_eq!(world.heard("macbeth", "coven"), ["before", "after"]);
}

#[tokio::test]
async fn an_address_that_holds_nothing_is_forgotten_at_once() {
    let world = World::new().await;
    world.handle(
        "<iq type='get' id='q' from='hecate@shakespeare.lit/x' to='void@chat.shakespeare.lit'>\
         <query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
    );
    world
        .until("answered", |world| world.got("hecate").iter().any(|stanza| stanza.id.as_deref() == Some("q")))
        .await;
    world.until("forgotten", |world| world.service.rooms_awake() == 0).await;
    assert_eq!(world.store.rooms(), 0);
}

#[tokio::test]
async fn commits_that_arrive_during_a_commit_go_out_together() {
    let world = World::new().await;
    let rooms: Vec<_> = (0..20).map(|n| format!("room{n}")).collect();
    for room in &rooms {
        world.joined("hecate", room).await;
    }
    let before = world.store.groups().len();
    let hold = world.store.hold().await;
    world.say("hecate", "room0", "first");
    world.until("the first commit is in flight", |world| world.store.groups().len() > before).await;
    for round in ["one", "two", "three"] {
        rooms.iter().for_each(|room| assert!(world.say("hecate", room, round)));
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(hold);
    let all =
        |world: &World| rooms.iter().all(|room| world.heard("hecate", room).ends_with(&["three".to_owned()]));
    world.until("all heard", all).await;
    let groups = world.store.groups()[before..].to_vec();
    // The nineteen rooms that waited; then room0, whose three messages are one commit.
    assert_eq!(groups[0], 1);
    assert!(groups[1] >= 19, "{groups:?}");
    assert!(groups.len() <= 3, "{groups:?}");
    assert_eq!(world.heard("hecate", "room0"), ["first", "one", "two", "three"]);
}

#[tokio::test]
async fn a_full_mailbox_refuses_all_but_farewells() {
    let tuning = Tuning { mailbox_max: 4, ..Tuning::default() };
    let world = World::with(Arc::default(), tuning).await;
    world.joined("hecate", "coven").await;
    world.joined("wyrd", "coven").await;
    world.service.shutdown().await;

    let tuning = Tuning { mailbox_max: 4, ..Tuning::default() };
    let world = World::with(world.store, tuning).await;
    let hold = world.store.hold().await;
    let ids: Vec<_> = (0..9).map(|n| format!("m{n}")).collect();
    // The first wakes the room, which takes what is there and waits for the store.
    let mut taken = vec![world.say("hecate", "coven", &ids[0])];
    tokio::time::sleep(Duration::from_millis(20)).await;
    taken.extend(ids[1..].iter().map(|id| world.say("hecate", "coven", id)));
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 5, "{taken:?}");
    assert_eq!(world.refused("hecate"), &ids[5..], "refused at once, not when the store is back");
    assert!(world.leave("wyrd", "coven"));
    drop(hold);
    world.until("the rest is heard", |world| world.heard("hecate", "coven") == ids[..5]).await;
    let wyrd_left = |world: &World| {
        world.got("hecate").iter().any(|stanza| {
            stanza.ty() == "unavailable" && stanza.to_xml().contains("coven@chat.shakespeare.lit/wyrd")
        })
    };
    world.until("the farewell is heard", wyrd_left).await;
}

#[tokio::test]
async fn a_full_host_stops_the_room_and_loses_nothing() {
    let tuning = Tuning { mailbox_max: 8, ..Tuning::default() };
    let world = World::with(Arc::default(), tuning).await;
    world.joined("hecate", "coven").await;
    world.host.set_full(true);
    let mut taken = Vec::new();
    for n in 0..100 {
        let id = format!("m{n}");
        if world.say("hecate", "coven", &id) {
            taken.push(id);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!((8..50).contains(&taken.len()), "the room stops taking: {}", taken.len());
    world.host.set_full(false);
    world.until("all is delivered, in order", |world| world.heard("hecate", "coven") == taken).await;
}

#[tokio::test]
async fn stopping_finishes_what_was_taken() {
    let world = World::new().await;
    world.joined("hecate", "coven").await;
    let hold = world.store.hold().await;
    let ids: Vec<_> = (0..30).map(|n| format!("m{n}")).collect();
    ids.iter().for_each(|id| assert!(world.say("hecate", "coven", id)));
    let release = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(hold);
    };
    tokio::join!(world.service.shutdown(), release);
    assert_eq!(world.heard("hecate", "coven"), ids);
    assert_eq!(world.store.log_len(), 30);
    assert_eq!(world.store.leased(), 0);
    assert!(!world.say("hecate", "coven", "late"));
    assert_eq!(world.refused("hecate"), ["late"]);
}

#[tokio::test]
async fn operators_change_peers_while_rooms_are_awake() {
    let world = World::new().await;
    assert!(world.service.policy().peers.get("rooms.macbeth.lit").is_none());
    world.store.set_rule(&PeerRule::allow("rooms.macbeth.lit")).await.unwrap();
    world.service.refresh_peers().await;
    assert!(world.service.policy().peers.get("rooms.macbeth.lit").is_some_and(|rule| rule.host));
    world.store.down.store(true, Ordering::SeqCst);
    world.service.refresh_peers().await;
    assert!(
        world.service.policy().peers.get("rooms.macbeth.lit").is_some(),
        "what is unknown does not change"
    );
}

#[tokio::test]
async fn a_session_that_ends_leaves_its_rooms() {
    let world = World::new().await;
    world.joined("hecate", "coven").await;
    world.joined("wyrd", "coven").await;
    world.service.session_closed(&jid("wyrd@shakespeare.lit/x"));
    let wyrd_left = |world: &World| world.got("hecate").iter().any(|stanza| stanza.ty() == "unavailable");
    world.until("the others see it", wyrd_left).await;
}

#[tokio::test]
async fn rooms_are_listed_from_the_store() {
    let world = World::new().await;
    world.joined("hecate", "coven").await;
    world.joined("hecate", "heath").await;
    let list = "<iq type='get' id='list' from='wyrd@shakespeare.lit/x' to='chat.shakespeare.lit'>\
                <query xmlns='http://jabber.org/protocol/disco#items'/></iq>";
    world.handle(list);
    world.until("listed", |world| world.got("wyrd").len() == 1).await;
    let listing = world.got("wyrd")[0].to_xml();
    assert!(
        listing.contains("coven@chat.shakespeare.lit") && listing.contains("heath@chat.shakespeare.lit"),
        "{listing}"
    );
    world.store.down.store(true, Ordering::SeqCst);
    world.handle(list);
    world.until("refused", |world| world.refused("wyrd") == ["list"]).await;
}

#[tokio::test]
async fn subscriptions_are_listed_from_the_store() {
    let mut policy = ServicePolicy::new(&jid("chat.shakespeare.lit"));
    policy.lock_new_rooms = false;
    policy.defaults.allow_subscription = true;
    let world = World::governed(Arc::default(), Tuning::default(), policy).await;
    world.joined("hecate", "coven").await;
    world.joined("hecate", "heath").await;
    let sub = "xmlns='urn:xmpp:mucsub:0'";
    world.handle(&format!(
        "<iq type='set' id='sub' from='wyrd@shakespeare.lit/x' to='heath@chat.shakespeare.lit'>\
         <subscribe {sub} nick='wyrd'><event node='urn:xmpp:mucsub:nodes:messages'/></subscribe></iq>"
    ));
    world.until("subscribed", |world| world.got("wyrd").len() == 1).await;
    let list = format!(
        "<iq type='get' id='list' from='wyrd@shakespeare.lit/x' to='chat.shakespeare.lit'>\
         <subscriptions {sub}/></iq>"
    );
    world.handle(&list);
    world.until("listed", |world| world.got("wyrd").len() == 2).await;
    let listing = world.got("wyrd")[1].to_xml();
    assert!(listing.contains("jid='heath@chat.shakespeare.lit'") && !listing.contains("coven@"), "{listing}");
    world.store.down.store(true, Ordering::SeqCst);
    world.handle(&list);
    world.until("refused", |world| world.refused("wyrd") == ["list"]).await;
}

#[tokio::test]
async fn a_peer_speaks_for_its_own_domain_only() {
    let world = World::new().await;
    let disco = "<iq type='get' id='q' from='wyrd@shakespeare.lit/x' to='chat.shakespeare.lit'>\
                 <query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
    for (peer, answers) in [("macbeth.lit", 0), ("shakespeare.lit", 1)] {
        let stanza = parse_stanzas(disco).pop().unwrap();
        let taken = world.service.handle(Inbound { stanza, origin: Origin::Peer(peer.to_owned()) });
        assert_eq!((taken, world.got("wyrd").len()), (Accepted::Taken, answers), "{peer}");
    }
}

/// A room that is to be distributed to a peer which cannot just now; it has been told so once.
async fn put_off(store: Arc<TestStore>) -> World {
    let mut policy = ServicePolicy::new(&jid(common::CHAT));
    policy.lock_new_rooms = false;
    policy.distribute = Distribute::All;
    policy.peers = [PeerRule::allow("rooms.macbeth.lit")].into_iter().collect();
    let tuning = Tuning { lease_ttl: Duration::from_millis(300), ..Tuning::default() };
    World::governed(store, tuning, policy).await
}

const PEER: &str = "rooms.macbeth.lit";

/// The peer refuses what it was asked last, for now.
async fn refuse_placement(world: &World, asked: usize) {
    world.until("the peer is asked", |world| world.got_by(PEER).len() == asked).await;
    let request = world.got_by(PEER).pop().unwrap();
    let (from, id) = (request.from.unwrap(), request.id.unwrap());
    world.handle(&format!(
        "<iq type='error' id='{id}' from='{PEER}' to='{from}'><error type='wait'>\
         <resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    ));
    let waiting = |world: &World| world.store.parts("placement/").iter().any(|part| part.contains("waiting"));
    world.until("it is put off", waiting).await;
}

/// Makes what was put off due.
fn hurry(store: &TestStore) {
    let due = |value: &str| {
        let mut placement: serde_json::Value = serde_json::from_str(value).unwrap();
        let at = placement.get_mut("at").unwrap_or_else(|| panic!("not put off: {value}"));
        *at = 0.into();
        placement.to_string()
    };
    assert_eq!(store.edit("placement/", due), 1);
}

#[tokio::test]
async fn what_was_put_off_is_done_after_a_restart() {
    let world = put_off(Arc::default()).await;
    world.joined("hecate", "coven").await;
    refuse_placement(&world, 1).await;
    world.service.shutdown().await;
    hurry(&world.store);
    let world = put_off(world.store).await;
    world.say("hecate", "coven", "hail");
    world.until("the peer is asked again", |world| world.got_by(PEER).len() == 1).await;
}

#[tokio::test]
async fn what_was_put_off_is_done_after_a_failure_even_if_nobody_speaks() {
    let world = put_off(Arc::default()).await;
    world.joined("hecate", "coven").await;
    refuse_placement(&world, 1).await;
    *world.store.cursed.lock().unwrap() = Some(jid("coven@chat.shakespeare.lit"));
    world.say("hecate", "coven", "lost");
    world.until("refused", |world| world.refused("hecate") == ["lost"]).await;
    *world.store.cursed.lock().unwrap() = None;
    hurry(&world.store);
    world.until("the peer is asked again", |world| world.got_by(PEER).len() == 2).await;
}

#[tokio::test]
async fn archives_forget_what_is_old_although_their_rooms_sleep() {
    let policy = |archive_ms| {
        let mut policy = ServicePolicy::new(&jid("chat.shakespeare.lit"));
        (policy.lock_new_rooms, policy.archive_ms) = (false, archive_ms);
        policy
    };
    let tuning = Tuning { expire_every: Duration::from_millis(10), ..Tuning::default() };
    let store = Arc::<TestStore>::default();
    let lasting = World::governed(store.clone(), tuning.clone(), policy(86_400_000)).await;
    for room in ["coven", "heath"] {
        lasting.joined("hecate", room).await;
        lasting.say("hecate", room, "thrice");
        lasting.until("heard", |world| world.heard("hecate", room) == ["thrice"]).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(store.log_len(), 2, "what is new is kept");
    lasting.service.shutdown().await;

    let forgetful = World::governed(store, tuning, policy(1)).await;
    forgetful.until("forgotten", |world| world.store.log_len() == 0).await;
    assert_eq!(forgetful.service.rooms_awake(), 0, "nobody was woken for that");
}
