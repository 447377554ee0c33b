//! Makes one file from the journals of a track. The journals are read twice: first to compute when
//! frames were captured, then to write the frames. Both readings depend only on the journals, so
//! the same journals give the same bytes, and interrupted work can be continued.

use bytes::Bytes;

use crate::domain::media::{Codec, MediaKind};
use crate::formats::codec::{Depacketiser, Frame, Setup};
use crate::formats::mp4::Mp4Writer;
use crate::formats::order::{InOrder, Order, Ordered};
use crate::formats::rtp::Packet;
use crate::formats::sample::{Finished, Sample};
use crate::formats::webm::WebmWriter;
use crate::playable::PlayableError;
use crate::playable::moments::{AHEAD_MAX_US, Moments, Pace, Sources, Survey};
use crate::playable::telephone::Telephone;
use crate::recorder::journal::{JournalReader, RecordKind};

/// Smallest distance of two video frames in a file: its tick.
const VIDEO_STEP_US: u64 = 1_000;

/// The first reading: computes when frames were captured.
#[derive(Debug)]
pub struct TrackSurvey {
    codec: Codec,
    survey: Survey,
}

impl TrackSurvey {
    /// Begins to read the journals of a track with this codec.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self { codec, survey: Survey::new(codec) }
    }

    /// Takes the journal of the next segment. [`PlayableError::Journal`] when it is malformed; the
    /// records before the fault are used.
    pub fn handle_segment(&mut self, journal: &[u8]) -> Result<(), PlayableError> {
        for record in JournalReader::new(journal)? {
            let record = record?;
            match record.kind {
                RecordKind::Rtp(bytes) => {
                    if let Some(packet) = Packet::parse(bytes) {
                        self.survey.handle_packet(record.at_us, &packet.header);
                    }
                }
                RecordKind::SenderReport(report) => {
                    self.survey.handle_report(record.at_us, report);
                }
                RecordKind::Side(event) => self.survey.handle_side(event),
            }
        }
        Ok(())
    }

    /// Begins the second reading.
    #[must_use]
    pub fn writer(self) -> TrackWriter {
        TrackWriter::new(self.codec, self.survey.finish())
    }
}

/// The second reading: writes the file.
#[derive(Debug)]
pub struct TrackWriter {
    codec: Codec,
    moments: Moments,
    sources: Sources,
    order: Order<Arrived>,
    /// When what arrives is captured while its timestamps are doubted.
    pace: Pace,
    /// The last packet in order, which belongs to what is collected in `frames`.
    last: Option<Last>,
    /// Counts microseconds since 1970: when frames were captured.
    frames: Depacketiser,
    /// Makes Opus of G.711.
    telephone: Option<Telephone>,
    muxer: Muxer,
    /// When the first frame was captured, in microseconds since 1970.
    zero_us: Option<i64>,
    last_us: u64,
}

/// A packet before it is in its order.
#[derive(Debug)]
struct Arrived {
    at_us: u64,
    epoch: usize,
    /// RTP timestamp, extended by the wraps.
    ticks: i64,
    marker: bool,
    payload: Bytes,
}

/// The last packet in its order.
#[derive(Debug, Clone, Copy)]
struct Last {
    epoch: usize,
    ticks: i64,
    marker: bool,
    captured_us: i64,
}

/// The properties of a finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackFile {
    /// The header, which precedes the bytes written before.
    pub header: Vec<u8>,
    /// When its first frame was captured, in microseconds since 1970 on the server's clock; all
    /// times in the file count from then.
    pub from_us: i64,
    /// Playing time in microseconds.
    pub duration_us: u64,
    /// Media type with codecs, such as `video/webm; codecs="vp8"`.
    pub media_type: String,
}

#[derive(Debug)]
enum Muxer {
    Webm(WebmWriter),
    Mp4(Mp4Writer),
}

impl TrackWriter {
    fn new(codec: Codec, moments: Moments) -> Self {
        let muxer = match codec {
            Codec::H264 => Muxer::Mp4(Mp4Writer::default()),
            Codec::Opus | Codec::Pcmu | Codec::Pcma | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => {
                Muxer::Webm(WebmWriter::new(codec))
            }
        };
        Self {
            codec,
            moments,
            sources: Sources::new(codec),
            order: Order::default(),
            pace: Pace::default(),
            last: None,
            frames: Depacketiser::new(codec),
            telephone: Telephone::of(codec),
            muxer,
            zero_us: None,
            last_us: 0,
        }
    }

    /// Takes the journal of the next segment and appends to `out` the bytes that follow the header.
    pub fn handle_segment(
        &mut self,
        journal: &Bytes,
        out: &mut Vec<u8>,
    ) -> Result<(), PlayableError> {
        for record in JournalReader::new(journal)? {
            let record = record?;
            match record.kind {
                RecordKind::Rtp(bytes) => self.handle_packet(record.at_us, journal, bytes, out)?,
                RecordKind::Side(event) => self.sources.handle_side(event),
                RecordKind::SenderReport(_) => {}
            }
        }
        Ok(())
    }

    /// Ends the file. [`PlayableError::Nothing`] when it has no frame.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<TrackFile, PlayableError> {
        self.end_epoch(out)?;
        let from_us = self.zero_us.ok_or(PlayableError::Nothing)?;
        let Finished { header, duration_us, media_type } = match self.muxer {
            Muxer::Webm(muxer) => muxer.finish(out),
            Muxer::Mp4(muxer) => muxer.finish(out)?,
        };
        Ok(TrackFile { header, from_us, duration_us, media_type })
    }

    fn handle_packet(
        &mut self,
        at_us: u64,
        journal: &Bytes,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), PlayableError> {
        let Some(packet) = Packet::parse(bytes) else { return Ok(()) };
        let Some(place) = self.sources.handle_packet(at_us, &packet.header) else { return Ok(()) };
        if place.new_epoch {
            self.end_epoch(out)?;
        }
        if place.new_source {
            self.order = Order::default();
            self.frames.handle_new_source();
        }
        let payload = journal.slice_ref(packet.payload);
        let (epoch, ticks, marker) = (place.epoch, place.ticks, packet.header.marker);
        let arrived = Arrived { at_us, epoch, ticks, marker, payload };
        self.order.handle_packet(at_us, packet.header.sequence, arrived);
        self.take_ordered(out)
    }

    fn end_epoch(&mut self, out: &mut Vec<u8>) -> Result<(), PlayableError> {
        self.order.flush();
        self.take_ordered(out)?;
        self.frames.finish();
        self.take_frames(out)?;
        match &mut self.muxer {
            Muxer::Webm(_) => Ok(()),
            Muxer::Mp4(muxer) => Ok(muxer.handle_break(out)?),
        }
    }

    fn take_ordered(&mut self, out: &mut Vec<u8>) -> Result<(), PlayableError> {
        for item in self.order.poll() {
            let item = match item {
                InOrder::Packet(padding) if padding.payload.is_empty() => continue,
                InOrder::Packet(packet) => {
                    let ticks = self.captured_us(&packet);
                    let Arrived { marker, payload, .. } = packet;
                    InOrder::Packet(Ordered { ticks, marker, payload })
                }
                InOrder::Lost => InOrder::Lost,
            };
            self.frames.handle(item);
        }
        self.take_frames(out)
    }

    /// When the frame of this packet, which is next, was captured: for every packet of a picture the
    /// same, and for the next picture something else.
    fn captured_us(&mut self, packet: &Arrived) -> i64 {
        let &Arrived { at_us, epoch, ticks, marker, .. } = packet;
        let is_doubted = self.moments.is_doubted(epoch, at_us);
        let is_video = self.codec.kind() == MediaKind::Video;
        let last = self.last.filter(|_| is_video);
        let captured_us = match last {
            // A clock that stands still does not tell pictures apart.
            Some(last)
                if (last.epoch, last.ticks) == (epoch, ticks) && !(is_doubted && last.marker) =>
            {
                last.captured_us
            }
            _ => {
                let at_us = at_us.cast_signed();
                let captured_us = if is_doubted {
                    self.pace.captured_us(at_us)
                } else {
                    let latest_us = at_us.saturating_add(AHEAD_MAX_US);
                    self.moments.captured_us(epoch, ticks).min(latest_us)
                };
                let is_same = last.is_some_and(|last| last.captured_us == captured_us);
                captured_us.saturating_add(i64::from(is_same))
            }
        };
        self.last = Some(Last { epoch, ticks, marker, captured_us });
        captured_us
    }

    fn take_frames(&mut self, out: &mut Vec<u8>) -> Result<(), PlayableError> {
        for frame in self.frames.poll() {
            self.write(frame, out)?;
        }
        Ok(())
    }

    fn write(&mut self, frame: Frame, out: &mut Vec<u8>) -> Result<(), PlayableError> {
        let captured_us = frame.ticks;
        let is_first = self.zero_us.is_none();
        let zero_us = *self.zero_us.get_or_insert(captured_us);
        let captured_us = u64::try_from(captured_us.saturating_sub(zero_us)).unwrap_or(0);
        // Time never runs backwards in a file, whatever the timestamps of the sender. Those of H.264
        // tell when a picture is shown, which need not be in the order of the pictures; there the
        // writer of the file takes care of it.
        let at_us = match self.codec {
            Codec::H264 => captured_us,
            _ if self.codec.kind() == MediaKind::Video && !is_first => {
                captured_us.max(self.last_us + VIDEO_STEP_US)
            }
            _ => captured_us.max(self.last_us),
        };
        self.last_us = at_us;
        let (key, data) = (frame.key, frame.data);
        let Some(telephone) = &mut self.telephone else {
            let sample = Sample { at_us, shown_after_us: 0, key, data };
            return self.muxer.write(frame.setup, sample, out);
        };
        for (after_us, data) in telephone.frames(&data)? {
            let at_us = at_us + after_us;
            self.last_us = at_us;
            self.muxer.write(None, Sample { at_us, shown_after_us: 0, key, data }, out)?;
        }
        Ok(())
    }
}

impl Muxer {
    fn write(
        &mut self,
        setup: Option<Setup>,
        sample: Sample,
        out: &mut Vec<u8>,
    ) -> Result<(), PlayableError> {
        match self {
            Self::Webm(muxer) => {
                if let Some(setup) = setup {
                    muxer.handle_setup(setup);
                }
                muxer.write(sample, out);
                Ok(())
            }
            Self::Mp4(muxer) => {
                if let Some(setup) = setup {
                    muxer.handle_setup(setup);
                }
                Ok(muxer.write(sample, out)?)
            }
        }
    }
}
