//! Through every backend that this build has, one after the other.

use dmuc_server_adapter::transfer::{Finding, Target, check, migrate};

use crate::fixture::{MANY, Store, Stores, entries_of, exported, fill, found};

/// Each is a target and then a source; what comes out at the end is what went in.
#[tokio::test]
async fn everything_goes_round() {
    let stores = Stores::new();
    let mut store = stores.memory().await;
    fill(&store).await;
    store.append(found(&store, "heath").await.uid, &entries_of("rooms.macbeth.lit", MANY)).await.unwrap();
    let (text, _) = exported(&store).await;
    for next in every(&stores).await {
        migrate(&store, &next, Target::Empty, &()).await.unwrap();
        assert_eq!(exported(&next).await.0, text);
        let mut said = |finding: Finding| panic!("{finding}");
        check(&next, &(), &mut said).await.unwrap();
        store = next;
    }
}

async fn every(stores: &Stores) -> Vec<Store> {
    let mut every = vec![stores.sqlite().await];
    #[cfg(feature = "postgres")]
    every.extend(stores.postgres().await);
    #[cfg(feature = "redis")]
    every.extend(stores.redis().await);
    every.push(stores.memory().await);
    every
}
