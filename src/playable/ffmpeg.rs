//! Runs the external program `ffmpeg`, which decodes, lays out, mixes and encodes; one process at a
//! time. Media is sent to it through sockets in a directory of its own and returned through a pipe,
//! so that no media is ever stored in a file. What to draw is sent through its standard input, so
//! that its arguments contain no names. Its error output is never logged, since it may contain
//! names.

use std::fs::{DirBuilder, File, remove_dir_all};
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::try_join_all;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::net::unix::pipe;
use uuid::Uuid;

use crate::playable::PlayableError;
use crate::playable::reader::PlayableReader;

/// Longest duration of one run.
const RUN_TIME_MAX: Duration = Duration::from_mins(20);
/// Largest output of one run, in bytes: far more than half a minute of media.
const OUTPUT_BYTES_MAX: usize = 128 << 20;
/// Bytes of its error output that are kept to determine why it failed.
const COMPLAINT_BYTES_MAX: usize = 8 << 10;
/// How long it may take to exit after its output has ended.
const EXIT_TIME_MAX: Duration = Duration::from_secs(10);
/// Exit code of an ffmpeg that was asked to end by a signal.
const ENDED_BY_SIGNAL: i32 = 255;
/// The nice value of the process: lowest priority.
const NICE: i32 = 19;

/// An input of a run.
pub(super) enum Feed {
    /// Bytes in memory.
    Bytes(Vec<u8>),
    /// A piece of a file: the header that every piece begins with, then these bytes.
    Piece { head: Vec<u8>, reader: PlayableReader, range: Range<u64> },
}

/// One run. `{n}` in an argument stands for the address of the n-th input.
pub(super) struct Run<'run> {
    pub program: &'run Path,
    pub scratch: &'run Path,
    pub arguments: Vec<String>,
    pub feeds: Vec<Feed>,
    /// What it reads from its standard input.
    pub script: String,
}

/// What a run that succeeded gave.
pub(super) struct Said {
    pub output: Vec<u8>,
    /// Whether it complained: it goes on after data that it can't decode.
    pub complained: bool,
}

/// A directory of sockets, removed when dropped.
struct Sockets(PathBuf);

impl Sockets {
    /// Makes this many sockets, which are named by their numbers. They are reached through the
    /// opened directory, since the path of a socket has at most 107 bytes (`unix(7)`).
    fn bind(&self, count: usize) -> io::Result<Vec<UnixListener>> {
        let directory = File::open(&self.0)?;
        let opened = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string());
        (0..count).map(|place| UnixListener::bind(opened.join(place.to_string()))).collect()
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        if let Err(error) = remove_dir_all(&self.0) {
            tracing::debug!(%error, "a directory of sockets could not be removed");
        }
    }
}

/// The process, killed and waited for when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Errors do not matter here: the process may have ended already.
        if self.0.kill().is_ok() && self.0.wait().is_err() {
            tracing::debug!("an ended process could not be waited for");
        }
    }
}

/// Makes an error of a failed step; `what` describes the step.
fn cannot(what: &str) -> impl Fn(io::Error) -> PlayableError {
    let what = what.to_owned();
    move |error| {
        let text = format!("{what}: {}", error.kind());
        if may_pass(&error) {
            PlayableError::Interrupted(text)
        } else {
            PlayableError::Mixing(text)
        }
    }
}

/// Whether this machine lacks something that it may have again: memory, disk, descriptors.
fn may_pass(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    errno.is_some_and(|errno| {
        use rustix::io::Errno;
        [
            Errno::NOMEM,
            Errno::AGAIN,
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::TXTBSY,
        ]
        .contains(&errno)
    })
}

impl Run<'_> {
    /// Runs the program to its end and returns its output. When the future is dropped, the process
    /// is killed.
    pub(super) async fn output(self) -> Result<Vec<u8>, PlayableError> {
        Ok(self.said().await?.output)
    }

    /// As `output`, with whether it complained.
    pub(super) async fn said(self) -> Result<Said, PlayableError> {
        match tokio::time::timeout(RUN_TIME_MAX, self.output_in_any_time()).await {
            Ok(output) => output,
            Err(_) => Err(PlayableError::Mixing("ffmpeg took too long".to_owned())),
        }
    }

    async fn output_in_any_time(self) -> Result<Said, PlayableError> {
        let directory = self.scratch.join(format!("mix-{}", Uuid::new_v4().simple()));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(cannot("the scratch directory can't be used"))?;
        let sockets = Sockets(directory);
        let listeners = sockets.bind(self.feeds.len()).map_err(cannot("a socket can't be made"))?;
        // The process is started in their directory.
        let addresses: Vec<_> = (0..listeners.len()).map(|place| format!("unix:{place}")).collect();
        let mut command = Command::new(self.program);
        command.args(["-hide_banner", "-nostdin", "-v", "error"]);
        for argument in &self.arguments {
            let place = argument.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            let address = place.and_then(|place| addresses.get(place.parse::<usize>().ok()?));
            command.arg(address.unwrap_or(argument));
        }
        // The process gets no environment variable with the server's secrets.
        let kept =
            std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "LD_LIBRARY_PATH");
        command.env_clear().envs(kept.collect::<Vec<_>>()).current_dir(&sockets.0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process(command.spawn().map_err(cannot("ffmpeg can't be started"))?);
        lower_priority(&process.0);
        let streams = Streams::of(&mut process.0).map_err(cannot("ffmpeg has no pipes"))?;

        let feeds = self.feeds.into_iter().zip(listeners).map(|(feed, socket)| feed.serve(socket));
        let mut feeding = std::pin::pin!(try_join_all(feeds));
        let mut reading = std::pin::pin!(streams.talk(self.script.into_bytes()));
        let (output, complaint) = tokio::select! {
            said = &mut reading => said?,
            fed = &mut feeding => {
                fed?;
                reading.await?
            }
        };
        let status = ended(&mut process.0).await?;
        if status.success() {
            return Ok(Said { output, complained: has_complained(&complaint) });
        }
        Err(failure(status, &complaint))
    }
}

fn lower_priority(child: &Child) {
    let id = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Err(error) = rustix::process::setpriority_process(id, NICE) {
        tracing::debug!(%error, "the mixer's priority can't be lowered");
    }
}

async fn ended(child: &mut Child) -> Result<ExitStatus, PlayableError> {
    let deadline = tokio::time::Instant::now() + EXIT_TIME_MAX;
    loop {
        if let Some(status) = child.try_wait().map_err(cannot("ffmpeg can't be waited for"))? {
            return Ok(status);
        }
        if tokio::time::Instant::now() > deadline {
            return Err(PlayableError::Mixing("ffmpeg does not end".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether it said more than that a piece ends, which every piece of a file does.
fn has_complained(complaint: &[u8]) -> bool {
    let complaint = String::from_utf8_lossy(complaint);
    let mut lines = complaint.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.any(|line| !line.contains("File ended prematurely"))
}

/// Why it failed, in texts of this server, since its own output may contain names.
fn failure(status: ExitStatus, complaint: &[u8]) -> PlayableError {
    let complaint = String::from_utf8_lossy(complaint);
    let lacks = |text: &str| complaint.contains(text);
    if lacks("Unknown encoder") {
        let reason = "this ffmpeg lacks an encoder (libx264 and aac are needed)";
        PlayableError::Mixing(reason.to_owned())
    } else if lacks("No such filter") {
        let reason = "this ffmpeg lacks a filter (drawtext, overlay, scale, amix are needed)";
        PlayableError::Mixing(reason.to_owned())
    } else if was_ended(status) {
        PlayableError::Interrupted(format!("ffmpeg was ended ({status})"))
    } else if lacks("Cannot allocate memory") || lacks("Resource temporarily unavailable") {
        PlayableError::Interrupted("ffmpeg had not enough memory".to_owned())
    } else if lacks("No space left on device") {
        PlayableError::Interrupted("ffmpeg had no space left on the disk".to_owned())
    } else {
        PlayableError::Mixing(format!("ffmpeg failed ({status})"))
    }
}

/// Whether something outside ended it: the system when memory is short, or a person. Signals of its
/// own faults are not among these, since data may cause them.
fn was_ended(status: ExitStatus) -> bool {
    let by = [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT];
    // It takes most signals itself and then ends with this code.
    status.code() == Some(ENDED_BY_SIGNAL)
        || status.signal().is_some_and(|signal| by.iter().any(|it| it.as_raw() == signal))
}

/// The server's ends of its standard streams.
struct Streams {
    input: pipe::Sender,
    output: pipe::Receiver,
    complaint: pipe::Receiver,
}

impl Streams {
    fn of(child: &mut Child) -> io::Result<Self> {
        let none = || io::Error::from(io::ErrorKind::BrokenPipe);
        let input = OwnedFd::from(child.stdin.take().ok_or_else(none)?);
        let output = OwnedFd::from(child.stdout.take().ok_or_else(none)?);
        let complaint = OwnedFd::from(child.stderr.take().ok_or_else(none)?);
        Ok(Self {
            input: pipe::Sender::from_owned_fd(input)?,
            output: pipe::Receiver::from_owned_fd(output)?,
            complaint: pipe::Receiver::from_owned_fd(complaint)?,
        })
    }

    async fn talk(self, script: Vec<u8>) -> Result<(Vec<u8>, Vec<u8>), PlayableError> {
        let Self { mut input, mut output, mut complaint } = self;
        let writing = async move {
            // ffmpeg may close its input before the end.
            if let Err(error) = input.write_all(&script).await {
                tracing::debug!(error = %error.kind(), "ffmpeg has closed its input early");
            }
            Ok(())
        };
        let (out, said, ()) = tokio::try_join!(
            read_bounded(&mut output, OUTPUT_BYTES_MAX, false),
            read_bounded(&mut complaint, COMPLAINT_BYTES_MAX, true),
            writing
        )?;
        Ok((out, said))
    }
}

/// Reads to the end. Bytes beyond the limit are dropped, or are an error.
async fn read_bounded(
    from: &mut pipe::Receiver,
    bytes_max: usize,
    drop_more: bool,
) -> Result<Vec<u8>, PlayableError> {
    let mut all = Vec::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        let length = from.read(&mut piece).await.map_err(cannot("ffmpeg can't be read"))?;
        let read = piece.get(..length).unwrap_or_default();
        if read.is_empty() {
            return Ok(all);
        }
        let room = bytes_max - all.len();
        if read.len() > room && !drop_more {
            return Err(PlayableError::Mixing("ffmpeg yields too much".to_owned()));
        }
        all.extend_from_slice(read.get(..room.min(read.len())).unwrap_or_default());
    }
}

impl Feed {
    /// Serves the first connection to the socket. ffmpeg may close it before the end.
    async fn serve(self, socket: UnixListener) -> Result<(), PlayableError> {
        let (mut stream, _) = socket.accept().await.map_err(cannot("a socket failed"))?;
        drop(socket);
        match self {
            Self::Bytes(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return Ok(());
                }
            }
            Self::Piece { head, reader, range } => {
                if stream.write_all(&head).await.is_err() {
                    return Ok(());
                }
                let mut pieces = std::pin::pin!(reader.read(range));
                while let Some(piece) = pieces.try_next().await? {
                    if stream.write_all(&piece).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_data_causes() {
        let code = |code: i32| ExitStatus::from_raw(code << 8);
        let signal = |signal: Signal| ExitStatus::from_raw(signal.as_raw());
        for (status, complaint) in [
            (signal(Signal::KILL), ""),
            (signal(Signal::TERM), ""),
            (code(255), ""),
            (code(1), "Cannot allocate memory"),
            (code(1), "av_interleaved_write_frame(): No space left on device"),
        ] {
            let failure = failure(status, complaint.as_bytes());
            assert!(matches!(failure, PlayableError::Interrupted(_)), "{status} {complaint}");
        }
        for (status, complaint) in [
            (code(1), "Invalid data found when processing input"),
            (code(1), "Unknown encoder 'libx264'"),
            (signal(Signal::SEGV), ""),
        ] {
            let failure = failure(status, complaint.as_bytes());
            assert!(matches!(failure, PlayableError::Mixing(_)), "{status} {complaint}");
        }
    }
}
