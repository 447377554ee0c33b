//! The combined file of the whole meeting: the picture of the person who has the floor, and all
//! audio that was heard. H.264 and AAC in fragmented MP4, which all common players support.
//!
//! The meeting is cut into [`scenes`](super::scenes). Each scene is drawn and encoded separately
//! from the files of single tracks, so that a run of ffmpeg has few inputs however long the meeting
//! is, and a restart continues with the scene that was not finished. ffmpeg writes elementary
//! streams, and this server's own MP4 writer puts them together. Scenes join without a gap: a scene
//! is a whole number of pictures and of AAC frames, and the audio encoder is first given the audio
//! just before the scene.
//!
//! A participant decides what a track contains. A scene that can't be made is made again without
//! the tracks that can't be decoded, so that nobody can prevent the file of the whole meeting; the
//! file says which tracks it lacks, and when.

mod left_out;

use std::ops::Range;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::domain::recording::PlayableState;
use crate::formats::codec::{AacConfig, Setup};
use crate::formats::index::Index;
use crate::formats::mp4::{
    Carries, Reference, Run as Samples, RunSample, avc_codecs, fragment, header,
};
use crate::playable::PlayableError;
use crate::playable::build::{Maker, Making};
use crate::playable::driver::{PlayablesOptions, TimelineSource};
use crate::playable::ffmpeg::{Feed, Run, Said};
use crate::playable::reader::PlayableReader;
use crate::playable::scenes::{GRID_MS, Scene, SceneTrack, View, scenes};
use crate::playable::track::TrackFile;
use crate::playable::view::{FRAME_RATE, HEIGHT, WIDTH, script, shown};
use crate::recorder::repository::{Playable, PlayableOf, RecordedTrack};
use left_out::{KeptLack, LeftOut};

/// Pictures in a group that begins with a key frame: 5.12 s, one fragment.
const GROUP_FRAMES: usize = 128;
/// Pictures per step of the grid.
const STEP_FRAMES: u64 = GRID_MS * FRAME_RATE / 1_000;
/// AAC frames per step of the grid.
const STEP_SOUNDS: u64 = GRID_MS * 48 / SOUND_SAMPLES;
/// Samples per AAC frame.
const SOUND_SAMPLES: u64 = 1_024;
/// AAC frames of audio before the scene that are encoded first and then dropped, as is one more that
/// the encoder adds.
const LEAD_IN: u64 = 8;
/// Bytes per sample of mixed audio: two channels of 16 bits.
const SAMPLE_BYTES: usize = 4;
/// Most audio tracks that are decoded in one run; more need more runs.
const SOUNDS_MAX: usize = 16;
/// An interruption of a track shorter than this, in milliseconds, is ignored.
const PRESENCE_GAP_MS: u64 = 2_000;
/// Ticks of video per picture.
const FRAME_TICKS: u32 = 3_600;

/// Largest picture that is decoded: 7680 × 4320.
const PIXELS_MAX: &str = "33177600";

/// Paths of fonts on Debian, Fedora, Alpine and Arch.
const FONTS: &[&str] = &[
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/TTF/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
];

/// The state from which a restart continues.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// Where the next scene begins, in steps of the grid.
    next: u64,
    /// The beginning of the meeting, in milliseconds since 1970.
    zero_ms: u64,
    /// Parameter sets of the video, in base64.
    sps: String,
    pps: String,
    /// Number of pictures and bytes of each fragment.
    fragments: Vec<(u32, u32)>,
    /// What the scenes so far do without.
    #[serde(default)]
    lacks: Vec<KeptLack>,
}

/// The file of a track, from which pieces are cut.
struct Source {
    reader: PlayableReader,
    index: Index,
    playable: Playable,
    scene: SceneTrack,
}

/// What is needed for all scenes.
struct Mixer<'mixer> {
    program: &'mixer Path,
    scratch: &'mixer Path,
    font: Option<PathBuf>,
    script_option: &'static str,
    zero_ms: u64,
    sources: &'mixer [Source],
    /// Whether what fails now is not tried again.
    is_last: bool,
}

impl Maker {
    /// Makes the combined file from the track files that are ready.
    pub(super) async fn make_combined(
        &self,
        timeline: &dyn TimelineSource,
        options: &PlayablesOptions,
        tracks: &[RecordedTrack],
        playable: Playable,
        is_last: bool,
    ) -> Result<(), PlayableError> {
        let reason = "ffmpeg is not available, so no combined file is made; the files of single \
                          tracks are complete";
        let program =
            options.ffmpeg.as_deref().ok_or_else(|| PlayableError::Mixing(reason.to_owned()))?;
        let sources = self.sources(tracks).await?;
        let zero_ms = sources.iter().map(|source| source.playable.from_ms).min();
        let zero_ms = zero_ms.ok_or(PlayableError::Nothing)?;
        let end = |source: &Source| source.playable.from_ms + source.playable.duration_ms;
        let end_ms = sources.iter().map(end).max().unwrap_or(zero_ms);
        let timeline = timeline.timeline(self.key).await.map_err(|error| {
            PlayableError::Mixing(format!("the time line can't be read: {error}"))
        })?;
        let scene_tracks: Vec<SceneTrack> =
            sources.iter().map(|source| source.scene.clone()).collect();
        let scenes = scenes(&scene_tracks, &timeline, zero_ms, end_ms);
        let mut making = self.begin(playable).await?;
        let mut progress = match &making.playable.resume_at {
            Some(kept) => serde_json::from_str(kept).map_err(|_| PlayableError::Moved)?,
            None => Progress { zero_ms, ..Progress::default() },
        };
        let is_boundary = scenes.iter().any(|scene| scene.from == progress.next)
            || scenes.last().is_some_and(|scene| scene.to == progress.next);
        if progress.zero_ms != zero_ms || !is_boundary {
            return Err(PlayableError::Moved);
        }
        let mixer = Mixer {
            program,
            scratch: &options.scratch,
            font: FONTS.iter().map(PathBuf::from).find(|font| font.is_file()),
            script_option: script_option(program, &options.scratch).await?,
            zero_ms,
            sources: &sources,
            is_last,
        };
        let steps = scenes.last().map_or(0, |scene| scene.to);
        let next = progress.next;
        for scene in scenes.iter().filter(|scene| scene.from >= next) {
            making.add_scene(&mixer, scene, &mut progress).await?;
            let permille = u32::try_from(scene.to * 999 / steps.max(1)).unwrap_or(999);
            making.playable.progress_permille = permille;
            let kept = serde_json::to_string(&progress);
            making.playable.resume_at =
                Some(kept.map_err(|error| PlayableError::Mixing(error.to_string()))?);
            self.keep(&mut making.playable).await?;
        }
        let wants_names = scenes.iter().any(|scene| scene.name.is_some());
        making.playable.failure = (wants_names && mixer.font.is_none())
            .then(|| "no font was found, so no names are drawn (fonts-dejavu-core)".to_owned());
        making.playable.lacks =
            progress.lacks.iter().map(KeptLack::lack).collect::<Result<_, _>>()?;
        let file = progress.file(steps)?;
        making.finish(file).await
    }

    async fn sources(&self, tracks: &[RecordedTrack]) -> Result<Vec<Source>, PlayableError> {
        let playables = self.repository.playables(self.key).await?;
        let mut sources = Vec::new();
        for track in tracks {
            let is_its = |playable: &&Playable| {
                playable.of == PlayableOf::Track(track.id) && playable.state == PlayableState::Ready
            };
            let Some(playable) = playables.iter().find(is_its) else { continue };
            let vault = std::sync::Arc::clone(&self.vault);
            let reader = PlayableReader::open(vault, &*self.keys, self.key, playable).await?;
            let header_bytes = playable.parts.first().copied().unwrap_or(0);
            let header = reader.read_all(0..header_bytes).await?;
            let index = Index::of(playable.container, &header, reader.size())?;
            let present = self.presence(track).await?;
            let mut scene = SceneTrack { user: track.user.clone(), source: track.source, present };
            scene.keep_within(playable.from_ms, playable.from_ms + playable.duration_ms);
            sources.push(Source { reader, index, playable: playable.clone(), scene });
        }
        Ok(sources)
    }

    /// The intervals in which a track was present, in milliseconds since 1970.
    async fn presence(&self, track: &RecordedTrack) -> Result<Vec<(u64, u64)>, PlayableError> {
        let mut present: Vec<(u64, u64)> = Vec::new();
        let mut next = 0;
        loop {
            let page = self.repository.segments(self.key, track.id, next, 1_024).await?;
            let Some(last) = page.last() else { return Ok(present) };
            next = last.index + 1;
            for segment in &page {
                match present.last_mut() {
                    Some(last) if segment.from_ms <= last.1.saturating_add(PRESENCE_GAP_MS) => {
                        last.1 = last.1.max(segment.to_ms);
                    }
                    _ => present.push((segment.from_ms, segment.to_ms)),
                }
            }
        }
    }
}

impl Making {
    /// Draws, encodes and stores a scene, in parts of its own.
    async fn add_scene(
        &mut self,
        mixer: &Mixer<'_>,
        scene: &Scene,
        progress: &mut Progress,
    ) -> Result<(), PlayableError> {
        let (pictures, unseen) = mixer.pictures(scene).await?;
        let (sounds, unheard) = mixer.sounds(scene).await?;
        mixer.note(scene, &[unseen, unheard].concat(), progress);
        let setup = Setup { size: (WIDTH, HEIGHT), sps: vec![pictures.sps], ..Setup::default() };
        let (sps, pps) =
            (STANDARD_NO_PAD.encode(&setup.sps[0]), STANDARD_NO_PAD.encode(&pictures.pps));
        if progress.fragments.is_empty() {
            (progress.sps, progress.pps) = (sps, pps);
        } else if (&progress.sps, &progress.pps) != (&sps, &pps) {
            // Another version of ffmpeg is used than before the restart.
            return Err(PlayableError::Moved);
        }
        let mut part = Vec::new();
        let mut sounds = sounds.into_iter();
        for (n, group) in (0_u64..).zip(pictures.frames.chunks(GROUP_FRAMES)) {
            let first = scene.from * STEP_FRAMES + n * GROUP_FRAMES as u64;
            let steps = group.len() as u64 / STEP_FRAMES;
            let count = usize::try_from(steps * STEP_SOUNDS).unwrap_or(0);
            let runs = [
                Samples {
                    track: 1,
                    at: first * u64::from(FRAME_TICKS),
                    samples: group
                        .iter()
                        .enumerate()
                        .map(|(n, data)| RunSample {
                            ticks: FRAME_TICKS,
                            key: n == 0,
                            data: data.clone(),
                            ..RunSample::default()
                        })
                        .collect(),
                },
                Samples {
                    track: 2,
                    at: first / STEP_FRAMES * STEP_SOUNDS * SOUND_SAMPLES,
                    samples: sounds
                        .by_ref()
                        .take(count)
                        .map(|data| RunSample {
                            ticks: 1_024,
                            key: true,
                            data,
                            ..RunSample::default()
                        })
                        .collect(),
                },
            ];
            let before = part.len();
            let sequence = u32::try_from(progress.fragments.len() + 1).unwrap_or(u32::MAX);
            fragment(sequence, &runs, &mut part)?;
            let bytes = u32::try_from(part.len() - before).unwrap_or(u32::MAX);
            let frames = u32::try_from(group.len()).unwrap_or(u32::MAX);
            progress.fragments.push((frames, bytes));
        }
        for piece in part.chunks(self.maker.part_bytes) {
            self.add_part(piece).await?;
        }
        progress.next = scene.to;
        Ok(())
    }
}

impl Progress {
    fn file(&self, steps: u64) -> Result<TrackFile, PlayableError> {
        let decode = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| PlayableError::Moved);
        let setup = Setup {
            size: (WIDTH, HEIGHT),
            sps: vec![decode(&self.sps)?],
            pps: vec![decode(&self.pps)?],
            ..Setup::default()
        };
        // There are more fragments than one index can list: neighbours are joined.
        let together = self.fragments.len().div_ceil(65_000).max(1);
        let references: Vec<Reference> = self
            .fragments
            .chunks(together)
            .map(|chunk| Reference {
                bytes: chunk.iter().map(|fragment| u64::from(fragment.1)).sum(),
                ticks: chunk.iter().map(|f| u64::from(f.0) * u64::from(FRAME_TICKS)).sum(),
            })
            .collect();
        let duration_us = steps * GRID_MS * 1_000;
        let codecs = avc_codecs(&setup, false);
        let carries =
            [Carries::Avc { setup, in_band: false }, Carries::Aac(AacConfig::stereo_48_khz())];
        Ok(TrackFile {
            header: header(&carries, duration_us, &references)?,
            from_us: i64::try_from(self.zero_ms * 1_000).unwrap_or(i64::MAX),
            duration_us,
            media_type: format!("video/mp4; codecs=\"{codecs},mp4a.40.2\""),
        })
    }
}

/// The encoded video of a scene.
struct Pictures {
    sps: Vec<u8>,
    pps: Vec<u8>,
    /// Frames in the form that the container holds, without parameter sets.
    frames: Vec<Vec<u8>>,
}

impl Mixer<'_> {
    /// The ffmpeg input for a track over a range of milliseconds after the beginning of the
    /// meeting, and how many milliseconds later than that beginning the track's own time starts.
    fn feed(&self, place: usize, ms: &Range<u64>) -> Option<(Feed, &'static str, u64)> {
        let source = self.sources.get(place)?;
        let offset_ms = source.playable.from_ms - self.zero_ms;
        let own = ms.start.saturating_sub(offset_ms)..ms.end.saturating_sub(offset_ms);
        let range = source.index.piece(own);
        let head = source.index.head.clone();
        let format = match source.playable.container {
            crate::domain::recording::Container::Webm => "matroska",
            crate::domain::recording::Container::Mp4 => "mp4",
        };
        Some((Feed::Piece { head, reader: source.reader.clone(), range }, format, offset_ms))
    }

    fn run(&self, arguments: Vec<String>, feeds: Vec<Feed>, script: String) -> Run<'_> {
        Run { program: self.program, scratch: self.scratch, arguments, feeds, script }
    }

    /// Draws and encodes a scene, without the tracks that can't be decoded.
    async fn pictures(&self, scene: &Scene) -> Result<(Pictures, Vec<LeftOut>), PlayableError> {
        let made = match self.drawn(scene, &scene.view).await {
            Ok((pictures, false)) => return Ok((pictures, Vec::new())),
            Err(failed) if !self.leaves_out_after(&failed) => return Err(failed),
            made => made,
        };
        let ms = scene.from * GRID_MS..scene.to * GRID_MS;
        let left_out = self.undecodable(&shown(&scene.view), &ms).await?;
        if left_out.is_empty() {
            return Ok((made?.0, left_out));
        }
        let hidden: Vec<usize> = left_out.iter().map(|it| it.place).collect();
        Ok((self.drawn(scene, &scene.view.without(&hidden)).await?.0, left_out))
    }

    /// The pictures, and whether ffmpeg complained while it made them.
    async fn drawn(&self, scene: &Scene, view: &View) -> Result<(Pictures, bool), PlayableError> {
        let ms = scene.from * GRID_MS..scene.to * GRID_MS;
        let mut arguments = vec!["-copyts".to_owned()];
        let mut feeds = Vec::new();
        for place in shown(view) {
            let (feed, format, offset_ms) = self.feed(place, &ms).ok_or(PlayableError::Nothing)?;
            push_input(&mut arguments, format, offset_ms, feeds.len());
            feeds.push(feed);
        }
        let name = scene.name.as_deref();
        let script = script(view, name, self.font.as_deref(), ms.start, ms.end);
        let count = (scene.to - scene.from) * STEP_FRAMES;
        arguments.extend([self.script_option, "pipe:0", "-map", "[out]"].map(str::to_owned));
        arguments.extend(["-fps_mode", "passthrough", "-frames:v"].map(str::to_owned));
        arguments.push(count.to_string());
        let encoder = format!(
            "-c:v libx264 -preset veryfast -profile:v main -crf 25 -maxrate 3M -bufsize 6M \
             -pix_fmt yuv420p -g {GROUP_FRAMES} -keyint_min {GROUP_FRAMES} -sc_threshold 0 -bf 0 \
             -threads 1 -x264-params aud=1:repeat-headers=1 -f h264 pipe:1"
        );
        arguments.extend(encoder.split_whitespace().map(str::to_owned));
        let said = self.run(arguments, feeds, script).said().await?;
        let pictures = Pictures::of(&said.output);
        if pictures.frames.len() as u64 == count && !pictures.pps.is_empty() {
            return Ok((pictures, said.complained));
        }
        let frames = pictures.frames.len();
        Err(PlayableError::Mixing(format!("ffmpeg made {frames} pictures instead of {count}")))
    }

    async fn sounds(&self, scene: &Scene) -> Result<(Vec<Vec<u8>>, Vec<LeftOut>), PlayableError> {
        // Before the first scene there is only silence.
        let lead_ms = LEAD_IN * SOUND_SAMPLES / 48;
        let start_ms = scene.from * GRID_MS;
        let lead_samples = LEAD_IN * SOUND_SAMPLES;
        let count = (scene.to - scene.from) * STEP_SOUNDS;
        let samples = usize::try_from(lead_samples + count * SOUND_SAMPLES).unwrap_or(0);
        let mut mix = vec![0_i32; samples * 2];
        let first =
            i64::try_from(start_ms * 48).unwrap_or(0) - i64::try_from(lead_samples).unwrap_or(0);
        let mut left_out = Vec::new();
        for batch in scene.sound.chunks(SOUNDS_MAX) {
            let ms = start_ms.saturating_sub(lead_ms + 100)..scene.to * GRID_MS;
            let (pcm, hidden) = self.heard(batch, &ms, first, samples).await?;
            left_out.extend(hidden);
            for (mixed, pair) in mix.iter_mut().zip(pcm.as_chunks::<2>().0) {
                *mixed = mixed.saturating_add(i32::from(i16::from_le_bytes(*pair)));
            }
        }
        let clipped = |sample: &i32| {
            let limits = (i32::from(i16::MIN), i32::from(i16::MAX));
            i16::try_from((*sample).clamp(limits.0, limits.1)).unwrap_or(0)
        };
        let pcm: Vec<u8> = mix.iter().flat_map(|sample| clipped(sample).to_le_bytes()).collect();
        let encoder = "-f s16le -ar 48000 -ac 2 -i {0} -c:a aac -b:a 96k -f adts pipe:1";
        let arguments = encoder.split(' ').map(str::to_owned).collect();
        let stream = self.run(arguments, vec![Feed::Bytes(pcm)], String::new()).output().await?;
        let skipped = usize::try_from(LEAD_IN + 1).unwrap_or(0);
        let count = usize::try_from(count).unwrap_or(0);
        let sounds: Vec<Vec<u8>> = adts(&stream).skip(skipped).take(count).collect();
        if sounds.len() == count {
            return Ok((sounds, left_out));
        }
        let made = sounds.len();
        Err(PlayableError::Mixing(format!("ffmpeg made {made} frames of sound instead of {count}")))
    }

    /// As `decoded`, without the tracks that can't be decoded.
    async fn heard(
        &self,
        batch: &[usize],
        ms: &Range<u64>,
        first: i64,
        samples: usize,
    ) -> Result<(Vec<u8>, Vec<LeftOut>), PlayableError> {
        let made = match self.decoded(batch, ms, first, samples).await {
            Ok(said) if !said.complained => return Ok((said.output, Vec::new())),
            Err(failed) if !self.leaves_out_after(&failed) => return Err(failed),
            made => made,
        };
        let left_out = self.undecodable(batch, ms).await?;
        if left_out.is_empty() {
            return Ok((made?.output, left_out));
        }
        let is_heard = |place: &usize| left_out.iter().all(|it| it.place != *place);
        let left: Vec<usize> = batch.iter().copied().filter(is_heard).collect();
        if left.is_empty() {
            return Ok((Vec::new(), left_out));
        }
        Ok((self.decoded(&left, ms, first, samples).await?.output, left_out))
    }

    /// Decodes and mixes audio tracks: two channels of 16 bits, from sample `first` of the meeting
    /// on.
    async fn decoded(
        &self,
        places: &[usize],
        ms: &Range<u64>,
        first: i64,
        samples: usize,
    ) -> Result<Said, PlayableError> {
        let mut arguments = vec!["-copyts".to_owned()];
        let mut feeds = Vec::new();
        let mut script = String::new();
        let mut mixed = String::new();
        for place in places {
            let Some((feed, format, offset_ms)) = self.feed(*place, ms) else { continue };
            let n = feeds.len();
            push_input(&mut arguments, format, offset_ms, n);
            let line = format!(
                "[{n}:a]aresample=48000:async=1:first_pts={first},aformat=sample_fmts=fltp:\
                 channel_layouts=stereo,apad=whole_len={samples},atrim=end_sample={samples},\
                 asetpts=N/SR/TB[a{n}];\n"
            );
            script.push_str(&line);
            mixed.extend(["[a", &n.to_string(), "]"]);
            feeds.push(feed);
        }
        let count = feeds.len().to_string();
        script.extend([&mixed, "amix=inputs=", &count, ":normalize=0[out]"]);
        let output = [self.script_option, "pipe:0", "-map", "[out]", "-f", "s16le", "pipe:1"];
        arguments.extend(output.map(str::to_owned));
        let mut said = self.run(arguments, feeds, script).said().await?;
        said.output.truncate(samples * SAMPLE_BYTES);
        Ok(said)
    }
}

/// Whether a line of ffmpeg's `framecrc` output describes a frame.
fn is_frame(line: &[u8]) -> bool {
    line.first().is_some_and(u8::is_ascii_digit)
}

fn push_input(arguments: &mut Vec<String>, format: &str, offset_ms: u64, place: usize) {
    let offset = format!("{}.{:03}", offset_ms / 1_000, offset_ms % 1_000);
    // ffmpeg treats a socket as seekable, and would look for an index at the end of the piece
    // without being able to return.
    let before = ["-threads", "1", "-reinit_filter", "0", "-fflags", "+ignidx"];
    let limit = ["-max_pixels", PIXELS_MAX];
    arguments.extend(before.into_iter().chain(limit).map(str::to_owned));
    arguments.extend(["-itsoffset", &offset, "-f", format].map(str::to_owned));
    arguments.extend(["-i".to_owned(), format!("{{{place}}}")]);
}

/// The option with which ffmpeg reads filters from a file; its name changed in version 7.
async fn script_option(program: &Path, scratch: &Path) -> Result<&'static str, PlayableError> {
    let arguments = vec!["-version".to_owned()];
    let run = Run { program, scratch, arguments, feeds: Vec::new(), script: String::new() };
    let said = run.output().await?;
    let said = String::from_utf8_lossy(&said);
    let version = said.strip_prefix("ffmpeg version ").unwrap_or_default();
    let major: String =
        version.trim_start_matches('n').chars().take_while(char::is_ascii_digit).collect();
    // A version without a number was built from the source repository and is recent.
    let is_old = major.parse::<u32>().is_ok_and(|major| major < 7);
    Ok(if is_old { "-filter_complex_script" } else { "-/filter_complex" })
}

impl Pictures {
    /// Splits a byte stream (H.264 annex B), which has an access unit delimiter before each
    /// picture.
    fn of(stream: &[u8]) -> Self {
        let mut pictures = Self { sps: Vec::new(), pps: Vec::new(), frames: Vec::new() };
        for unit in nal_units(stream) {
            match unit.first().map_or(0, |first| first & 0x1F) {
                9 => pictures.frames.push(Vec::new()),
                7 => pictures.sps = unit.to_vec(),
                8 => pictures.pps = unit.to_vec(),
                1..=5 => {
                    if let Some(frame) = pictures.frames.last_mut() {
                        let length = u32::try_from(unit.len()).unwrap_or(u32::MAX);
                        frame.extend(length.to_be_bytes());
                        frame.extend_from_slice(unit);
                    }
                }
                _ => {}
            }
        }
        pictures
    }
}

/// The NAL units between start codes.
fn nal_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = stream;
    std::iter::from_fn(move || {
        let start = find_start(rest)? + 3;
        let body = rest.get(start..)?;
        let end = find_start(body).unwrap_or(body.len());
        let unit = body.get(..end)?;
        rest = body.get(end..)?;
        // Zero bytes before a start code belong to the start code.
        let last = unit.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        unit.get(..last)
    })
}

fn find_start(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|window| window == [0, 0, 1])
}

/// AAC frames without their ADTS headers (ISO/IEC 14496-3 §1.A.2).
fn adts(stream: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut rest = stream;
    std::iter::from_fn(move || {
        let head: &[u8; 7] = rest.first_chunk()?;
        let length =
            usize::from(head[3] & 3) << 11 | usize::from(head[4]) << 3 | usize::from(head[5] >> 5);
        let header_bytes = if head[1] & 1 == 1 { 7 } else { 9 };
        let frame = rest.get(header_bytes..length)?.to_vec();
        rest = rest.get(length..)?;
        Some(frame)
    })
}
