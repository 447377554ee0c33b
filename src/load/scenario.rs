//! A load test: creates sessions, lets clients join, measures for a while, and ends the sessions.

pub mod speech;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::LoadError;
use super::client::{ClientCounts, ClientOptions, Identity, Profile, Received, TrackOptions};
use super::driver::{Driver, Loss, histogram};
use super::metrics::ServerCounters;
use super::report::{Report, quantile_ms, rate, share};
use super::signalling::{Participant, Server, Who, refusal, unreachable};
use crate::domain::media::MediaKind;

/// Clients that join at once, so that the result does not measure a rush of joins.
const JOINS_MAX: usize = 4;
/// Time for a subscriber's first key frame; a later one counts as an error.
const KEY_FRAME_TIMEOUT: Duration = Duration::from_secs(15);
/// Time between the last join and the measurement.
const SETTLE: Duration = Duration::from_secs(1);

/// The load to generate.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Number of sessions.
    pub rooms: u32,
    /// Publishers per room.
    pub publishers: u32,
    /// Subscribers per room.
    pub subscribers: u32,
    /// Duration of the measurement.
    pub duration: Duration,
    /// Share of datagrams dropped deliberately, in each direction.
    pub loss_ratio: f64,
    /// Bitrate of each publisher's camera, in bits per second.
    pub video_bitrate_bps: u32,
    /// Threads that run the clients.
    pub threads: usize,
    /// Seed of all random numbers.
    pub seed: u64,
}

/// How sessions are created: with the development routes, or as a service with a client
/// certificate.
pub enum Governance {
    /// `/dev/sessions` of the public listener.
    Development,
    /// `/api/v1/sessions` of the internal listener.
    Service {
        /// Base address of the internal listener.
        url: String,
        /// HTTP client with the client certificate.
        http: reqwest::Client,
    },
}

impl Governance {
    /// Posts to a route of sessions; returns the answer.
    pub(super) async fn call(
        &self,
        server: &Server,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, LoadError> {
        let (url, http) = match self {
            Self::Development => (format!("{}/dev/{path}", server.url), &server.http),
            Self::Service { url, http } => (format!("{url}/api/v1/{path}"), http),
        };
        let mut request = http.post(url);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let text = response.text().await.map_err(unreachable)?;
        serde_json::from_str(&text).map_err(|_| LoadError::Contract("the session is not JSON"))
    }
}

struct Room {
    tenant_id: String,
    session_id: String,
}

struct Load {
    server: Server,
    governance: Governance,
    driver: Driver,
    identity: Arc<Identity>,
    epoch: Instant,
    epoch_unix: Duration,
    plan: Plan,
}

/// Errors so far: number by description.
#[derive(Debug, Default)]
pub(super) struct Errors(pub(super) BTreeMap<String, u64>);

impl Errors {
    pub(super) fn note(&mut self, what: &str, error: &impl std::fmt::Display) {
        *self.0.entry(format!("{what}: {error}")).or_default() += 1;
    }
}

/// Runs a load test. The sessions that it created are ended in every case.
pub async fn run(server: Server, governance: Governance, plan: Plan) -> Result<Report, LoadError> {
    server.text("/health/live").await?;
    let load = Load::new(server, governance, plan)?;
    let mut errors = Errors::default();
    let mut rooms = Vec::new();
    let made = load.make_rooms(&mut rooms, &json!({})).await;
    let result = match made {
        Ok(()) => tokio::select! {
            report = load.measure(&rooms, &mut errors) => Ok(report),
            // The sessions are ended also when the user interrupts the test.
            _ = tokio::signal::ctrl_c() => Err(LoadError::Interrupted),
        },
        Err(error) => Err(error),
    };
    load.end_rooms(&rooms, &mut errors).await;
    result.map(|report| Report { errors: errors.0, ..report })
}

impl Load {
    fn new(server: Server, governance: Governance, plan: Plan) -> Result<Arc<Self>, LoadError> {
        let loss = Loss { ratio: plan.loss_ratio, seed: plan.seed };
        Ok(Arc::new(Self {
            driver: Driver::start(plan.threads, (plan.loss_ratio > 0.0).then_some(loss))?,
            identity: Identity::generate(&[Profile::Aes128CmHmacSha1_80, Profile::AeadAes128Gcm])?,
            epoch: Instant::now(),
            epoch_unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            server,
            governance,
            plan,
        }))
    }

    /// Makes the sessions of a test, with these members beside the usual ones.
    async fn make_rooms(&self, rooms: &mut Vec<Room>, with: &Value) -> Result<(), LoadError> {
        for index in 0..self.plan.rooms {
            // Each room has a tenant of its own, so that limits of a tenant do not affect the
            // result.
            let tenant_id = uuid::Uuid::now_v7().to_string();
            let mut body = json!({
                "tenant_id": tenant_id,
                "assembly_id": uuid::Uuid::now_v7().to_string(),
                "title": format!("Load test, room {}", index + 1),
                "modality": "virtual",
                "moderation": "open",
            });
            for (name, value) in with.as_object().into_iter().flatten() {
                body[name] = value.clone();
            }
            let session = self.govern("sessions", Some(&body)).await?;
            let session_id = session["id"].as_str().ok_or(LoadError::Contract("no session id"))?;
            let session_id = session_id.to_owned();
            rooms.push(Room { tenant_id, session_id: session_id.clone() });
            self.step(&session_id, "start").await?;
        }
        Ok(())
    }

    async fn end_rooms(&self, rooms: &[Room], errors: &mut Errors) {
        for room in rooms {
            if let Err(error) = self.step(&room.session_id, "end").await {
                errors.note("ending a session", &error);
            }
        }
    }

    async fn step(&self, session_id: &str, step: &str) -> Result<Value, LoadError> {
        self.govern(&format!("sessions/{session_id}/{step}"), None).await
    }

    async fn govern(&self, path: &str, body: Option<&Value>) -> Result<Value, LoadError> {
        self.governance.call(&self.server, path, body).await
    }

    fn options(&self, number: u64) -> ClientOptions {
        ClientOptions {
            identity: self.identity.clone(),
            seed: self.plan.seed.wrapping_mul(1_000_003).wrapping_add(number * 2),
            epoch: self.epoch,
            epoch_unix: self.epoch_unix,
        }
    }

    async fn enter(&self, room: &Room, name: &str, number: u64) -> Result<Participant, LoadError> {
        self.enter_as(room, name, number, "participant").await
    }

    async fn enter_as(
        &self,
        room: &Room,
        name: &str,
        number: u64,
        role: &str,
    ) -> Result<Participant, LoadError> {
        let who = Who {
            tenant_id: room.tenant_id.clone(),
            session_id: room.session_id.clone(),
            user_id: format!("load-{name}-{number}"),
            name: format!("Load {name} {number}"),
            roles: vec![role.to_owned()],
        };
        Participant::join(&self.server, &self.driver, &who, self.options(number)).await
    }

    fn camera(&self) -> TrackOptions {
        TrackOptions { bitrate_bps: self.plan.video_bitrate_bps, ..TrackOptions::camera() }
    }

    async fn publish(
        &self,
        room: &Room,
        number: u64,
        tracks: &[TrackOptions],
    ) -> Result<Participant, LoadError> {
        let mut participant = self.enter(room, "publisher", number).await?;
        participant.publish(&self.driver, tracks).await?;
        Ok(participant)
    }

    async fn watch(
        &self,
        room: &Room,
        number: u64,
    ) -> Result<(Participant, Option<Duration>), LoadError> {
        let mut participant = self.enter(room, "subscriber", number).await?;
        participant.subscribe_all().await?;
        let seen = tokio::time::timeout(KEY_FRAME_TIMEOUT, participant.first_key_frame()).await;
        let took =
            seen.ok().flatten().map(|at| at.saturating_duration_since(participant.opened_at));
        Ok((participant, took))
    }

    async fn measure(self: &Arc<Self>, rooms: &[Room], errors: &mut Errors) -> Report {
        let tracks = [TrackOptions::microphone(), self.camera()];
        let publishers = self.join_publishers(rooms, &tracks, errors).await;
        let mut joins = histogram();
        let subscribers = self.join_subscribers(rooms, errors, &mut joins).await;
        tokio::time::sleep(SETTLE).await;
        drop(self.driver.take_delays_us());
        let before = self.look(&publishers, &subscribers, errors).await;
        tokio::time::sleep(self.plan.duration).await;
        let after = self.look(&publishers, &subscribers, errors).await;
        self.report(&before, &after, &joins)
    }

    async fn join_publishers(
        self: &Arc<Self>,
        rooms: &[Room],
        tracks: &[TrackOptions],
        errors: &mut Errors,
    ) -> Vec<Participant> {
        let mut joined = Vec::new();
        let jobs = numbered(rooms, self.plan.publishers, 1);
        for batch in jobs.chunks(JOINS_MAX) {
            let mut tasks = JoinSet::new();
            for &(room, number) in batch {
                let (load, room, tracks) = (self.clone(), room.copy(), tracks.to_vec());
                tasks.spawn(async move { load.publish(&room, number, &tracks).await });
            }
            for result in tasks.join_all().await {
                match result {
                    Ok(participant) => joined.push(participant),
                    Err(error) => errors.note("publishing", &error),
                }
            }
        }
        joined
    }

    async fn join_subscribers(
        self: &Arc<Self>,
        rooms: &[Room],
        errors: &mut Errors,
        joins: &mut Histogram<u64>,
    ) -> Vec<Participant> {
        let mut joined = Vec::new();
        let jobs = numbered(rooms, self.plan.subscribers, 1_000_001);
        for batch in jobs.chunks(JOINS_MAX) {
            let mut tasks = JoinSet::new();
            for &(room, number) in batch {
                let (load, room) = (self.clone(), room.copy());
                tasks.spawn(async move { load.watch(&room, number).await });
            }
            for result in tasks.join_all().await {
                match result {
                    Ok((participant, took)) => {
                        joined.push(participant);
                        match took {
                            Some(took) => joins.saturating_record(
                                u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                            ),
                            None => errors.note("subscribing", &"no key frame"),
                        }
                    }
                    Err(error) => errors.note("subscribing", &error),
                }
            }
        }
        joined
    }

    async fn look(
        &self,
        publishers: &[Participant],
        subscribers: &[Participant],
        errors: &mut Errors,
    ) -> Look {
        let mut look = Look { at: Instant::now(), client_cpu_s: cpu_s(), ..Look::new() };
        for participant in publishers {
            if let Some(client) = participant.publisher() {
                let counts = client.call(|client, _| client.counts()).await.unwrap_or_default();
                look.packets_sent += counts.packets_sent;
            }
        }
        for participant in subscribers {
            let counts = participant
                .subscriber()
                .call(|client, _| (client.counts(), client.counts_by_section()))
                .await;
            let (counts, sections): (ClientCounts, _) = counts.unwrap_or_default();
            look.received.add(&counts.received);
            for (kind, received) in sections.values() {
                if *kind == MediaKind::Video {
                    look.video.add(received);
                }
            }
        }
        match self.server.text("/metrics").await {
            Ok(text) => look.server = ServerCounters::parse(&text),
            Err(error) => errors.note("reading metrics", &error),
        }
        look
    }

    fn report(&self, before: &Look, after: &Look, joins: &Histogram<u64>) -> Report {
        let plan = &self.plan;
        let duration_s = after.at.duration_since(before.at).as_secs_f64();
        let received = after.received.since(&before.received);
        let video = after.video.since(&before.video);
        let server = after.server.since(&before.server);
        let delays = self.driver.take_delays_us();
        let client_cpu_us = (after.client_cpu_s - before.client_cpu_s) * 1e6;
        Report {
            rooms: plan.rooms,
            publishers_per_room: plan.publishers,
            subscribers_per_room: plan.subscribers,
            duration_s,
            injected_loss_ratio: plan.loss_ratio,
            server_cpu_us_per_forwarded_packet: server.cpu_us_per_forwarded_packet(),
            forwarded_packets_per_s: server.forwarded_packets.map(|packets| packets / duration_s),
            received_packets_per_s: rate(received.packets, duration_s),
            received_bits_per_s: rate(received.bytes * 8, duration_s),
            sent_packets_per_s: rate(after.packets_sent - before.packets_sent, duration_s),
            loss_ratio: share(received.lost, received.packets),
            video_loss_ratio: share(video.lost, video.packets),
            recovered_packets: received.recovered,
            key_frames_requested: received.key_frames_requested,
            join_ms_p50: quantile_ms(joins, 0.5),
            join_ms_p95: quantile_ms(joins, 0.95),
            join_ms_p99: quantile_ms(joins, 0.99),
            joined_subscribers: joins.len(),
            forward_delay_ms_p50: quantile_ms(&delays, 0.5),
            forward_delay_ms_p99: quantile_ms(&delays, 0.99),
            client_cpu_us_per_received_packet: (received.packets > 0)
                .then(|| client_cpu_us / rate(received.packets, 1.0)),
            errors: BTreeMap::new(),
        }
    }
}

/// Repeats each room `each` times, with numbers counted from `first`.
fn numbered(rooms: &[Room], each: u32, first: u64) -> Vec<(&Room, u64)> {
    let rooms = rooms.iter().flat_map(|room| (0..each).map(move |_| room));
    rooms.zip(first..).collect()
}

impl Room {
    fn copy(&self) -> Self {
        Self { tenant_id: self.tenant_id.clone(), session_id: self.session_id.clone() }
    }
}

/// All counters at one moment.
struct Look {
    at: Instant,
    client_cpu_s: f64,
    packets_sent: u64,
    received: Received,
    video: Received,
    server: ServerCounters,
}

impl Look {
    fn new() -> Self {
        Self {
            at: Instant::now(),
            client_cpu_s: 0.0,
            packets_sent: 0,
            received: Received::default(),
            video: Received::default(),
            server: ServerCounters::default(),
        }
    }
}

/// Processor time that this process has used, in seconds.
fn cpu_s() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, nanoseconds).as_secs_f64()
}
