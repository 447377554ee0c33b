//! A track's journals become one file. They are read twice: first for when
//! things were captured, then for what was captured. Both are pure: given the
//! same journals they give the same bytes, so that work that was interrupted
//! continues where it was.

use bytes::Bytes;

use crate::domain::media::{Codec, MediaKind};
use crate::formats::codec::{Depacketiser, Frame, Setup};
use crate::formats::mp4::Mp4Writer;
use crate::formats::order::{Order, Ordered};
use crate::formats::rtp::Packet;
use crate::formats::sample::{Finished, Sample};
use crate::formats::webm::WebmWriter;
use crate::playable::PlayableError;
use crate::playable::moments::{Moments, Sources, Survey};
use crate::recorder::journal::{JournalReader, RecordKind};

/// Frames of pictures are at least so far apart in a file: its tick.
const VIDEO_STEP_US: u64 = 1_000;

/// The first reading.
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

    /// Takes the next segment's journal. [`PlayableError::Journal`] when it is
    /// none; what came before the fault is taken.
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
    epoch: usize,
    order: Order,
    frames: Depacketiser,
    muxer: Muxer,
    /// When the first frame was captured.
    zero_us: Option<i64>,
    last_us: u64,
}

/// What a finished file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackFile {
    /// The bytes that come before all others.
    pub header: Vec<u8>,
    /// When its first frame was captured: microseconds since 1970 on the
    /// server's clock, from which all its times count.
    pub from_us: i64,
    /// How long it plays.
    pub duration_us: u64,
    /// With codecs: `video/webm; codecs="vp8"`.
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
            Codec::Opus | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => {
                Muxer::Webm(WebmWriter::new(codec))
            }
        };
        Self {
            codec,
            moments,
            sources: Sources::new(codec),
            epoch: 0,
            order: Order::default(),
            frames: Depacketiser::new(codec),
            muxer,
            zero_us: None,
            last_us: 0,
        }
    }

    /// Takes the next segment's journal and appends to `out` what follows the
    /// header.
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
            self.epoch = place.epoch;
        }
        if place.new_source {
            self.order = Order::default();
            self.frames.handle_new_source();
        }
        let payload = journal.slice_ref(packet.payload);
        let ordered = Ordered { ticks: place.ticks, marker: packet.header.marker, payload };
        self.order.handle_packet(at_us, packet.header.sequence, ordered);
        self.take_ordered(out)
    }

    fn end_epoch(&mut self, out: &mut Vec<u8>) -> Result<(), PlayableError> {
        self.order.flush();
        self.take_ordered(out)?;
        self.frames.finish();
        self.take_frames(out)
    }

    fn take_ordered(&mut self, out: &mut Vec<u8>) -> Result<(), PlayableError> {
        for item in self.order.poll() {
            self.frames.handle(item);
        }
        self.take_frames(out)
    }

    fn take_frames(&mut self, out: &mut Vec<u8>) -> Result<(), PlayableError> {
        for frame in self.frames.poll() {
            self.write(frame, out)?;
        }
        Ok(())
    }

    fn write(&mut self, frame: Frame, out: &mut Vec<u8>) -> Result<(), PlayableError> {
        let captured_us = self.moments.captured_us(self.epoch, frame.ticks);
        let is_first = self.zero_us.is_none();
        let zero_us = *self.zero_us.get_or_insert(captured_us);
        let step_us = match self.codec.kind() {
            MediaKind::Video if !is_first => VIDEO_STEP_US,
            _ => 0,
        };
        // Time never runs back in a file, whatever a sender says.
        let at_us = u64::try_from(captured_us.saturating_sub(zero_us)).unwrap_or(0);
        let at_us = at_us.max(self.last_us + step_us);
        self.last_us = at_us;
        let sample = Sample { at_us, key: frame.key, data: frame.data };
        self.muxer.write(frame.setup, sample, out)
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
