//! Records one camera: keeps its stream open and writes each part of its segments to the spool as
//! soon as it is made.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Recordings;
use super::spool::{Beginning, GrowingFile, Name};
use crate::cameras::engine::segments::{Piece, RecordedPart};
use crate::cameras::error::CameraError;
use crate::cameras::metrics;
use crate::cameras::repository::FilmsOf;
use crate::claims::Claim;
use crate::domain::id::{CameraId, PublicationId, TenantId};
use crate::sealing::ContentKey;

/// For how long the camera is wanted at a time, and how often that is said again. Raising the first
/// keeps calls up for longer after the end.
const WANTED_FOR: Duration = Duration::from_secs(6);
const WANT_EVERY: Duration = Duration::from_secs(2);
/// How long nothing is tried after a stream ended, and after it could not begin. Raising them makes
/// gaps longer.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_FAILED: Duration = Duration::from_secs(10);
/// Whole segments of a camera that wait for the vault: half a day and more. At the limit segments
/// are lost. Raising it keeps more in the spool when the vault is away.
const WAITING_MAX: usize = 5_000;

/// The recording of one camera.
pub(super) struct Keeping {
    recordings: Recordings,
    tenant: TenantId,
    camera: CameraId,
    claim: Claim,
}

impl Keeping {
    pub(super) fn new(
        recordings: Recordings,
        (tenant, camera): (TenantId, CameraId),
        claim: Claim,
    ) -> Self {
        Self { recordings, tenant, camera, claim }
    }

    /// Records until `stop`, or until another instance has the camera.
    pub(super) async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() && self.claim.holds() {
            let mut pause = PAUSE;
            if let Err(error) = self.record(&stop).await {
                pause = PAUSE_FAILED;
                metrics::recording_failed("camera");
                tracing::warn!(tenant = %self.tenant, %error, "a camera is not recorded now");
            }
            stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
        self.claim.release().await;
    }

    /// Records one stream of the camera, until it ends.
    async fn record(&self, stop: &CancellationToken) -> Result<(), CameraError> {
        let ingest = self.recordings.0.parts.gateway.ingest();
        let stream = ingest.want_for(self.tenant, &self.camera, WANTED_FOR)?;
        stream.record();
        let mut writing = Writing::new(self);
        let mut ticks = tokio::time::interval(WANT_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {
                    let until = Instant::now() + WANTED_FOR;
                    if !self.claim.holds() || !stream.want(until.into_std()) {
                        break;
                    }
                }
                piece = stream.recorded(writing.taken) => match piece {
                    Some(piece) => writing.take(piece).await,
                    None => break,
                },
            }
        }
        if let Some(rest) = stream.end_recording() {
            while let Some(piece) = rest.recorded(writing.taken) {
                writing.take(piece).await;
            }
        }
        Ok(())
    }
}

/// A publication that segments are written to.
struct Run {
    id: PublicationId,
    key: Arc<ContentKey>,
    whole: mpsc::Sender<Name>,
}

/// Writes segments of a stream.
struct Writing<'keeping> {
    keeping: &'keeping Keeping,
    /// What follows what was taken.
    taken: (u64, usize),
    run: Option<Run>,
    growing: Option<GrowingFile>,
    /// Whether something before the next segment was lost.
    is_gap: bool,
}

impl<'keeping> Writing<'keeping> {
    const fn new(keeping: &'keeping Keeping) -> Self {
        Self { keeping, taken: (0, 0), run: None, growing: None, is_gap: false }
    }

    async fn take(&mut self, piece: Piece) {
        let part = match piece {
            Piece::Part(part) => part,
            Piece::End(segment) => {
                self.taken = (segment + 1, 0);
                return self.end();
            }
        };
        let is_next = self.taken == (part.segment, part.place);
        self.taken = (part.segment, part.place + 1);
        if !is_next {
            // The disk was too slow: what was not taken in time is gone.
            self.lost("disk", "parts were not written in time");
            self.end();
        }
        let written = if part.place == 0 { self.begin(&part).await } else { Ok(()) };
        let written = match (written, self.growing.take()) {
            (Ok(()), Some(growing)) => self.append(growing, part).await,
            // The segment could not begin, or broke off.
            (written, _) => written,
        };
        if let Err(error) = written {
            self.lost("disk", &error.to_string());
            self.end();
        }
    }

    /// Begins a segment.
    async fn begin(&mut self, part: &RecordedPart) -> io::Result<()> {
        self.end();
        if self.run.is_none() {
            self.run = Some(self.begin_run().await?);
        }
        let Some(Run { id, key, .. }) = &self.run else { return Ok(()) };
        let (spool, key) = (self.keeping.recordings.0.spool.clone(), key.clone());
        let (tenant, segment) = (self.keeping.tenant, part.segment);
        let name = Name { tenant, publication: *id, segment };
        let is_break = part.is_break || self.is_gap;
        let beginning = Beginning { at: part.at, is_break, header: part.header.to_vec() };
        let begun = tokio::task::spawn_blocking(move || spool.begin(name, key, &beginning)).await;
        self.growing = Some(begun.map_err(io::Error::other)??);
        self.is_gap = false;
        Ok(())
    }

    /// Begins a publication, and has its whole segments brought to the archive.
    async fn begin_run(&self) -> io::Result<Run> {
        let Keeping { recordings, tenant, camera, .. } = self.keeping;
        let of = FilmsOf::Camera(camera.clone());
        let filing = recordings.0.parts.archive.begin(*tenant, of).await;
        let filing = filing.map_err(io::Error::other)?;
        let (whole, names) = mpsc::channel(WAITING_MAX);
        let run = Run { id: filing.id(), key: filing.key(), whole };
        recordings.0.tasks.spawn(Box::pin(recordings.clone().file(filing, names)));
        Ok(run)
    }

    async fn append(&mut self, mut growing: GrowingFile, part: RecordedPart) -> io::Result<()> {
        let appended = tokio::task::spawn_blocking(move || {
            let appended = growing.append(part.ticks, &part.data);
            (growing, appended)
        });
        let (growing, appended) = appended.await.map_err(io::Error::other)?;
        self.growing = Some(growing);
        appended
    }

    /// Ends the segment that grows: as far as it was written, it is whole.
    fn end(&mut self) {
        let (Some(growing), Some(run)) = (self.growing.take(), &self.run) else { return };
        if run.whole.try_send(growing.name).is_err() {
            self.lost("vault", "more segments wait for the vault than may");
            let spool = self.keeping.recordings.0.spool.clone();
            let name = growing.name;
            // It would be brought after the next start, which is harmless if it can't be removed.
            drop(tokio::task::spawn_blocking(move || spool.remove(name)));
        }
    }

    fn lost(&mut self, what: &'static str, reason: &str) {
        self.is_gap = true;
        metrics::recording_failed(what);
        tracing::warn!(tenant = %self.keeping.tenant, reason, "a part of a recording is lost");
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
