//! A fresh database for each case, and running all of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use cabildo::domain::id::{AssemblyId, TenantId};
use cabildo::domain::secret::Secret;
use cabildo::domain::session::{Modality, Session};
use cabildo::domain::time::Timestamp;
use cabildo::sessions::{FixedLimits, NewSession, SessionService, TenantLimits};
use cabildo::store::{Store, StoreOptions};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::store::postgres::{APP, Cluster, OWNER};

/// The moment at which cases take place.
pub(crate) const NOW: Timestamp = Timestamp::from_unix_us(1_800_000_000_000_000);

/// The migrated database that each case has a copy of.
const TEMPLATE: &str = "migrated";

type CaseFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A case by name.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn(Fixture) -> CaseFuture,
}

/// Lists cases: asynchronous functions of a fixture.
macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        pub(crate) const CASES: &[$crate::store::fixture::Case] = &[$($crate::store::fixture::Case {
            name: stringify!($name),
            run: |fixture| Box::pin($name(fixture)),
        }),+];
    };
}
pub(crate) use cases;

/// Which database.
pub(crate) enum Kind {
    Sqlite,
    Postgres { cluster: Cluster, superuser: DatabaseConnection, template: OnceCell<()> },
}

/// What a case works with.
pub(crate) struct Fixture {
    /// Two stores on one database.
    pub(crate) stores: [Store; 2],
    /// How they connect.
    pub(crate) options: StoreOptions,
    /// The same database as somebody whom nothing is hidden from.
    pub(crate) unrestricted: DatabaseConnection,
    /// URL of the role the server must not use.
    pub(crate) superuser_url: String,
    _directory: TempDir,
}

impl Kind {
    pub(crate) async fn postgres(cluster: Cluster) -> Self {
        let superuser = Database::connect(cluster.url("postgres", "postgres"))
            .await
            .expect("the cluster answers");
        superuser
            .execute_unprepared(&format!("CREATE ROLE {OWNER} LOGIN CREATEROLE"))
            .await
            .expect("the owner's role");
        Self::Postgres { cluster, superuser, template: OnceCell::new() }
    }

    /// How a store connects to the new, empty database of this name.
    async fn database(&self, name: &str, directory: &TempDir) -> (StoreOptions, String) {
        match self {
            Self::Sqlite => {
                let path = directory.path().join("a name with 100% # and ?.db");
                let url = StoreOptions::sqlite_file(&path);
                let plain = url.url.expose().clone();
                (url, plain)
            }
            Self::Postgres { cluster, superuser, template } => {
                // Migrating takes longer than most cases, copying what was migrated does not.
                template.get_or_init(|| migrate(cluster, superuser)).await;
                let create = format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER {OWNER}");
                superuser.execute_unprepared(&create).await.expect("a database");
                (postgres_options(cluster, name), cluster.url("postgres", name))
            }
        }
    }

    pub(crate) async fn fixture(&self, name: &str) -> Fixture {
        let directory = TempDir::new().expect("a directory");
        let (options, superuser_url) = self.database(name, &directory).await;
        // On SQLite both migrate at once, as two instances of a new release do.
        let (first, second) = tokio::join!(Store::connect(&options), Store::connect(&options));
        let stores = [first.expect("the first connects"), second.expect("the second connects")];
        let unrestricted = Database::connect(&superuser_url).await.expect("the database answers");
        Fixture { stores, options, unrestricted, superuser_url, _directory: directory }
    }
}

fn postgres_options(cluster: &Cluster, name: &str) -> StoreOptions {
    let mut options = StoreOptions::new(Secret::new(cluster.url(APP, name)));
    options.migration_url = Some(Secret::new(cluster.url(OWNER, name)));
    options
}

/// Makes the database that the others are copied of. Two migrate it at once, as two instances of a
/// new release do.
async fn migrate(cluster: &Cluster, superuser: &DatabaseConnection) {
    let create = format!("CREATE DATABASE {TEMPLATE} OWNER {OWNER}");
    superuser.execute_unprepared(&create).await.expect("a database");
    let options = postgres_options(cluster, TEMPLATE);
    let (first, second) = tokio::join!(Store::connect(&options), Store::connect(&options));
    for store in [first, second] {
        // A database that somebody is connected to can't be copied.
        store.expect("it connects").close().await.expect("closed");
    }
}

impl Fixture {
    pub(crate) fn store(&self) -> &Store {
        &self.stores[0]
    }

    /// A service on each of the stores, for tenants that may have this many
    /// active sessions.
    pub(crate) fn services(&self, max_active_sessions: u32) -> [SessionService; 2] {
        let default = TenantLimits { max_active_sessions, ..TenantLimits::default() };
        let limits = Arc::new(FixedLimits { default, ..FixedLimits::default() });
        [0, 1].map(|at| {
            SessionService::new(Arc::new(self.stores[at].clone()), limits.clone(), Vec::new())
        })
    }

    /// A session of a tenant, created through the first store.
    pub(crate) async fn session(&self, tenant: TenantId) -> Session {
        let [service, _] = self.services(1);
        service.create(new_session(tenant), NOW).await.expect("created")
    }

    /// How many rows a table has, of all tenants.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) AS rows FROM {table}");
        let backend = self.unrestricted.get_database_backend();
        let row = self
            .unrestricted
            .query_one_raw(sea_orm::Statement::from_string(backend, sql))
            .await
            .expect("the count")
            .expect("a row");
        row.try_get("", "rows").expect("a number")
    }
}

/// What a governance service says at least.
pub(crate) fn new_session(tenant: TenantId) -> NewSession {
    NewSession::new(tenant, AssemblyId::generate(), "Asamblea general", Modality::Mixed)
}

/// Runs every case on a database of its own, and fails naming those that failed.
pub(crate) async fn run(cases: &[Case], kind: &Kind) {
    let mut failed = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let fixture = kind.fixture(&format!("case_{number}")).await;
        if tokio::spawn((case.run)(fixture)).await.is_err() {
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}
