//! Measures how fast everybody comes back after a loss: all connections of a meeting are reset at
//! once, or the server is killed and started again, and every client resumes as the web client does.
//! The clients have no media, so that only the moderation channel is measured.

mod own_server;
mod person;
mod report;

pub use own_server::OwnServer;
pub use report::ReconnectReport;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::LoadError;
use super::driver::histogram;
use super::report::{quantile_ms, rate};
use super::scenario::{Errors, Governance};
use super::signalling::Server;
use person::{Meeting, News, Person, Phase, Tally};

/// People that join at once, so that joining is not what is measured.
const JOINS_MAX: usize = 16;
/// Time for everybody to come back; whoever is later counts as not back.
const RETURN_MAX: Duration = Duration::from_mins(1);
/// Time between the last join and the loss, and between the last return and the count of bytes.
const SETTLE: Duration = Duration::from_secs(2);

/// Waits for everybody to join `server`, loses all connections, and measures until they are back:
/// kills and restarts `own`, or resets the connections when the server is not this test's own.
pub async fn run(
    server: Server,
    governance: Governance,
    people: u32,
    mut own: Option<OwnServer>,
) -> Result<ReconnectReport, LoadError> {
    server.text("/health/live").await?;
    let tenant_id = uuid::Uuid::now_v7().to_string();
    let body = json!({
        "tenant_id": tenant_id,
        "assembly_id": uuid::Uuid::now_v7().to_string(),
        "title": "Load test of a return",
        "modality": "virtual",
        "moderation": "moderated",
        "max_participants": people,
    });
    let session = governance.call(&server, "sessions", Some(&body)).await?;
    let session_id = session["id"].as_str().ok_or(LoadError::Contract("no session id"))?;
    let step = |step: &str| format!("sessions/{session_id}/{step}");
    governance.call(&server, &step("start"), None).await?;
    let meeting = Meeting::new(server.clone(), tenant_id, session_id.to_owned()).await?;
    let mut gathering = Gathering::new(meeting, people);
    let result = tokio::select! {
        report = gathering.measure(own.as_mut()) => report,
        // The session is ended also when the user interrupts the test.
        _ = tokio::signal::ctrl_c() => Err(LoadError::Interrupted),
    };
    if let Err(error) = governance.call(&server, &step("end"), None).await {
        gathering.errors.note("ending the session", &error);
    }
    result.map(|report| ReconnectReport { errors: gathering.errors.0, ..report })
}

/// Everybody in the meeting.
struct Gathering {
    people: u32,
    phase: watch::Sender<Phase>,
    news: mpsc::Receiver<News>,
    everybody: JoinSet<Tally>,
    errors: Errors,
}

/// How long it took until people were welcomed again.
struct Returns {
    times: Histogram<u64>,
    moderator: Option<Duration>,
}

impl Gathering {
    fn new(meeting: Meeting, people: u32) -> Self {
        let (meeting, joins) = (Arc::new(meeting), Arc::new(Semaphore::new(JOINS_MAX)));
        let (phase, phases) = watch::channel(Phase::Gathering);
        let (teller, news) = mpsc::channel(64);
        let mut everybody = JoinSet::new();
        for number in 0..people {
            let person = Person::new(number, meeting.clone(), phases.clone(), teller.clone());
            everybody.spawn(person.attend(joins.clone()));
        }
        Self { people, phase, news, everybody, errors: Errors::default() }
    }

    async fn measure(&mut self, own: Option<&mut OwnServer>) -> Result<ReconnectReport, LoadError> {
        let began = Instant::now();
        let joined = self.wait_for_joins().await;
        let joining_s = began.elapsed().as_secs_f64();
        tokio::time::sleep(SETTLE).await;
        let was_restarted = own.is_some();
        let lost_at = if let Some(own) = own {
            own.restart().await?;
            Instant::now()
        } else {
            let lost_at = Instant::now();
            self.phase.send_replace(Phase::Cut);
            lost_at
        };
        let returns = self.wait_for_returns(joined, lost_at).await;
        tokio::time::sleep(SETTLE).await;
        // Nobody waits to tell more.
        self.news.close();
        self.phase.send_replace(Phase::Over);
        let mut all = Tally::default();
        while let Some(done) = self.everybody.join_next().await {
            match done {
                Ok(tally) => all.add(&tally),
                Err(error) => self.errors.note("a client", &error),
            }
        }
        Ok(self.report(&returns, &all, joining_s, was_restarted))
    }

    /// Waits until everybody has joined or failed to; returns how many have.
    async fn wait_for_joins(&mut self) -> u32 {
        let (mut joined, mut heard) = (0, 0);
        while heard < self.people {
            match self.news.recv().await {
                Some(News::Joined) => (joined, heard) = (joined + 1, heard + 1),
                Some(News::NotJoined(error)) => {
                    heard += 1;
                    self.errors.note("joining", &error);
                }
                Some(News::Failed(doing, error)) => self.errors.note(doing, &error),
                Some(News::Back { .. }) => {}
                None => break,
            }
        }
        joined
    }

    async fn wait_for_returns(&mut self, expected: u32, lost_at: Instant) -> Returns {
        let mut returns = Returns { times: histogram(), moderator: None };
        let deadline = tokio::time::Instant::from_std(lost_at + RETURN_MAX);
        while returns.times.len() < u64::from(expected) {
            let Ok(Some(news)) = tokio::time::timeout_at(deadline, self.news.recv()).await else {
                break;
            };
            match news {
                News::Back { number, at } => {
                    let took = at.saturating_duration_since(lost_at);
                    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                    returns.times.saturating_record(took_us);
                    if number == person::MODERATOR {
                        returns.moderator = Some(took);
                    }
                }
                News::Failed(doing, error) => self.errors.note(doing, &error),
                News::Joined | News::NotJoined(_) => {}
            }
        }
        returns
    }

    fn report(
        &self,
        returns: &Returns,
        all: &Tally,
        joining_s: f64,
        was_restarted: bool,
    ) -> ReconnectReport {
        let people = f64::from(self.people);
        ReconnectReport {
            people: self.people,
            server_restarted: was_restarted,
            came_back: returns.times.len(),
            joining_s,
            welcome_ms_p50: quantile_ms(&returns.times, 0.5),
            welcome_ms_p95: quantile_ms(&returns.times, 0.95),
            welcome_ms_p99: quantile_ms(&returns.times, 0.99),
            welcome_ms_max: quantile_ms(&returns.times, 1.0),
            moderator_welcome_ms: returns.moderator.map(|took| took.as_secs_f64() * 1_000.0),
            received_bytes_per_person: rate(all.bytes, people),
            received_events_per_person: rate(all.events, people),
            missing_events: all.missing,
            errors: std::collections::BTreeMap::new(),
        }
    }
}
