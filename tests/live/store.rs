//! The repositories on real databases: every case runs on SQLite and on
//! PostgreSQL, through two stores that share nothing but the database, as two
//! processes would.

mod arrivals;
mod cameras;
mod claims;
mod cut_connections;
mod delivery;
mod evidence;
mod faulty_disk;
mod fixture;
mod full_disk;
mod governance;
mod idempotency;
mod installation;
mod isolation;
mod media_tokens;
mod meetings;
mod migrations;
mod outbox;
mod recordings;
mod replay;
mod rooms;
mod sessions;

#[path = "../support/postgres.rs"]
mod postgres;

use fixture::{Case, Kind, run};
use postgres::Cluster;

const CASES: &[&[Case]] = &[
    sessions::CASES,
    idempotency::CASES,
    installation::CASES,
    rooms::CASES,
    evidence::CASES,
    claims::CASES,
    governance::CASES,
    arrivals::CASES,
    cameras::CASES,
    recordings::CASES,
    replay::CASES,
    outbox::CASES,
    delivery::CASES,
    media_tokens::CASES,
    meetings::CASES,
    migrations::CASES,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_holds_on_sqlite() {
    run(&CASES.concat(), &Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_holds_on_postgresql() {
    let cluster = Cluster::start();
    let kind = Kind::postgres(cluster).await;
    run(&[&CASES.concat(), isolation::CASES].concat(), &kind).await;
    migrations::a_database_that_is_gone_is_unavailable(&kind).await;
}
