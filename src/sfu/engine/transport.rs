//! One transport: its keys, its peer, and the datagrams that wait to be sent to it.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

use crate::domain::id::SessionId;
use crate::sfu::plane::TransportId;
use crate::sfu::rtcp::ArrivalRecorder;
use crate::sfu::srtp::{SEAL_BYTES_MAX, SOURCES_MAX, Srtp};

use super::bandwidth::Path;
use super::conditions::Told;
use super::publication::Publication;
use super::stats::TransportStats;

/// Bytes that may wait for one peer between two sends, allocated once. Datagrams that do not fit
/// are dropped and counted; the receiver requests them again.
const OUTBOX_BYTES: usize = 256 * 1024;
/// Datagrams that may wait for one peer between two sends.
const OUTBOX_DATAGRAMS: usize = 512;

/// Bytes that UDP and IP add to each datagram.
pub(super) const DATAGRAM_BYTES: usize = 28;
/// SSRCs that one transport sends from during its life, two per subscription; at the limit further
/// subscriptions are refused.
const SENT_SOURCES_MAX: usize = 16_384;

/// The publication and encoding that the packets of an SSRC belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) ssrc: u32,
    pub(super) publication: usize,
    pub(super) encoding: u8,
    /// Whether it carries retransmissions.
    pub(super) repair: bool,
}

/// SSRCs of ended publications that one transport remembers; at the limit the oldest is removed.
/// Enough for twice the tracks of a peer.
const FORMER_SOURCES_MAX: usize = 64;

/// What an SSRC carried whose publication has ended. When its section is used again its packets
/// continue, and browsers send `mid` and `rid` only until the first packets have been received (RFC
/// 8843 §15.2).
#[derive(Debug)]
struct FormerSource {
    ssrc: u32,
    mid: String,
    rid: Option<String>,
    repair: bool,
}

/// Datagrams that wait for one peer, one after the other in memory, so that runs of equal size can
/// be sent in one system call.
#[derive(Debug)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    lengths: Vec<u16>,
    sent_bytes: usize,
    sent_datagrams: usize,
}

/// A run of datagrams of one size; the last may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) segment_bytes: usize,
    pub(super) datagrams: usize,
}

impl Outbox {
    fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(OUTBOX_BYTES),
            lengths: Vec::with_capacity(OUTBOX_DATAGRAMS),
            sent_bytes: 0,
            sent_datagrams: 0,
        }
    }

    /// Whether a datagram with this many bytes before sealing fits.
    pub(super) fn fits(&self, length: usize) -> bool {
        self.bytes.len() + length + SEAL_BYTES_MAX <= OUTBOX_BYTES
            && self.lengths.len() < OUTBOX_DATAGRAMS
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Removes the next run, of at most `datagrams_max` datagrams and `bytes_max` bytes.
    fn take_run(&mut self, datagrams_max: usize, bytes_max: usize) -> Option<Run> {
        let first = usize::from(*self.lengths.get(self.sent_datagrams)?);
        let start = self.sent_bytes;
        let mut run = Run { start, end: start, segment_bytes: first, datagrams: 0 };
        for &length in self.lengths[self.sent_datagrams..].iter().take(datagrams_max.max(1)) {
            let length = usize::from(length);
            let too_much = run.end + length - start > bytes_max;
            if length > first || (too_much && run.datagrams > 0) {
                break;
            }
            run.end += length;
            run.datagrams += 1;
            if length < first {
                break;
            }
        }
        self.sent_bytes = run.end;
        self.sent_datagrams += run.datagrams;
        Some(run)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.lengths.clear();
        self.sent_bytes = 0;
        self.sent_datagrams = 0;
    }
}

/// One transport.
pub(super) struct Transport {
    pub(super) id: TransportId,
    pub(super) room: SessionId,
    pub(super) remote: SocketAddr,
    pub(super) srtp: Srtp,
    /// When it was added.
    pub(super) since_us: u64,
    outbox: Outbox,
    /// Whether it is in the list of transports with something to send.
    pub(super) queued: bool,
    /// Sorted by SSRC; at most `SOURCES_MAX`, which is also the limit of `Srtp`.
    sources: Vec<Source>,
    /// Oldest first; at most [`FORMER_SOURCES_MAX`].
    former_sources: VecDeque<FormerSource>,
    /// All SSRCs that were ever sent from.
    sent_sources: BTreeSet<u32>,
    pub(super) publications: Vec<usize>,
    pub(super) subscriptions: Vec<usize>,
    /// The transport-wide sequence number of the next packet to this peer, over all its streams.
    pub(super) next_transport_sequence: u16,
    /// Extension that carries the publisher's transport-wide numbers.
    pub(super) numbers_extension: Option<u8>,
    pub(super) arrivals: ArrivalRecorder,
    /// What was told of its path since that was last reported.
    pub(super) told: Told,
    /// How much is sent to this peer and may be, once it gets pictures.
    pub(super) path: Option<Box<Path>>,
    /// Whether an authenticated packet came since this was last reported.
    pub(super) heard: bool,
    /// When it was last reported that one came.
    pub(super) heard_us: u64,
    /// The SSRC that the peer's latest control packet names as its sender.
    pub(super) control_source: Option<u32>,
    /// By which SSRCs it is looked for at other addresses; `None` while it is not silent.
    pub(super) sought_by: Option<Vec<u32>>,
    /// When it was last reported that media came from another address.
    pub(super) found_us: u64,
    pub(super) stats: TransportStats,
}

impl Transport {
    pub(super) fn new(
        id: TransportId,
        room: SessionId,
        remote: SocketAddr,
        srtp: Srtp,
        now_us: u64,
    ) -> Self {
        Self {
            id,
            room,
            remote,
            srtp,
            since_us: now_us,
            outbox: Outbox::new(),
            queued: false,
            sources: Vec::new(),
            former_sources: VecDeque::new(),
            sent_sources: BTreeSet::new(),
            publications: Vec::new(),
            subscriptions: Vec::new(),
            next_transport_sequence: 0,
            numbers_extension: None,
            arrivals: ArrivalRecorder::default(),
            told: Told::default(),
            path: None,
            heard: false,
            heard_us: now_us,
            control_source: None,
            sought_by: None,
            found_us: 0,
            stats: TransportStats::default(),
        }
    }

    pub(super) fn source(&self, ssrc: u32) -> Option<Source> {
        let at = self.sources.binary_search_by_key(&ssrc, |source| source.ssrc).ok()?;
        Some(self.sources[at])
    }

    /// SSRCs from which the peer sends, that of its control packets first.
    pub(super) fn peer_sources(&self) -> impl Iterator<Item = u32> {
        self.control_source.into_iter().chain(self.sources.iter().map(|source| source.ssrc))
    }

    /// Stores where the packets of an SSRC belong. The first claim is kept; at the limit further
    /// SSRCs are not stored and their packets are dropped.
    pub(super) fn add_source(&mut self, source: Source) -> bool {
        match self.sources.binary_search_by_key(&source.ssrc, |it| it.ssrc) {
            Ok(_) => false,
            Err(_) if self.sources.len() >= SOURCES_MAX => false,
            Err(at) => {
                self.sources.insert(at, source);
                true
            }
        }
    }

    pub(super) fn remove_source(&mut self, ssrc: u32) {
        self.sources.retain(|source| source.ssrc != ssrc);
    }

    /// Attaches a publication: its declared SSRCs are stored, and those that its section had
    /// before.
    pub(super) fn attach_publication(&mut self, slot: usize, publication: &mut Publication) {
        self.publications.push(slot);
        self.numbers_extension = self.numbers_extension.or(publication.extensions.transport_cc);
        let former = std::mem::take(&mut self.former_sources);
        let (again, others) = former.into_iter().partition(|it| it.mid == publication.mid);
        self.former_sources = others;
        let again: VecDeque<FormerSource> = again;
        for (number, encoding) in (0_u8..).zip(&mut publication.encodings) {
            for (place, repair) in [(&mut encoding.ssrc, false), (&mut encoding.rtx_ssrc, true)] {
                // The latest SSRC that it had.
                let before = again.iter().rfind(|it| it.repair == repair && it.rid == encoding.rid);
                *place = place.or(before.map(|it| it.ssrc));
                if let Some(ssrc) = *place {
                    let source = Source { ssrc, publication: slot, encoding: number, repair };
                    self.add_source(source);
                }
            }
        }
    }

    pub(super) fn forget_publication(&mut self, slot: usize, publication: &Publication) {
        for source in self.sources.extract_if(.., |source| source.publication == slot) {
            let encoding = publication.encodings.get(usize::from(source.encoding));
            if self.former_sources.len() >= FORMER_SOURCES_MAX {
                self.former_sources.pop_front();
            }
            self.former_sources.push_back(FormerSource {
                ssrc: source.ssrc,
                mid: publication.mid.clone(),
                rid: encoding.and_then(|encoding| encoding.rid.clone()),
                repair: source.repair,
            });
        }
        self.publications.retain(|&it| it != slot);
    }

    /// Lets `write` append one unencrypted packet and return its header length, SSRC and index;
    /// then seals it. Returns `false` when it did not fit.
    pub(super) fn send_rtp(
        &mut self,
        length: usize,
        write: impl FnOnce(&mut Vec<u8>) -> (usize, u32, u64),
    ) -> bool {
        if !self.outbox.fits(length) {
            self.stats.dropped_full += 1;
            return false;
        }
        let start = self.outbox.bytes.len();
        let (header_bytes, ssrc, index) = write(&mut self.outbox.bytes);
        let sealed = self.srtp.seal_rtp(&mut self.outbox.bytes, start, header_bytes, ssrc, index);
        let length = u16::try_from(self.outbox.bytes.len() - start);
        let (Ok(()), Ok(length)) = (sealed, length) else {
            self.outbox.bytes.truncate(start);
            return false;
        };
        self.outbox.lengths.push(length);
        self.stats.packets_out += 1;
        self.stats.bytes_out += u64::from(length);
        true
    }

    /// Counts a packet that carried the next transport-wide number.
    pub(super) fn note_numbered(&mut self, now_us: u64) {
        let sequence = self.next_transport_sequence;
        self.next_transport_sequence = sequence.wrapping_add(1);
        if let Some(path) = &mut self.path {
            let bytes = self.outbox.lengths.last().copied().map_or(0, usize::from);
            path.congestion.handle_sent(sequence, bytes + DATAGRAM_BYTES, now_us);
        }
    }

    /// Seals and queues a control packet.
    pub(super) fn send_rtcp(&mut self, compound: &[u8]) {
        let Ok(sealed) = self.srtp.seal_rtcp(compound) else { return };
        let Ok(length) = u16::try_from(sealed.len()) else { return };
        if !self.outbox.fits(sealed.len()) {
            self.stats.dropped_full += 1;
            return;
        }
        self.outbox.bytes.extend_from_slice(&sealed);
        self.outbox.lengths.push(length);
        self.stats.packets_out += 1;
        self.stats.bytes_out += u64::from(length);
    }

    /// Reserves two SSRCs to send from, permanently. Returns `false` when one was used before, when
    /// they are equal, or at the limit.
    pub(super) fn claim_sources(&mut self, sources: [u32; 2]) -> bool {
        let used = sources.iter().any(|ssrc| self.sent_sources.contains(ssrc));
        if used || sources[0] == sources[1] || self.sent_sources.len() >= SENT_SOURCES_MAX {
            return false;
        }
        self.sent_sources.extend(sources);
        true
    }

    pub(super) fn has_output(&self) -> bool {
        !self.outbox.is_empty()
    }

    pub(super) fn take_run(&mut self, datagrams_max: usize, bytes_max: usize) -> Option<Run> {
        self.outbox.take_run(datagrams_max, bytes_max)
    }

    pub(super) fn run_bytes(&self, run: Run) -> &[u8] {
        self.outbox.bytes.get(run.start..run.end).unwrap_or_default()
    }

    pub(super) fn clear_output(&mut self) {
        self.outbox.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_hold_equal_sizes_and_one_shorter_last() {
        let mut outbox = Outbox::new();
        for length in [100_u16, 100, 100, 60, 60, 90] {
            outbox.bytes.extend(std::iter::repeat_n(0, usize::from(length)));
            outbox.lengths.push(length);
        }
        let mut runs = Vec::new();
        while let Some(run) = outbox.take_run(64, 65_000) {
            runs.push((run.segment_bytes, run.datagrams, run.end - run.start));
        }
        assert_eq!(runs, [(100, 4, 360), (60, 1, 60), (90, 1, 90)]);
    }

    #[test]
    fn runs_stay_within_their_limits() {
        let mut outbox = Outbox::new();
        for _ in 0..10 {
            outbox.bytes.extend_from_slice(&[0; 1000]);
            outbox.lengths.push(1000);
        }
        assert_eq!(outbox.take_run(4, 65_000).map(|run| run.datagrams), Some(4));
        assert_eq!(outbox.take_run(64, 3500).map(|run| run.datagrams), Some(3));
        assert_eq!(outbox.take_run(64, 500).map(|run| run.datagrams), Some(1), "never stuck");
    }
}
