//! What a public proof costs that was asked for before, and one that was not: the
//! newest head, one entry and an earlier head, as JSON. The log is in SQLite.
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
/// How often each proof is asked for again.
const AGAIN: u32 = 4;

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

    let prove = async |seq: u64| {
        let query = ProofQuery { seqs: vec![seq], from_size: Some(seq + 1) };
        let proof = evidence.proof(SessionKey::new(tenant, session), LogStatus::Live, &query).await;
        black_box(serde_json::to_vec(&proof.expect("proven")).expect("JSON"));
    };
    let mut first = Vec::new();
    for seq in 0..ENTRIES {
        first.push(took(prove(seq)).await);
    }
    report("asked for the first time", first);
    let mut again = Vec::new();
    for _ in 0..AGAIN {
        for seq in 0..ENTRIES {
            again.push(took(prove(seq)).await);
        }
    }
    report("asked for again", again);
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
