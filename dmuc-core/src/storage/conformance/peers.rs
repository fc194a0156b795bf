//! The peer rules.

use super::Builder;
use crate::policy::PeerRule;
use crate::storage::{PeerPolicy, Storage};

async fn rules(store: &impl Storage) -> Vec<PeerRule> {
    store.rules().await.expect("the store can be read")
}

async fn set(store: &impl Storage, rule: &PeerRule) {
    store.set_rule(rule).await.expect("the store can be written");
}

/// Deny by default begins with no rule.
pub async fn without_rules_there_are_none<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    assert_eq!(rules(&store).await, []);
    store.drop_rule("rooms.macbeth.lit").await.expect("dropping what is not there is no error");
}

/// Rules come in order of domain.
pub async fn rules_come_in_order_of_domain<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    for domain in ["rooms.macbeth.lit", "bücher.example", "a.lit", "a-b.lit", "a.lit.example"] {
        set(&store, &PeerRule::allow(domain)).await;
    }
    let domains: Vec<String> = rules(&store).await.into_iter().map(|rule| rule.domain).collect();
    let mut sorted = domains.clone();
    sorted.sort();
    assert_eq!((domains.len(), &domains), (5, &sorted));
}

/// There is one rule for a domain.
pub async fn a_rule_replaces_the_former<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let other = PeerRule::allow("conference.marlowe.lit");
    let mut rule = PeerRule::allow("rooms.macbeth.lit");
    set(&store, &other).await;
    set(&store, &rule).await;
    rule.host = false;
    set(&store, &rule).await;
    assert_eq!(rules(&store).await, [other, rule]);
}

/// A dropped rule is gone, and no other.
pub async fn a_rule_is_dropped<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    set(&store, &PeerRule::allow("rooms.macbeth.lit")).await;
    set(&store, &PeerRule::allow("macbeth.lit")).await;
    store.drop_rule("rooms.macbeth.lit").await.expect("the store can be written");
    assert_eq!(rules(&store).await, [PeerRule::allow("macbeth.lit")]);
}

/// What is read is what was written.
pub async fn every_field_of_a_rule_is_kept<B: Builder>(builder: &B) {
    let (store, _guard) = builder.build().await;
    let rule = PeerRule {
        domain: "rooms.macbeth.lit".to_owned(),
        host: true,
        place: false,
        ask: true,
        rooms_max: 7,
        bytes_max: u32::MAX,
        vouch: vec!["macbeth.lit".to_owned(), "scone.lit".to_owned()],
    };
    set(&store, &rule).await;
    assert_eq!(rules(&store).await, [rule]);
}

/// Another node sees what one has set, and what it has dropped.
pub async fn another_node_sees_rules<B: Builder>(builder: &B) {
    let (store, guard) = builder.build().await;
    let Some(second) = builder.second(&store, &guard).await else { return };
    set(&store, &PeerRule::allow("rooms.macbeth.lit")).await;
    assert_eq!(rules(&second).await, [PeerRule::allow("rooms.macbeth.lit")]);
    second.drop_rule("rooms.macbeth.lit").await.expect("the store can be written");
    assert_eq!(rules(&store).await, []);
}
