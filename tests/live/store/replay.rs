//! Used proofs of possession.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::store::fixture::{Fixture, NOW, cases};

cases!(
    a_proof_is_taken_once_until_it_expires,
    of_concurrent_uses_one_is_taken,
    expired_proofs_are_removed,
);

const LIFE: Duration = Duration::from_mins(2);

async fn a_proof_is_taken_once_until_it_expires(fixture: Fixture) {
    let [first, second] = [0, 1].map(|at| fixture.stores[at].replay_cache());
    let expires_at = NOW.after(LIFE);
    assert!(first.insert_if_absent([1; 32], expires_at, NOW).await.expect("answered"));
    assert!(!second.insert_if_absent([1; 32], expires_at, NOW).await.expect("answered"));
    assert!(second.insert_if_absent([2; 32], expires_at, NOW).await.expect("answered"));
    // Trying again does not make it last longer.
    let last = expires_at.before(Duration::from_micros(1));
    assert!(
        !first.insert_if_absent([1; 32], expires_at.after(LIFE), last).await.expect("answered")
    );
    assert!(
        first
            .insert_if_absent([1; 32], expires_at.after(LIFE), expires_at)
            .await
            .expect("answered")
    );
}

async fn of_concurrent_uses_one_is_taken(fixture: Fixture) {
    // A new proof, and one that expires just now.
    let caches = [0, 1].map(|at| fixture.stores[at].replay_cache());
    assert!(caches[0].insert_if_absent([4; 32], NOW, NOW.before(LIFE)).await.expect("answered"));
    for key_hash in [[3; 32], [4; 32]] {
        let mut tasks = JoinSet::new();
        for number in 0..40 {
            let cache = caches[number % 2].clone();
            tasks.spawn(async move {
                cache.insert_if_absent(key_hash, NOW.after(LIFE), NOW).await.expect("answered")
            });
        }
        let taken = tasks.join_all().await.into_iter().filter(|taken| *taken).count();
        assert_eq!(taken, 1);
    }
}

async fn expired_proofs_are_removed(fixture: Fixture) {
    let cache = fixture.store().replay_cache();
    for number in 0..10 {
        assert!(
            cache.insert_if_absent([number; 32], NOW.after(LIFE), NOW).await.expect("answered")
        );
    }
    assert_eq!(fixture.count("dpop_proofs").await, 10);
    let later = NOW.after(LIFE);
    assert!(cache.insert_if_absent([99; 32], later.after(LIFE), later).await.expect("answered"));
    assert_eq!(fixture.count("dpop_proofs").await, 1);
}
