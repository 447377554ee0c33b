//! The camera: ffmpeg as a child process, which is started again when it ends. What it writes becomes
//! pictures and packets of sound with times of the box's clock.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use crate::backoff::Backoff;
use crate::clock::EdgeClock;
use crate::fragments::{Fragments, Sample, Strange};
use crate::media::Made;

/// Seconds from one key picture to the next: what a group, a file of the buffer and a segment at the
/// server last. Raising it loses more at a cut.
const GROUP_S: u32 = 2;
/// How long there may be no picture, and none at a start. A camera that stands still is started again.
/// Raising them loses more of it.
const SILENT_MAX: Duration = Duration::from_secs(3);
const FIRST_MAX: Duration = Duration::from_secs(20);
/// One that ran so long is started again at once.
const RAN_WELL: Duration = Duration::from_mins(1);
/// Waits before it is started again.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How far ffmpeg's times may be from the box's clock until they are set anew.
const DRIFT_US_MAX: i64 = 1_000_000;
const READ_BYTES: usize = 1 << 16;

/// Where pictures come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Camera {
    /// A device of Video for Linux.
    Device(PathBuf),
    /// Pictures that ffmpeg makes.
    Test,
}

/// What is captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceOptions {
    /// The program.
    pub(crate) ffmpeg: PathBuf,
    /// Where pictures come from.
    pub(crate) camera: Camera,
    /// A device of ALSA; no sound of a camera without one.
    pub(crate) microphone: Option<String>,
    /// Width and height in pixels.
    pub(crate) size: (u32, u32),
    /// Pictures a second.
    pub(crate) rate: u32,
    /// Kilobits a second of the pictures.
    pub(crate) kbps: u32,
}

/// Why there is nothing to capture.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// The program is missing.
    #[error("{0} can't be run: {1}; install ffmpeg, or name it with --ffmpeg")]
    NoProgram(String, io::Error),
    /// It has captured nothing.
    #[error("ffmpeg captures nothing: {0}")]
    Nothing(String),
}

impl SourceOptions {
    /// Whether there is sound.
    #[must_use]
    pub(crate) const fn has_sound(&self) -> bool {
        matches!(self.camera, Camera::Test) || self.microphone.is_some()
    }

    fn arguments(&self) -> Vec<String> {
        let (width, height) = self.size;
        let (size, rate) = (format!("{width}x{height}"), self.rate.to_string());
        let mut arguments: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|it| (*it).to_owned()));
        add(&["-hide_banner", "-nostdin", "-loglevel", "error"]);
        match &self.camera {
            Camera::Device(path) => {
                let path = path.to_string_lossy();
                add(&["-thread_queue_size", "64", "-f", "v4l2", "-framerate", &rate]);
                add(&["-video_size", &size, "-i", &path]);
            }
            Camera::Test => {
                let film = format!("testsrc2=size={size}:rate={rate}");
                add(&["-re", "-f", "lavfi", "-i", &film]);
                let tone = "sine=frequency=440:sample_rate=48000";
                add(&["-re", "-f", "lavfi", "-i", tone, "-map", "0:v", "-map", "1:a"]);
            }
        }
        if let (Camera::Device(_), Some(microphone)) = (&self.camera, &self.microphone) {
            add(&["-thread_queue_size", "64", "-f", "alsa", "-i", microphone]);
            add(&["-map", "0:v", "-map", "1:a"]);
        }
        let group = (self.rate * GROUP_S).to_string();
        let (kbps, double) = (format!("{}k", self.kbps), format!("{}k", self.kbps * 2));
        add(&["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-bf", "0"]);
        add(&["-profile:v", "main", "-pix_fmt", "yuv420p", "-r", &rate, "-g", &group]);
        add(&["-keyint_min", &group, "-sc_threshold", "0", "-b:v", &kbps, "-maxrate", &kbps]);
        add(&["-bufsize", &double, "-threads", "2"]);
        if self.has_sound() {
            add(&["-c:a", "libopus", "-b:a", "48k", "-ar", "48000", "-ac", "2"]);
        }
        add(&["-f", "mp4", "-movflags", "empty_moov+default_base_moof+frag_every_frame"]);
        add(&["-flush_packets", "1", "pipe:1"]);
        arguments
    }
}

/// Captures until nobody takes what comes. ffmpeg that ends is started again, and so is one that is to
/// make another number of `kbps`, where a group ends.
///
/// # Errors
/// When ffmpeg is missing, or captures nothing at its first start.
pub(crate) async fn run(
    mut options: SourceOptions,
    clock: &EdgeClock,
    into: &mpsc::Sender<Option<Made>>,
    mut kbps: watch::Receiver<u32>,
) -> Result<(), SourceError> {
    let mut backoff = Backoff::new(AGAIN.0, AGAIN.1);
    let mut has_captured = false;
    loop {
        let began = Instant::now();
        options.kbps = *kbps.borrow_and_update();
        let mut child = start(&options)?;
        let told = child.stderr.take().map(|stderr| tokio::spawn(last_line(stderr)));
        let captured = capture(&mut child, clock, into, &kbps).await;
        // It has ended, or is not wanted any more.
        drop(child.kill().await);
        let told = match told {
            Some(told) => told.await.unwrap_or_default(),
            None => String::new(),
        };
        has_captured |= captured.any;
        // What comes next does not go on where this ended.
        if captured.is_unwanted || into.send(None).await.is_err() {
            return Ok(());
        }
        if captured.is_other_rate {
            continue;
        }
        let why = captured.problem.map_or_else(String::new, |problem| format!("{problem}. "));
        let told = explained(&told);
        if !has_captured {
            return Err(SourceError::Nothing(format!("{why}{told}")));
        }
        tracing::warn!("ffmpeg has ended and is started again: {why}{told}");
        if began.elapsed() >= RAN_WELL {
            backoff.reset();
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next()) => {}
            () = into.closed() => return Ok(()),
        }
    }
}

/// What ffmpeg told, with what can be done about a device that does not open.
fn explained(told: &str) -> String {
    let advice = [
        ("Permission denied", "this user may not use it: it has to be in its group, such as video"),
        ("Device or resource busy", "another program uses it"),
        ("No such file or directory", "it is not there"),
        ("No such device", "it is not there any more"),
        ("Not a video capture device", "it is no camera; one device often has several names"),
        ("Inappropriate ioctl for device", "it is no camera"),
        ("Invalid argument", "it may not have this size or rate"),
    ];
    let found = advice.iter().find(|(text, _)| told.contains(text));
    found.map_or_else(|| told.to_owned(), |(_, advice)| format!("{told} ({advice})"))
}

fn start(options: &SourceOptions) -> Result<Child, SourceError> {
    Command::new(&options.ffmpeg)
        .args(options.arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| SourceError::NoProgram(options.ffmpeg.display().to_string(), error))
}

/// The last line that says something.
async fn last_line(stderr: ChildStderr) -> String {
    /// Longest line that is looked at, in bytes.
    const LINE_BYTES_MAX: u64 = 1 << 12;
    let mut last = String::new();
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = (&mut reader).take(LINE_BYTES_MAX);
        match bounded.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return last,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            text.trim().clone_into(&mut last);
        }
    }
}

/// What came of one run of ffmpeg.
#[derive(Default)]
struct Captured {
    any: bool,
    is_unwanted: bool,
    /// Pictures of another rate are wanted.
    is_other_rate: bool,
    problem: Option<String>,
}

async fn capture(
    child: &mut Child,
    clock: &EdgeClock,
    into: &mpsc::Sender<Option<Made>>,
    kbps: &watch::Receiver<u32>,
) -> Captured {
    let mut captured = Captured::default();
    let Some(stdout) = child.stdout.take() else { return captured };
    let mut until = Instant::now() + FIRST_MAX;
    let mut reader = Reading { stdout, fragments: Fragments::default(), times: Times::default() };
    loop {
        let read = tokio::select! {
            read = timeout_at(until, reader.next(clock)) => read,
            () = into.closed() => {
                captured.is_unwanted = true;
                return captured;
            }
        };
        match read {
            Ok(Ok(Some(all))) => {
                for made in all {
                    if made.is_key() && kbps.has_changed().unwrap_or(false) {
                        captured.is_other_rate = true;
                        return captured;
                    }
                    if matches!(made, Made::Picture { .. }) {
                        captured.any = true;
                        until = Instant::now() + SILENT_MAX;
                    }
                    if into.send(Some(made)).await.is_err() {
                        captured.is_unwanted = true;
                        return captured;
                    }
                }
            }
            Ok(Ok(None)) => return captured,
            Ok(Err(problem)) => {
                captured.problem = Some(problem.to_string());
                return captured;
            }
            Err(_) => {
                captured.problem = Some("there are no pictures any more".to_owned());
                return captured;
            }
        }
    }
}

struct Reading<R> {
    stdout: R,
    fragments: Fragments,
    times: Times,
}

impl<R: AsyncRead + Unpin> Reading<R> {
    /// What ffmpeg made next; nothing when it has ended.
    async fn next(&mut self, clock: &EdgeClock) -> Result<Option<Vec<Made>>, Strange> {
        let mut buffer = vec![0; READ_BYTES];
        // What can't be read is as if it had ended.
        let length = self.stdout.read(&mut buffer).await.unwrap_or(0);
        if length == 0 {
            return Ok(None);
        }
        self.fragments.push(buffer.get(..length).unwrap_or_default());
        let samples = self.fragments.poll()?;
        let now_us = clock.now_us();
        Ok(Some(samples.into_iter().map(|sample| self.times.handle(sample, now_us)).collect()))
    }
}

/// Places ffmpeg's times on the box's clock.
#[derive(Debug, Default)]
struct Times {
    /// What is added to them.
    offset_us: Option<i64>,
}

impl Times {
    fn handle(&mut self, sample: Sample, now_us: i64) -> Made {
        let (at_us, key) = match &sample {
            Sample::Picture { at_us, key, .. } => (*at_us, *key),
            Sample::Sound { at_us, .. } => (*at_us, false),
        };
        let offset = *self.offset_us.get_or_insert(now_us - at_us);
        let apart = now_us - (at_us + offset);
        // A group keeps its times.
        let offset = if key && apart.abs() > DRIFT_US_MAX { now_us - at_us } else { offset };
        self.offset_us = Some(offset);
        match sample {
            Sample::Picture { at_us, key, units } => {
                Made::Picture { at_us: at_us + offset, key, units }
            }
            Sample::Sound { at_us, data } => Made::Sound { at_us: at_us + offset, data },
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn times(all: &mut Times, at_us: i64, key: bool, now_us: i64) -> i64 {
        let sample = Sample::Picture { at_us, key, units: vec![Bytes::from_static(&[0x65])] };
        all.handle(sample, now_us).at_us()
    }

    #[test]
    fn times_follow_ffmpeg_until_they_are_far_from_the_clock() {
        let mut all = Times::default();
        assert_eq!(times(&mut all, 500, true, 1_000_000), 1_000_000);
        assert_eq!(
            times(&mut all, 40_500, false, 1_090_000),
            1_040_000,
            "how late it came is not seen"
        );
        assert_eq!(
            times(&mut all, 80_500, false, 9_000_000),
            1_080_000,
            "within a group nothing jumps"
        );
        assert_eq!(times(&mut all, 120_500, true, 9_040_000), 9_040_000);
        assert_eq!(times(&mut all, 160_500, false, 9_080_000), 9_080_000);
    }

    #[test]
    fn a_microphone_is_captured_when_it_is_named() {
        let mut options = SourceOptions {
            ffmpeg: "ffmpeg".into(),
            camera: Camera::Device("/dev/video0".into()),
            microphone: None,
            size: (640, 360),
            rate: 25,
            kbps: 1_000,
        };
        let text = |options: &SourceOptions| options.arguments().join(" ");
        assert!(!text(&options).contains("alsa") && !text(&options).contains("libopus"));
        options.microphone = Some("hw:1".to_owned());
        assert!(text(&options).contains("-f alsa -i hw:1 -map 0:v -map 1:a"), "{options:?}");
        assert!(text(&options).contains("-c:a libopus") && text(&options).contains("-g 50 "));
        let device = "-f v4l2 -framerate 25 -video_size 640x360 -i /dev/video0";
        assert!(text(&options).contains(device), "{options:?}");
        assert!(text(&options).contains("-b:v 1000k -maxrate 1000k"), "{options:?}");
    }

    /// A camera whose ffmpeg says this and ends.
    async fn refused(says: &str) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().expect("a directory");
        let ffmpeg = place.path().join("ffmpeg");
        std::fs::write(&ffmpeg, format!("#!/bin/sh\necho '{says}' >&2\nexit 1\n"))
            .expect("written");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&ffmpeg, mode).expect("it can be run");
        let options = SourceOptions {
            ffmpeg,
            camera: Camera::Device("/dev/video0".into()),
            microphone: None,
            size: (640, 360),
            rate: 25,
            kbps: 1_000,
        };
        let (into, _made) = mpsc::channel(4);
        let (_kbps, kbps) = watch::channel(1_000);
        let clock = EdgeClock::begin(crate::clock::Reading::now());
        let ended = run(options, &clock, &into, kbps).await;
        ended.expect_err("there is no camera").to_string()
    }

    #[tokio::test]
    async fn a_device_that_does_not_open_says_why() {
        for (says, advice) in [
            ("Error opening input file /dev/video0: Permission denied", "this user may not use it"),
            ("Error opening input files: Device or resource busy", "another program uses it"),
            ("Error opening input files: No such file or directory", "it is not there"),
            ("[v4l2] Not a video capture device.", "it is no camera"),
            ("ioctl(VIDIOC_G_INPUT): Inappropriate ioctl for device", "it is no camera"),
        ] {
            let told = refused(says).await;
            assert!(told.contains(says) && told.contains(advice), "{told}");
        }
        assert_eq!(refused("something else").await, "ffmpeg captures nothing: something else");
    }
}
