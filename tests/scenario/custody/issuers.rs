//! An installation that gets another address: its logs keep the issuer with
//! which they were begun, and the verifier, which shares nothing with who wrote
//! them, takes what was signed before and after.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cabildo::custody::{Custody, CustodyLog as _, CustodyParts, EvidenceLog};
use cabildo::domain::id::{SessionKey, TenantId};
use cabildo::evidence::repository::EvidenceRepository as _;
use cabildo::evidence::{
    EventKind, Evidence, EvidenceKeys, EvidenceOptions, EvidenceParts, LogStatus, OperatorKey,
    ProofQuery, PublicProof, operator_origin,
};
use cabildo::verify::files::Directory;
use cabildo::verify::{Code, Options, Report, TrustedKeys, Verdict, verify_bundle, verify_proof};
use serde_json::{Value, json};

use crate::custody::faulty::Life;
use crate::custody::fixture::Fixture;
use crate::custody::log::ISSUER;

const OLD: &str = "https://old.example";
const NEW: &str = "https://new.example";
const POLICY: &str = r#"{"recording":"required"}"#;

/// One process of the installation.
struct Process {
    evidence: Evidence,
    custody: Custody,
}

/// Starts a process that is configured with this address.
fn start(fixture: &Fixture, address: &str) -> Process {
    let operator = fixture.out("operator");
    let host = address.strip_prefix("https://").expect("an address");
    let origin = operator_origin(&operator, &format!("{host}/evidence/log")).expect("a name");
    let store = Arc::new(fixture.store.clone());
    let parts = EvidenceParts {
        repository: store.clone(),
        keys: Arc::clone(&fixture.keys),
        signing: Arc::new(EvidenceKeys::open(&fixture.out("signing")).expect("keys")),
        operator: Arc::new(OperatorKey::open(&operator).expect("a key")),
        source: store.clone(),
        clock: fixture.clock(),
    };
    let options = EvidenceOptions { issuer: address.to_owned(), origin, build_hash: [1; 32] };
    let evidence = Evidence::start(parts, options);
    let custody = Custody::new(CustodyParts {
        evidence: store.clone(),
        recordings: store.clone(),
        claims: fixture.claims(Life::of(u64::MAX)),
        sessions: store.clone(),
        vault: Arc::clone(&fixture.vault),
        keys: Arc::clone(&fixture.keys),
        log: Arc::new(EvidenceLog::new(evidence.clone(), store)),
        damaged: fixture.damaged.clone(),
        clock: fixture.clock(),
        ages: fixture.clock(),
    });
    Process { evidence, custody }
}

impl Process {
    async fn begin(&self, fixture: &Fixture, tenant: TenantId) -> SessionKey {
        let key = SessionKey::new(tenant, fixture.session(tenant).await);
        self.evidence.open(key, POLICY).await.expect("opened");
        covered(fixture, key).await;
        key
    }

    async fn note(&self, key: SessionKey, text: &str) {
        self.evidence.note(key, EventKind::Failure, text.to_owned()).await.expect("noted");
    }

    async fn close(&self, key: SessionKey) {
        self.evidence.close(key, Vec::new(), 1).await.expect("closed");
    }

    async fn published(&self) -> Value {
        self.evidence.published_keys(None).await.expect("read")
    }

    async fn proof(&self, key: SessionKey) -> PublicProof {
        let query = ProofQuery::default();
        self.evidence.proof(key, LogStatus::Interrupted, &query).await.expect("proven")
    }

    /// The proof, once the operator log has the session and something beside it.
    async fn placed_proof(&self, key: SessionKey) -> PublicProof {
        let placing = async {
            loop {
                let proof = self.proof(key).await;
                if proof.operator.is_some() {
                    return proof;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), placing).await.expect("placed in the end")
    }

    /// The bundle of a log, as somebody judges it who trusts `keys`.
    async fn bundle(&self, key: SessionKey, out: &Path, keys: &Value) -> Report {
        self.custody.export(key, out).await.expect("exported");
        verify_bundle(&Directory::new(out), &trusting(keys))
    }
}

fn trusting(keys: &Value) -> Options {
    let keys = TrustedKeys::Independent(keys.to_string().into_bytes());
    Options { keys, held_heads: None }
}

fn judged(proof: &PublicProof, keys: &Value) -> Report {
    let document = serde_json::to_vec(proof).expect("JSON");
    verify_proof(&document, &trusting(keys))
}

fn holds(report: &Report) {
    assert_eq!(report.verdict, Verdict::Valid, "{report}");
}

/// Waits until a head covers all entries.
async fn covered(fixture: &Fixture, key: SessionKey) {
    let covering = async {
        loop {
            let log = fixture.store.log(key).await.expect("read").expect("a log");
            let head = fixture.store.latest_head(key).await.expect("read");
            if head.is_some_and(|head| head.tree_size == log.size) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), covering).await.expect("covered in the end");
}

#[tokio::test]
async fn logs_from_before_a_change_of_address_stay_valid_and_new_ones_have_the_new_one() {
    let fixture = Fixture::new().await;
    let tenant = TenantId::generate();
    let old = start(&fixture, OLD);
    let ended = old.begin(&fixture, tenant).await;
    old.close(ended).await;
    let running = old.begin(&fixture, tenant).await;
    let keys_before = old.published().await;
    assert_eq!((&keys_before["iss"], &keys_before["issuers"]), (&json!(OLD), &json!([OLD])));
    holds(&old.bundle(ended, &fixture.out("before"), &keys_before).await);
    old.evidence.shutdown().await;

    let new = start(&fixture, NEW);
    let keys = new.published().await;
    assert_eq!((&keys["iss"], &keys["issuers"]), (&json!(NEW), &json!([NEW, OLD])));
    assert_eq!(keys["operator"], keys_before["operator"], "it is the same operator log");
    let proof = new.placed_proof(ended).await;
    assert_eq!(proof.iss, OLD);
    holds(&judged(&proof, &keys));
    holds(&judged(&proof, &keys_before));
    // That it was handed out is in the log, so the second one has a head from after the change.
    for out in ["ended", "ended again"] {
        holds(&new.bundle(ended, &fixture.out(out), &keys_before).await);
    }
    new.note(running, "it goes on").await;
    covered(&fixture, running).await;
    new.close(running).await;
    holds(&new.bundle(running, &fixture.out("running"), &keys_before).await);
    holds(&judged(&new.placed_proof(running).await, &keys));

    let fresh = new.begin(&fixture, tenant).await;
    new.close(fresh).await;
    holds(&new.bundle(fresh, &fixture.out("fresh"), &keys).await);
    let proof = new.placed_proof(fresh).await;
    assert_eq!(proof.iss, NEW);
    holds(&judged(&proof, &keys));
    let report = judged(&proof, &keys_before);
    assert!(report.has(Code::UnknownKey), "the list from before does not name the new: {report}");
    let checkpoint = new.evidence.checkpoint().await.expect("signed");
    assert!(checkpoint.starts_with("old.example/evidence/log\n"), "{checkpoint}");
}

#[tokio::test]
async fn two_instances_with_different_addresses_write_logs_of_one_issuer_each() {
    let fixture = Fixture::new().await;
    let tenant = TenantId::generate();
    let (one, two) = (start(&fixture, OLD), start(&fixture, NEW));
    let first = one.begin(&fixture, tenant).await;
    let second = two.begin(&fixture, tenant).await;
    for round in 0..3 {
        for (instance, name) in [(&one, "one"), (&two, "two")] {
            for key in [first, second] {
                instance.note(key, &format!("{name} {round}")).await;
                covered(&fixture, key).await;
            }
        }
    }
    two.close(first).await;
    one.close(second).await;
    for (key, issuer) in [(first, OLD), (second, NEW)] {
        for (instance, name) in [(&one, "one"), (&two, "two")] {
            let proof = instance.placed_proof(key).await;
            assert_eq!(proof.iss, issuer, "by {name}");
            let keys = instance.published().await;
            holds(&judged(&proof, &keys));
            let out = fixture.out(&format!("{issuer} by {name}").replace('/', ""));
            holds(&instance.bundle(key, &out, &keys).await);
        }
    }
}

#[tokio::test]
async fn a_log_whose_heads_have_two_issuers_stays_invalid() {
    let fixture = Fixture::new().await;
    let process = start(&fixture, OLD);
    let key = process.begin(&fixture, TenantId::generate()).await;
    process.close(key).await;
    process.evidence.shutdown().await;
    // Signed by the configuration of the moment, with the same keys.
    let noted = fixture.log.note(key, EventKind::Disclosure, "{}".to_owned()).await;
    noted.expect("noted");
    fixture.log.proof(key, &[]).await.expect("signed");

    let process = start(&fixture, OLD);
    let mut keys = process.published().await;
    keys["issuers"] = json!([OLD, ISSUER]);
    let report = process.bundle(key, &fixture.out("bundle"), &keys).await;
    assert_eq!(report.verdict, Verdict::Invalid, "{report}");
    assert!(report.has(Code::HeaderInvalid), "{report}");
}

/// What is logged in this thread.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test panics within").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logged {
    fn warnings(&self) -> Vec<String> {
        let bytes = self.0.lock().expect("no test panics within").clone();
        let text = String::from_utf8(bytes).expect("text");
        text.lines()
            .filter(|line| line.contains("WARN") && line.contains("issuer"))
            .map(str::to_owned)
            .collect()
    }
}

#[tokio::test]
async fn a_start_with_another_issuer_than_that_of_existing_logs_is_told_once() {
    let logged = Logged::default();
    let writer = logged.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let fixture = Fixture::new().await;
    let old = start(&fixture, OLD);
    let key = old.begin(&fixture, TenantId::generate()).await;
    old.close(key).await;
    old.evidence.shutdown().await;
    let same = start(&fixture, OLD);
    same.evidence.shutdown().await;
    assert_eq!(logged.warnings(), [""; 0]);

    let new = start(&fixture, NEW);
    new.evidence.shutdown().await;
    let warnings = logged.warnings();
    let [warning] = warnings.as_slice() else { panic!("not one warning: {warnings:?}") };
    for part in [OLD, NEW, "old.example/evidence/log", "each keeps its issuer to its end"] {
        assert!(warning.contains(part), "{warning}");
    }
}
