//! Fragmented MP4 (ISO/IEC 14496-12) for H.264, for cameras also H.265, and for the combined file,
//! which also has AAC.
//! Fragments contain their own times and no offset into the file, so they can be written as they
//! come; the header, which contains the index (`sidx`), is written last and comes first in the
//! file.

use mp4_atom::esds::{DecoderConfig, DecoderSpecific, EsDescriptor, SLConfig};
use mp4_atom::{
    Audio, Avc1, Avc3, Avcc, Codec as SampleEntry, Dops, Encode as _, Esds, FourCC, Ftyp, Hdlr,
    Hvc1, HvcCArray, Hvcc, Mdhd, Mdia, Mehd, Mfhd, Minf, Moof, Moov, Mp4a, Mvex, Mvhd, Opus,
    SegmentReference, Sidx, Smhd, Stbl, Stco, Stsc, Stsd, Stsz, Stts, Tfdt, Tfhd, Tkhd, Traf, Trak,
    Trex, Trun, TrunEntry, Visual, Vmhd,
};

use crate::domain::media::MediaKind;
use crate::formats::ContainerError;
use crate::formats::codec::{AacConfig, HevcSequenceSet, Setup};
use crate::formats::reorder::Reorder;
use crate::formats::sample::{Chunk, Finished, KeyPoint, KeyPoints, Sample};

/// Ticks per second in `moov`.
const MOVIE_RATE: u32 = 1_000;
/// Ticks per second of a video track.
pub const VIDEO_RATE: u32 = 90_000;
/// Ticks per second of an audio track.
pub const AUDIO_RATE: u32 = 48_000;
/// Sample flags for a sample that depends on no other, and for one that does (§8.8.3.1).
const KEY_FLAGS: u32 = 0x0200_0000;
const DELTA_FLAGS: u32 = 0x0101_0000;
/// How long the last frame is shown, in ticks of video: 40 ms.
const LAST_TICKS: u32 = VIDEO_RATE / 25;

/// The codec of a track in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carries {
    /// H.264.
    Avc {
        /// Size and parameter sets.
        setup: Setup,
        /// Whether the parameter sets change within the file.
        in_band: bool,
    },
    /// H.265, whose parameter sets are in the header only.
    Hevc(Setup),
    /// AAC.
    Aac(AacConfig),
    /// Opus, 48 kHz, stereo.
    Opus,
}

/// The samples of one track in a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Number of the track, from 1.
    pub track: u32,
    /// When the first sample is decoded, in ticks of the track.
    pub at: u64,
    /// The samples, in the order in which they are decoded.
    pub samples: Vec<RunSample>,
}

/// A sample of a fragment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunSample {
    /// Ticks from its decoding to that of the next one.
    pub ticks: u32,
    /// Ticks from its decoding to when it is shown, which may be earlier: times of decoding only
    /// say in which order and how fast samples are taken.
    pub offset: i64,
    /// Whether it is a key frame.
    pub key: bool,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// The part of a file between two seek points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Bytes from one seek point to the next.
    pub bytes: u64,
    /// Ticks of video from one seek point to the next.
    pub ticks: u64,
}

/// Writes one `moof` box and its `mdat` box.
pub fn fragment(sequence: u32, runs: &[Run], out: &mut Vec<u8>) -> Result<(), ContainerError> {
    let mut moof = Moof { mfhd: Mfhd { sequence_number: sequence }, traf: Vec::new() };
    for run in runs {
        let entries: Vec<TrunEntry> = run.samples.iter().map(entry).collect();
        moof.traf.push(Traf {
            tfhd: Tfhd { track_id: run.track, default_base_is_moof: true, ..Tfhd::default() },
            tfdt: Some(Tfdt { base_media_decode_time: run.at }),
            trun: vec![Trun { data_offset: Some(0), samples: entries.into() }],
            ..Traf::default()
        });
    }
    let mut first_pass = Vec::new();
    moof.encode(&mut first_pass)?;
    let mut offset = first_pass.len() + 8;
    for (traf, run) in moof.traf.iter_mut().zip(runs) {
        if let Some(trun) = traf.trun.first_mut() {
            trun.data_offset = Some(i32::try_from(offset).map_err(|_| ContainerError::TooLarge)?);
        }
        offset += run.samples.iter().map(|sample| sample.data.len()).sum::<usize>();
    }
    let start = out.len();
    moof.encode(out)?;
    let mdat_bytes = offset - (out.len() - start);
    out.extend(u32::try_from(mdat_bytes).map_err(|_| ContainerError::TooLarge)?.to_be_bytes());
    out.extend_from_slice(b"mdat");
    for sample in runs.iter().flat_map(|run| &run.samples) {
        out.extend_from_slice(&sample.data);
    }
    Ok(())
}

fn entry(sample: &RunSample) -> TrunEntry {
    TrunEntry {
        duration: Some(sample.ticks),
        size: u32::try_from(sample.data.len()).ok(),
        flags: Some(if sample.key { KEY_FLAGS } else { DELTA_FLAGS }),
        cts: (sample.offset != 0).then_some(sample.offset),
    }
}

/// Writes the header that precedes the fragments; the first track is video.
pub fn header(
    tracks: &[Carries],
    duration_us: u64,
    references: &[Reference],
) -> Result<Vec<u8>, ContainerError> {
    let fragment_duration = duration_us.div_ceil(1_000_000 / u64::from(MOVIE_RATE));
    let mut sidx = Sidx { reference_id: 1, timescale: VIDEO_RATE, ..Sidx::default() };
    for reference in references {
        sidx.references.push(SegmentReference {
            reference_type: false,
            referenced_size: u32::try_from(reference.bytes)
                .map_err(|_| ContainerError::TooLarge)?,
            subsegment_duration: u32::try_from(reference.ticks)
                .map_err(|_| ContainerError::TooLarge)?,
            starts_with_sap: true,
            sap_type: 1,
            sap_delta_time: 0,
        });
    }
    let mut out = Vec::new();
    begin(tracks, Some(Mehd { fragment_duration }), &mut out)?;
    sidx.encode(&mut out)?;
    Ok(out)
}

/// Writes the header of a stream whose end nobody knows: fragments are sent apart from it.
pub fn live_header(tracks: &[Carries]) -> Result<Vec<u8>, ContainerError> {
    let mut out = Vec::new();
    begin(tracks, None, &mut out)?;
    Ok(out)
}

fn begin(tracks: &[Carries], mehd: Option<Mehd>, out: &mut Vec<u8>) -> Result<(), ContainerError> {
    let mut trak = Vec::new();
    let mut trex = Vec::new();
    for (track_id, carries) in (1..).zip(tracks) {
        trak.push(track(track_id, carries)?);
        trex.push(Trex { track_id, default_sample_description_index: 1, ..Trex::default() });
    }
    let moov = Moov {
        mvhd: Mvhd {
            timescale: MOVIE_RATE,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: u32::try_from(tracks.len()).unwrap_or(u32::MAX - 1) + 1,
            ..Mvhd::default()
        },
        mvex: Some(Mvex { mehd, trex }),
        trak,
        ..Moov::default()
    };
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands: [b"iso6", b"iso5", b"mp41"].into_iter().map(FourCC::new).collect(),
    };
    ftyp.encode(out)?;
    moov.encode(out)?;
    Ok(())
}

fn track(track_id: u32, carries: &Carries) -> Result<Trak, ContainerError> {
    let (entry, timescale, size) = match carries {
        Carries::Avc { setup, in_band } => {
            (avc_entry(setup, *in_band)?, VIDEO_RATE, Some(setup.size))
        }
        Carries::Hevc(setup) => (hevc_entry(setup)?, VIDEO_RATE, Some(setup.size)),
        Carries::Aac(config) => (aac_entry(config), config.rate_hz, None),
        Carries::Opus => (opus_entry(), AUDIO_RATE, None),
    };
    let (width, height) = size.map_or((0, 0), |size| (pixels(size.0), pixels(size.1)));
    let is_video = size.is_some();
    let (handler, name) = if is_video { (b"vide", "pictures") } else { (b"soun", "sound") };
    Ok(Trak {
        tkhd: Tkhd {
            track_id,
            enabled: true,
            in_movie: true,
            volume: u8::from(!is_video).into(),
            width: width.into(),
            height: height.into(),
            ..Tkhd::default()
        },
        mdia: Mdia {
            mdhd: Mdhd { timescale, language: "und".to_owned(), ..Mdhd::default() },
            hdlr: Hdlr { handler: FourCC::new(handler), name: name.to_owned() },
            minf: Minf {
                vmhd: is_video.then(Vmhd::default),
                smhd: (!is_video).then(Smhd::default),
                dinf: mp4_atom::Dinf {
                    dref: mp4_atom::Dref { entries: vec![mp4_atom::Url::default().into()] },
                },
                stbl: Stbl {
                    stsd: Stsd { codecs: vec![entry] },
                    stts: Stts::default(),
                    stsc: Stsc::default(),
                    stsz: Stsz::default(),
                    stco: Some(Stco::default()),
                    ..Stbl::default()
                },
                ..Minf::default()
            },
        },
        ..Trak::default()
    })
}

/// Converts width or height to the type of the box field.
fn pixels(side: u32) -> u16 {
    u16::try_from(side).unwrap_or(u16::MAX)
}

fn avc_entry(setup: &Setup, in_band: bool) -> Result<SampleEntry, ContainerError> {
    let (Some(sps), Some(pps)) = (setup.sps.first(), setup.pps.first()) else {
        return Err(ContainerError::NoParameterSets);
    };
    let mut avcc = Avcc::new(sps, pps)?;
    avcc.sequence_parameter_sets.clone_from(&setup.sps);
    avcc.picture_parameter_sets.clone_from(&setup.pps);
    let visual = Visual {
        data_reference_index: 1,
        width: pixels(setup.size.0),
        height: pixels(setup.size.1),
        ..Visual::default()
    };
    Ok(if in_band {
        Avc3 { visual, avcc, ..Avc3::default() }.into()
    } else {
        Avc1 { visual, avcc, ..Avc1::default() }.into()
    })
}

fn hevc_entry(setup: &Setup) -> Result<SampleEntry, ContainerError> {
    /// Types of parameter sets (H.265 table 7-1).
    const SETS: [u8; 3] = [32, 33, 34];
    let set = setup.sps.first().and_then(|sps| HevcSequenceSet::read(sps));
    let set = set.ok_or(ContainerError::NoParameterSets)?;
    let arrays = SETS.into_iter().zip([&setup.vps, &setup.sps, &setup.pps]);
    let array = |(nal_unit_type, sets): (u8, &Vec<Vec<u8>>)| HvcCArray {
        // All there are: none is in band.
        completeness: true,
        nal_unit_type,
        nalus: sets.clone(),
    };
    let hvcc = Hvcc {
        general_profile_space: set.space,
        general_tier_flag: set.is_high_tier,
        general_profile_idc: set.profile,
        general_profile_compatibility_flags: set.compatibility,
        general_constraint_indicator_flags: set.constraints,
        general_level_idc: set.level,
        chroma_format_idc: set.chroma,
        bit_depth_luma_minus8: set.luma_depth_minus8,
        bit_depth_chroma_minus8: set.chroma_depth_minus8,
        num_temporal_layers: set.layers,
        temporal_id_nested: set.is_nested,
        length_size_minus_one: 3,
        arrays: arrays.map(array).collect(),
        ..Hvcc::new()
    };
    let visual = Visual {
        data_reference_index: 1,
        width: pixels(setup.size.0),
        height: pixels(setup.size.1),
        ..Visual::default()
    };
    Ok(Hvc1 { visual, hvcc, ..Hvc1::default() }.into())
}

/// The codec string of pictures with these parameter sets.
#[must_use]
pub fn video_codecs(setup: &Setup) -> String {
    if setup.vps.is_empty() {
        return avc_codecs(setup, false);
    }
    let set = setup.sps.first().and_then(|sps| HevcSequenceSet::read(sps));
    set.map_or_else(|| "hvc1".to_owned(), |set| set.codecs())
}

fn aac_entry(config: &AacConfig) -> SampleEntry {
    Mp4a {
        audio: Audio {
            data_reference_index: 1,
            channel_count: config.channels.into(),
            sample_size: 16,
            // Rates that the field can't hold are in the configuration only.
            sample_rate: u16::try_from(config.rate_hz).unwrap_or(0).into(),
        },
        esds: Esds {
            es_desc: EsDescriptor {
                es_id: 2,
                dec_config: DecoderConfig {
                    object_type_indication: 0x40,
                    stream_type: 5,
                    dec_specific: Some(DecoderSpecific {
                        profile: config.object_type,
                        freq_index: 0,
                        chan_conf: config.channels,
                        // What is written; the fields above are a reading of it.
                        raw: config.bytes.clone(),
                    }),
                    ..DecoderConfig::default()
                },
                sl_config: SLConfig::default(),
                ..EsDescriptor::default()
            },
        },
        btrt: None,
        taic: None,
    }
    .into()
}

fn opus_entry() -> SampleEntry {
    Opus {
        audio: Audio {
            data_reference_index: 1,
            channel_count: 2,
            sample_size: 16,
            sample_rate: 48_000.into(),
        },
        dops: Dops {
            output_channel_count: 2,
            // A stream that is joined has no samples of its beginning to leave out.
            pre_skip: 0,
            input_sample_rate: AUDIO_RATE,
            output_gain: 0,
            channel_mapping: None,
        },
        btrt: None,
    }
    .into()
}

/// The codec string of this H.264 stream (RFC 6381 §3.3).
#[must_use]
pub fn avc_codecs(setup: &Setup, in_band: bool) -> String {
    let name = if in_band { "avc3" } else { "avc1" };
    match setup.sps.first().map(Vec::as_slice) {
        Some([_, profile, constraints, level, ..]) => {
            format!("{name}.{profile:02x}{constraints:02x}{level:02x}")
        }
        _ => name.to_owned(),
    }
}

/// Writes a file with one track of H.264.
#[derive(Debug, Default)]
pub struct Mp4Writer {
    setup: Option<Setup>,
    in_band: bool,
    reorder: Reorder,
    chunk: Chunk,
    keys: KeyPoints,
    fragments: u32,
    written: u64,
    end_us: u64,
}

impl Mp4Writer {
    /// Stores the parameter sets of a key frame.
    pub fn handle_setup(&mut self, setup: Setup) {
        match &mut self.setup {
            None => self.setup = Some(setup),
            Some(first) if first.sps != setup.sps || first.pps != setup.pps => self.in_band = true,
            Some(_) => {}
        }
    }

    /// Takes the next frame in the order of decoding, with the time at which it is shown; appends the
    /// fragments that are complete to `out`.
    pub fn write(&mut self, sample: Sample, out: &mut Vec<u8>) -> Result<(), ContainerError> {
        self.reorder.handle(sample);
        self.take_ordered(out)
    }

    /// The times of what comes next have nothing to do with those before.
    pub fn handle_break(&mut self, out: &mut Vec<u8>) -> Result<(), ContainerError> {
        self.reorder.flush();
        self.take_ordered(out)
    }

    fn take_ordered(&mut self, out: &mut Vec<u8>) -> Result<(), ContainerError> {
        while let Some(sample) = self.reorder.poll() {
            if self.chunk.is_full_for(&sample, MediaKind::Video) {
                self.end_chunk(Some(sample.at_us), out)?;
            }
            self.chunk.push(sample);
        }
        Ok(())
    }

    /// Ends the file: appends the last fragment to `out` and returns the header.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Finished, ContainerError> {
        self.handle_break(out)?;
        self.end_chunk(None, out)?;
        let setup = self.setup.take().ok_or(ContainerError::Empty)?;
        let media_type = format!("video/mp4; codecs=\"{}\"", avc_codecs(&setup, self.in_band));
        let ends = self.keys.points.iter().skip(1).copied();
        let end = KeyPoint { at_us: self.end_us, offset: self.written };
        let references: Vec<Reference> = self
            .keys
            .points
            .iter()
            .zip(ends.chain([end]))
            .map(|(key, next)| Reference {
                bytes: next.offset - key.offset,
                ticks: ticks(next.at_us) - ticks(key.at_us),
            })
            .collect();
        let carries = [Carries::Avc { setup, in_band: self.in_band }];
        let header = header(&carries, self.end_us, &references)?;
        Ok(Finished { header, duration_us: self.end_us, media_type })
    }

    fn end_chunk(&mut self, next_us: Option<u64>, out: &mut Vec<u8>) -> Result<(), ContainerError> {
        let samples = std::mem::take(&mut self.chunk).samples;
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Ok(()) };
        if first.key {
            self.keys.push(KeyPoint { at_us: first.at_us, offset: self.written });
        }
        let at = ticks(first.at_us);
        let end = next_us.map_or(ticks(last.at_us) + u64::from(LAST_TICKS), ticks);
        self.end_us = next_us.unwrap_or(last.at_us + 1_000_000 / 25);
        let ends: Vec<u64> =
            samples.iter().skip(1).map(|sample| ticks(sample.at_us)).chain([end]).collect();
        let samples = samples
            .into_iter()
            .zip(ends)
            .map(|(sample, end)| {
                let length = end.saturating_sub(ticks(sample.at_us));
                let ticks = u32::try_from(length).unwrap_or(u32::MAX);
                let offset = sample.shown_after_us.saturating_mul(9) / 100;
                RunSample { ticks, offset, key: sample.key, data: sample.data }
            })
            .collect();
        self.fragments += 1;
        let before = out.len();
        fragment(self.fragments, &[Run { track: 1, at, samples }], out)?;
        self.written += (out.len() - before) as u64;
        Ok(())
    }
}

/// Converts a time from ticks of one rate to those of another.
#[must_use]
pub fn rescaled(ticks: i64, from_hz: i64, to_hz: i64) -> i64 {
    let scaled = i128::from(ticks) * i128::from(to_hz) / i128::from(from_hz.max(1));
    i64::try_from(scaled).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
}

/// Converts microseconds to ticks of a video track.
#[must_use]
pub fn ticks(us: u64) -> u64 {
    us.saturating_mul(9) / 100
}
