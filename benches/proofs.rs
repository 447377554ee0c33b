//! What a public proof costs, as JSON: of the newest head alone, and with one entry and an
//! earlier head, which are kept for a head once they were asked for. The log is in SQLite.
//!   `cargo bench --bench proofs`

#![expect(clippy::print_stdout, reason = "a bench reports on its output")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cabildo::clock::Clock;
use cabildo::domain::id::{AssemblyId, SessionId, SessionKey, TenantId};
use cabildo::domain::session::Modality;
use cabildo::domain::time::Timestamp;
use cabildo::evidence::{
    EventKind, Evidence, EvidenceKeys, EvidenceOptions, EvidenceParts, LogStatus, OperatorKey,
    ProofQuery,
};
use cabildo::sessions::{FixedLimits, NewSession, SessionService};
use cabildo::store::{Store, StoreOptions};
use cabildo::vault::LocalKeyVault;

/// Entries of the log, beside its first two.
const ENTRIES: u64 = 500;
/// Entries that are asked for again, as many as are kept for a head with some to spare.
const KEPT: u64 = 100;
/// How often each of them is asked for again.
const AGAIN: u32 = 40;

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = StoreOptions::sqlite_file(&directory.path().join("cabildo.db"));
    let store = Arc::new(Store::connect(&options).await.expect("a store"));
    let (tenant, session) = session(&store).await;
    let parts = EvidenceParts {
        repository: store.clone(),
        keys: Arc::new(LocalKeyVault::open(directory.path().join("keys")).expect("keys")),
        signing: Arc::new(EvidenceKeys::open(directory.path()).expect("keys")),
        operator: Arc::new(OperatorKey::open(directory.path()).expect("a key")),
        source: store.clone(),
        clock: Clock::system(),
    };
    let evidence = Evidence::start(
        parts,
        EvidenceOptions {
            issuer: "https://notary.test".to_owned(),
            origin: "notary.test/log".to_owned(),
            build_hash: [8; 32],
        },
    );
    evidence.open(SessionKey::new(tenant, session), "{}").await.expect("opened");
    for number in 0..ENTRIES {
        let text = format!(r#"{{"number":{number}}}"#);
        evidence
            .note(SessionKey::new(tenant, session), EventKind::SessionState, text)
            .await
            .expect("noted");
    }
    evidence.close(SessionKey::new(tenant, session), Vec::new(), 1).await.expect("closed");

    let prove = async |query: ProofQuery| {
        let proof = evidence.proof(SessionKey::new(tenant, session), LogStatus::Live, &query).await;
        black_box(serde_json::to_vec(&proof.expect("proven")).expect("JSON"));
    };
    let entry = |seq: u64| ProofQuery { seqs: vec![seq], from_size: Some(seq + 1) };
    let [mut first, mut again, mut head] = [const { Vec::new() }; 3];
    for seq in 0..ENTRIES {
        first.push(took(prove(entry(seq))).await);
    }
    report("with an entry and a head that nobody asked for before", first);
    for seq in 0..KEPT {
        prove(entry(seq)).await;
    }
    for _ in 0..AGAIN {
        for seq in 0..KEPT {
            again.push(took(prove(entry(seq))).await);
            head.push(took(prove(ProofQuery { seqs: Vec::new(), from_size: None })).await);
        }
    }
    report("with an entry and a head that were asked for before", again);
    report("of the newest head alone", head);
    evidence.shutdown().await;
}

async fn took(work: impl Future<Output = ()>) -> Duration {
    let started = Instant::now();
    work.await;
    started.elapsed()
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    println!("a proof {what}: {:.0} µs median, {:.0} µs at 99 %", at(50), at(99));
}

async fn session(store: &Store) -> (TenantId, SessionId) {
    let limits = Arc::new(FixedLimits::default());
    let service = SessionService::new(Arc::new(store.clone()), limits, Vec::new());
    let tenant = TenantId::generate();
    let assembly = AssemblyId::generate();
    let new = NewSession::new(tenant, assembly, "Asamblea general", Modality::Mixed);
    let now = Timestamp::from_unix_us(1_800_000_000_000_000);
    (tenant, service.create(new, now).await.expect("created").id)
}
