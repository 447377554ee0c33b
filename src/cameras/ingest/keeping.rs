//! Keeps what a device publishes: its stream's segments go to the archive until it ends.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::stream::Stream;
use crate::cameras::archive::{Filing, NotKept, OfSegment, Sealed};
use crate::domain::backoff::Backoff;
use crate::domain::camera::StreamFault;

/// How long a device may send nothing, or take nothing. Raising it keeps what a dead connection
/// holds for longer.
pub(super) const SILENT_MAX: Duration = Duration::from_secs(10);
/// How long a connection may take until its device sends. Raising it lets strangers hold places.
pub(super) const BEGIN_TIME_MAX: Duration = Duration::from_secs(15);
/// How long a device may send without a picture that can be shown.
const FIRST_PICTURE_MAX: Duration = Duration::from_secs(30);
/// How long what was sent may take to be kept, once a device has ended. Raising it delays the end
/// of a server whose vault is away.
pub(super) const FINISH_MAX: Duration = Duration::from_secs(10);
/// The target duration of what is kept, in seconds. Raising it makes fewer objects and more delay.
pub(in crate::cameras) const TARGET_S: u64 = 4;
/// Waits between two tries to keep a segment.
const KEEP_AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// Why a publication is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// What the device sends has ended, or can't be used.
    Fault(StreamFault),
    /// What it sends is not kept any more.
    NotKept(&'static str),
    /// Another one takes its place.
    Replaced,
}

impl Over {
    /// How metrics name it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Fault(StreamFault::ConnectionClosed) => "closed",
            Self::Fault(_) => "not_usable",
            Self::NotKept(_) => "not_kept",
            Self::Replaced => "replaced",
        }
    }
}

/// Keeps what comes into a stream until `played` ends, which takes what the device sends, or another
/// one takes its place. What came before the end is kept.
pub(super) async fn record(
    filing: Filing,
    stream: &Stream,
    played: impl Future<Output = StreamFault>,
    stop: &CancellationToken,
) -> Over {
    let mut keep = Box::pin(keep(filing, stream));
    let over = tokio::select! {
        fault = played => Over::Fault(fault),
        () = unseen(stream) => Over::Fault(StreamFault::PacketsStopped),
        () = stop.cancelled() => Over::Replaced,
        refused = &mut keep => return Over::NotKept(refused.unwrap_or("the stream has ended")),
    };
    stream.handle_break();
    stream.close();
    if timeout(FINISH_MAX, keep).await.is_err() {
        tracing::warn!("the end of what a device published could not be kept");
    }
    over
}

/// Until no picture came for so long that there may be none.
async fn unseen(stream: &Stream) {
    let first = stream.until(|segments| segments.next_from(0).map(drop));
    if timeout(FIRST_PICTURE_MAX, first).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

/// Keeps the segments of a stream until it has ended; why not any longer. What can't be kept now
/// is tried again; segments that are gone meanwhile are a break.
async fn keep(mut filing: Filing, stream: &Stream) -> Option<&'static str> {
    let (mut next, mut header) = (0, None);
    while let Some((segment, contents)) = stream.until(|it| it.next_from(next)).await {
        let is_gap = segment.number > next;
        next = segment.number + 1;
        let needed = match header {
            Some((number, file)) if number == segment.header => file,
            _ => {
                let sealed = filing.seal(&contents, None);
                match keep_file(&mut filing, &sealed).await {
                    Ok(file) => header.insert((segment.header, file)).1,
                    Err(refused) => return Some(refused),
                }
            }
        };
        let is_break = segment.is_break || is_gap;
        let (ticks, at) = (segment.ticks, segment.at);
        let of = OfSegment { header: needed, is_break, ticks, at };
        let sealed = filing.seal(&segment.data, Some(of));
        if let Err(refused) = keep_file(&mut filing, &sealed).await {
            return Some(refused);
        }
    }
    None
}

async fn keep_file(filing: &mut Filing, sealed: &Sealed) -> Result<u64, &'static str> {
    let mut backoff = Backoff::new(KEEP_AGAIN.0, KEEP_AGAIN.1);
    loop {
        match filing.keep(sealed).await {
            Ok(number) => return Ok(number),
            Err(NotKept::Closed) => return Err("the capture is closed"),
            Err(NotKept::Replaced) => return Err("the device publishes on another connection"),
            Err(NotKept::Full) => return Err("the tenant has as many bytes as it may"),
            Err(NotKept::Failed(error)) => {
                tracing::warn!(%error, "what a device publishes can't be kept now");
                tokio::time::sleep(backoff.next(rand::random())).await;
            }
        }
    }
}
