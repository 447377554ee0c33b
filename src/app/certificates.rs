//! Watches when the certificates that this server shows to others run out.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::base::Base;
use crate::auth::client_cert::{TlsFiles, end_of_certificate};
use crate::clock::Clock;
use crate::domain::time::Timestamp;

const EXPIRES: &str = "cabildo_certificate_expires_seconds";
/// How often the files are read. Raising it shows later that one was replaced.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long before the end of a certificate the log says so, once in [`SAID_EVERY`].
const WARNED_BEFORE: Duration = Duration::from_hours(14 * 24);
/// How long before the end of a certificate the server is degraded.
const DEGRADED_BEFORE: Duration = Duration::from_hours(7 * 24);
const SAID_EVERY: Duration = Duration::from_hours(24);

/// Describes the metric of the certificates.
pub(super) fn describe_metrics() {
    metrics::describe_gauge!(
        EXPIRES,
        "Seconds until a certificate of this server runs out, by use; negative afterwards."
    );
}

/// A certificate of this server.
#[derive(Debug)]
struct Watched {
    /// What it is for: `internal`, `turn`, or the service to which it is shown.
    of: &'static str,
    file: PathBuf,
    /// When it runs out; `None` while its file could never be read.
    end: Option<Timestamp>,
    said_at: Option<Timestamp>,
}

type Shared = Arc<Mutex<Vec<Watched>>>;

/// The certificates, read again until this is dropped.
pub(super) struct Certificates {
    watched: Shared,
    clock: Clock,
    _watching: DropGuard,
}

impl Certificates {
    /// Starts watching the certificates of the configuration; `internal` are the files of the internal
    /// listener.
    pub(super) async fn start(base: &Base, internal: &TlsFiles) -> Self {
        let services = &base.config.services;
        let turn = base.config.media.turn.as_ref().and_then(|turn| turn.tls.as_ref());
        let of_service = [
            ("identity", &services.identity),
            ("governance", &services.governance),
            ("tenancy", &services.tenancy),
            ("user_profiles", &services.user_profiles),
        ];
        let of_service = of_service.into_iter().filter_map(|(of, service)| {
            let tls = service.as_ref()?.tls.as_ref()?;
            Some((of, tls.cert.clone()))
        });
        let files = [("internal", internal.certificate.clone())]
            .into_iter()
            .chain(turn.map(|turn| ("turn", turn.cert.clone())))
            .chain(of_service);
        let watched = files.map(|(of, file)| Watched { of, file, end: None, said_at: None });
        let watched = Arc::new(Mutex::new(watched.collect()));
        // Certificates are judged by the clock of the machine, as their peers judge them.
        let (clock, stop) = (base.wall.clone(), CancellationToken::new());
        // Before the first question about health.
        look(&watched, &clock).await;
        let watching = watch_for_ever(Arc::clone(&watched), clock.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(watching));
        Self { watched, clock, _watching: stop.drop_guard() }
    }

    /// What operators should know about the certificates; `None` when all hold for long enough.
    pub(super) fn problem(&self) -> Option<String> {
        problem(&locked(&self.watched), self.clock.now())
    }
}

async fn watch_for_ever(watched: Shared, clock: Clock) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        look(&watched, &clock).await;
    }
}

/// Reads the files, and says which certificates run out soon.
async fn look(watched: &Shared, clock: &Clock) {
    let (watched, now) = (Arc::clone(watched), clock.now());
    let looked = tokio::task::spawn_blocking(move || {
        let files: Vec<PathBuf> =
            locked(&watched).iter().map(|watched| watched.file.clone()).collect();
        // Nobody who asks about health waits for a file.
        let ends: Vec<_> = files.iter().map(|file| end_of_certificate(file)).collect();
        for (watched, end) in locked(&watched).iter_mut().zip(ends) {
            watched.handle(end, now);
        }
    });
    if let Err(error) = looked.await {
        tracing::error!(%error, "the task that reads the certificates panicked");
    }
}

impl Watched {
    /// The file says that the certificate ends then. One that can't be read leaves what is known as
    /// it is, since it may be being replaced.
    fn handle(&mut self, found: Option<Timestamp>, now: Timestamp) {
        if found.is_some() && self.end != found {
            self.end = found;
            self.said_at = None;
        }
        let Some(end) = self.end else { return };
        let left_s = (end.unix_us() - now.unix_us()) / 1_000_000;
        #[expect(clippy::cast_precision_loss, reason = "a metric; seconds are enough")]
        metrics::gauge!(EXPIRES, "use" => self.of).set(left_s as f64);
        let is_due = self.said_at.is_none_or(|said| said.after(SAID_EVERY) <= now);
        if runs_out_within(end, now, WARNED_BEFORE) && is_due {
            self.said_at = Some(now);
            tracing::warn!(certificate = self.of, %end, left_s, "a certificate runs out");
        }
    }
}

fn runs_out_within(end: Timestamp, now: Timestamp, span: Duration) -> bool {
    end < now.after(span)
}

fn problem(watched: &[Watched], now: Timestamp) -> Option<String> {
    let soon = watched.iter().filter_map(|Watched { of, end, .. }| {
        let end = end.filter(|end| runs_out_within(*end, now, DEGRADED_BEFORE))?;
        let runs = if end <= now { "ran out" } else { "runs out" };
        Some(format!("the certificate for {of} {runs} at {end}"))
    });
    let soon: Vec<String> = soon.collect();
    (!soon.is_empty()).then(|| soon.join("; "))
}

fn locked(watched: &Shared) -> std::sync::MutexGuard<'_, Vec<Watched>> {
    // A panic of another holder can't leave a certificate half changed.
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const NOW: Timestamp = Timestamp::from_unix_us(1_800_000_000_000_000);

    fn ending(end: Timestamp) -> Watched {
        let file = PathBuf::from("/nowhere/certificate.pem");
        Watched { of: "internal", file, end: Some(end), said_at: None }
    }

    #[test]
    fn a_certificate_that_runs_out_is_a_problem_a_week_before_and_after() {
        assert_eq!(problem(&[ending(NOW.after(DAY * 8))], NOW), None);
        let soon = problem(&[ending(NOW.after(DAY * 6)), ending(NOW.after(DAY * 99))], NOW);
        let date = NOW.after(DAY * 6);
        assert_eq!(soon, Some(format!("the certificate for internal runs out at {date}")));
        let over = problem(&[ending(NOW)], NOW).expect("a problem");
        assert_eq!(over, format!("the certificate for internal ran out at {NOW}"));
    }

    #[test]
    fn a_certificate_that_runs_out_is_warned_of_once_a_day_two_weeks_before() {
        let mut watched = ending(NOW.after(DAY * 15));
        watched.handle(None, NOW);
        assert_eq!(watched.said_at, None);
        watched.handle(None, NOW.after(DAY * 2));
        assert_eq!(watched.said_at, Some(NOW.after(DAY * 2)));
        watched.handle(None, NOW.after(DAY * 5 / 2));
        assert_eq!(watched.said_at, Some(NOW.after(DAY * 2)));
        watched.handle(None, NOW.after(DAY * 3));
        assert_eq!(watched.said_at, Some(NOW.after(DAY * 3)));
        // One that was replaced by another that runs out as soon is warned of at once.
        watched.handle(Some(NOW.after(DAY * 16)), NOW.after(DAY * 13 / 4));
        assert_eq!(watched.said_at, Some(NOW.after(DAY * 13 / 4)));
        watched.handle(Some(NOW.after(DAY * 90)), NOW.after(DAY * 4));
        assert_eq!((watched.end, watched.said_at), (Some(NOW.after(DAY * 90)), None));
    }

    #[test]
    fn the_end_is_that_of_the_first_certificate_of_a_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("certificate.pem");
        assert_eq!(end_of_certificate(&file), None);
        let certificate = |year| {
            let mut wanted =
                rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
            wanted.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().expect("a key");
            wanted.self_signed(&key).expect("signed").pem()
        };
        std::fs::write(&file, certificate(2031) + &certificate(2033)).expect("written");
        assert_eq!(end_of_certificate(&file), Timestamp::parse_rfc3339("2031-01-01T00:00:00Z"));
        std::fs::write(&file, "half").expect("written");
        assert_eq!(end_of_certificate(&file), None);
    }
}
