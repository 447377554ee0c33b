//! Brings whole segments of cameras from the spool to the archive, one after the other. What the
//! archive does not take now stays in the spool and is tried again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::spool::{Name, Spool, Spooled};
use super::{Inner, Recordings};
use crate::cameras::archive::{Filing, NotKept, OfSegment};
use crate::cameras::error::CameraError;
use crate::cameras::metrics;
use crate::domain::backoff::Backoff;
use crate::domain::id::PublicationId;

/// Waits between two tries to keep a segment.
const KEEP_AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// What became of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filed {
    /// It is in the archive, or never will be.
    Done,
    /// The server stops.
    Stopped,
}

/// What is known of the segments of one publication that were brought.
struct Carrier {
    filing: Filing,
    /// The newest header that is in the archive, and its number.
    header: Option<(Vec<u8>, u64)>,
}

impl Recordings {
    /// Brings the segments whose names come, until there are no more or the server stops.
    pub(super) async fn file(self, filing: Filing, mut names: mpsc::Receiver<Name>) {
        let mut carrier = Carrier { filing, header: None };
        while let Some(name) = names.recv().await {
            if carrier.bring(&self.0, name).await == Filed::Stopped {
                return;
            }
        }
    }

    /// Brings what another process left in the spool.
    pub(super) async fn file_left(self) {
        let inner = &*self.0;
        let mut current: Option<(PublicationId, Option<Carrier>)> = None;
        for name in inner.left.iter().copied() {
            if current.as_ref().is_none_or(|(id, _)| *id != name.publication) {
                let Some(filing) = self.resumed(name).await else { return };
                let carrier = filing.map(|filing| Carrier { filing, header: None });
                current = Some((name.publication, carrier));
            }
            match current.as_mut().and_then(|(_, carrier)| carrier.as_mut()) {
                Some(carrier) => {
                    if carrier.bring(inner, name).await == Filed::Stopped {
                        return;
                    }
                }
                // Nobody can read it any more.
                None => removed(&inner.spool, name).await,
            }
        }
    }

    /// The publication of a segment that was left, if it is still kept; nothing when the server stops
    /// before that is known.
    async fn resumed(&self, name: Name) -> Option<Option<Filing>> {
        let Inner { parts, stop, .. } = &*self.0;
        let mut backoff = Backoff::new(KEEP_AGAIN.0, KEEP_AGAIN.1);
        loop {
            match parts.archive.resume(name.tenant, name.publication).await {
                Ok(found) => return Some(found),
                Err(CameraError::SecretLost) => {
                    tracing::warn!(tenant = %name.tenant, "the key of a recording is lost");
                    return Some(None);
                }
                Err(error) => {
                    tracing::warn!(%error, "a recording in the spool can't be gone on with now");
                    let pause = tokio::time::sleep(backoff.next(rand::random()));
                    stop.run_until_cancelled(pause).await?;
                }
            }
        }
    }
}

impl Carrier {
    /// Brings a segment, however often it takes.
    async fn bring(&mut self, inner: &Inner, name: Name) -> Filed {
        let mut backoff = Backoff::new(KEEP_AGAIN.0, KEEP_AGAIN.1);
        // Otherwise it is kept, or the recording was deleted meanwhile.
        while let Err(NotKept::Failed(error)) = self.try_to_bring(&inner.spool, name).await {
            metrics::recording_failed("vault");
            tracing::warn!(%error, "a segment of a camera can't be kept now");
            let pause = tokio::time::sleep(backoff.next(rand::random()));
            if inner.stop.run_until_cancelled(pause).await.is_none() {
                return Filed::Stopped;
            }
        }
        removed(&inner.spool, name).await;
        Filed::Done
    }

    async fn try_to_bring(&mut self, spool: &Arc<Spool>, name: Name) -> Result<(), NotKept> {
        let (at, key) = (spool.clone(), self.filing.key());
        let read = tokio::task::spawn_blocking(move || at.read(name, &key)).await;
        let read = read.unwrap_or_else(|error| Err(io::Error::other(error)));
        let read = match read {
            // It was brought, and its removal was cut off.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read.map_err(|error| CameraError::Vault(error.to_string()))?,
        };
        let Some(Spooled { beginning, ticks, data }) = read else { return Ok(()) };
        // Each segment may have a header of its own: so both have numbers that never change.
        let number = name.segment.saturating_mul(2);
        let header = match &self.header {
            Some((bytes, header)) if *bytes == beginning.header => *header,
            _ => {
                self.filing.skip_to(number);
                let sealed = self.filing.seal(&beginning.header, None);
                let header = self.filing.keep(&sealed).await?;
                self.header.insert((beginning.header, header)).1
            }
        };
        let (is_break, at) = (beginning.is_break, beginning.at);
        self.filing.skip_to(number.saturating_add(1));
        let sealed = self.filing.seal(&data, Some(OfSegment { header, is_break, ticks, at }));
        self.filing.keep(&sealed).await?;
        metrics::recorded(data.len());
        Ok(())
    }
}

/// Removes a segment from the spool. One that stays is brought again after the next start, which
/// changes nothing.
async fn removed(spool: &Arc<Spool>, name: Name) {
    let spool = spool.clone();
    let removed = tokio::task::spawn_blocking(move || spool.remove(name)).await;
    if let Err(error) = removed.unwrap_or_else(|error| Err(io::Error::other(error))) {
        tracing::warn!(%error, "a segment of a camera stays in the spool");
    }
}
