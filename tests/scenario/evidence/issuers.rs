//! Processes that are configured with different issuers write one log: whichever
//! signs the first head decides for all.

use std::collections::BTreeSet;
use std::time::Duration;

use cabildo::domain::id::SessionKey;
use cabildo::evidence::{EventKind, Evidence};
use ciborium::Value;

use crate::evidence::fixture::{Fixture, POLICY};
use crate::evidence::format::Message;
use crate::evidence::store::Process;

const ONE: &str = "https://one.test";
const TWO: &str = "https://two.test";

fn issuers(fixture: &Fixture) -> BTreeSet<String> {
    let issuer = |cose: &[u8]| match &Message::read(cose).claims()[0] {
        (_, Value::Text(issuer)) => issuer.clone(),
        other => panic!("no issuer: {other:?}"),
    };
    fixture.log().heads.iter().map(|head| issuer(&head.cose)).collect()
}

async fn covered(fixture: &Fixture) {
    let covering = async {
        loop {
            let log = fixture.log();
            if log.heads.last().is_some_and(|head| head.tree_size == log.record.size) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), covering).await.expect("covered in the end");
}

async fn note(fixture: &Fixture, evidence: &Evidence, text: &str) {
    let key = SessionKey::new(fixture.tenant, fixture.session);
    evidence.note(key, EventKind::Failure, text.to_owned()).await.expect("noted");
    covered(fixture).await;
}

#[tokio::test]
async fn a_log_without_a_head_gets_the_issuer_of_whoever_signs_the_first() {
    let fixture = Fixture::new();
    let key = SessionKey::new(fixture.tenant, fixture.session);
    let process = Process::new(&fixture.store);
    let first = fixture.start_with(&process, ONE);
    first.open(key, POLICY).await.expect("opened");
    process.kill();
    assert!(fixture.log().heads.is_empty());

    let second = fixture.start_with(&Process::new(&fixture.store), TWO);
    note(&fixture, &second, "a").await;
    second.shutdown().await;
    let third = fixture.start_with(&Process::new(&fixture.store), ONE);
    note(&fixture, &third, "b").await;
    third.close(key, Vec::new(), 1).await.expect("closed");
    assert_eq!(issuers(&fixture), BTreeSet::from([TWO.to_owned()]));
    fixture.judge();
}

async fn race() {
    let fixture = Fixture::new();
    let key = SessionKey::new(fixture.tenant, fixture.session);
    let [one, two] =
        [ONE, TWO].map(|issuer| fixture.start_with(&Process::new(&fixture.store), issuer));
    let (opened, also) = tokio::join!(one.open(key, POLICY), two.open(key, POLICY));
    opened.and(also).expect("opened");
    covered(&fixture).await;
    for round in 0..2 {
        for evidence in [&one, &two] {
            note(&fixture, evidence, &round.to_string()).await;
        }
    }
    let (closed, also) = tokio::join!(one.close(key, Vec::new(), 1), two.close(key, Vec::new(), 1));
    closed.and(also).expect("closed");
    assert_eq!(issuers(&fixture).len(), 1, "{:?}", issuers(&fixture));
    fixture.judge();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_head_decides_though_two_processes_sign_it_at_once() {
    let races: Vec<_> = (0..16).map(|_| tokio::spawn(race())).collect();
    for race in races {
        race.await.expect("one issuer");
    }
}
