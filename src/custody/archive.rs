//! A bundle as one archive (POSIX ustar), made while it is taken: nothing of it is stored, and a
//! reader that is slow or gone costs a few pieces of memory. The same archive can be made again
//! from any place on, so that a download that was cut off is continued.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tar::{EntryType, Header};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::custody::output::Output;
use crate::custody::{Bundle, CustodyError};

/// Files of an archive begin at multiples of this many bytes, and end with zeros up to the next.
const BLOCK_BYTES: u64 = 512;
/// Small files and entries are put together into pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;
/// Zeros, for what is filled with them.
static ZEROS: [u8; PIECE_BYTES] = [0; PIECE_BYTES];
/// Pieces that wait for the reader.
const PIECES_MAX: usize = 2;
/// A reader that takes nothing for this long is given up, so that it keeps no place for others.
const STALLED_AFTER: Duration = Duration::from_mins(1);
/// Everybody may read what was unpacked, and its owner may change it.
const MODE: u32 = 0o644;

/// A bundle as an archive of a known length. Missing and shortened objects leave zeros after its
/// end, which readers of archives ignore.
pub struct Archive {
    bundle: Bundle,
    /// The directory in which its files are.
    root: String,
    modified_s: u64,
    length: u64,
}

/// Bytes of an archive. Dropping it ends the work.
pub struct ArchiveStream {
    pieces: mpsc::Receiver<Result<Bytes, CustodyError>>,
    /// Whether nothing is missing. Set by the work before it ends, and when a cut was told.
    is_whole: Arc<AtomicBool>,
    work: AbortHandle,
}

impl ArchiveStream {
    /// What ends the work from outside.
    #[must_use]
    pub fn work(&self) -> AbortHandle {
        self.work.clone()
    }
}

impl Stream for ArchiveStream {
    type Item = Result<Bytes, CustodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.pieces.poll_recv(context));
        // Work that was given up or has failed must not look like a complete archive.
        let is_cut = next.is_none() && !self.is_whole.swap(true, Ordering::AcqRel);
        Poll::Ready(if is_cut { Some(Err(CustodyError::Abandoned)) } else { next })
    }
}

impl Bundle {
    /// An archive whose files are in the directory `root`.
    pub async fn into_archive(self, root: String) -> Result<Archive, CustodyError> {
        let modified_s = u64::try_from(self.custody.parts.clock.now().unix_ms() / 1_000);
        // Two empty blocks end an archive.
        let mut length = 2 * BLOCK_BYTES;
        self.lengths(|file| length = length.saturating_add(space_of(file))).await?;
        Ok(Archive { bundle: self, root, modified_s: modified_s.unwrap_or_default(), length })
    }
}

impl Archive {
    /// How many bytes it has.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// About how many bytes of memory its documents take.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.bundle.documents.iter().map(|(_, document)| document.len()).sum()
    }

    /// Whether nothing of it was erased since it was prepared.
    pub async fn is_current(&self) -> Result<bool, CustodyError> {
        self.bundle.is_current().await
    }

    /// Makes these bytes of it. `held` is dropped when the work is over, also when nobody takes the
    /// archive any more. When it can't be completed, the last item is an error and the archive has
    /// no end, which every reader of archives notices.
    #[must_use]
    pub fn stream(self: Arc<Self>, range: Range<u64>, held: impl Send + 'static) -> ArchiveStream {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let is_whole = Arc::new(AtomicBool::new(false));
        let mut writer = Writer {
            root: self.root.clone(),
            modified_s: self.modified_s,
            sender,
            patience: STALLED_AFTER,
            waiting: BytesMut::new(),
            left: 0,
            padding: 0,
            before: range.start,
            wanted: range.end.saturating_sub(range.start),
            is_whole: Arc::clone(&is_whole),
        };
        let work = tokio::spawn(async move {
            let ended = match self.bundle.write(&mut writer).await {
                Ok(_) => writer.finish().await,
                Err(error) => Err(error),
            };
            self.tell(ended, &writer).await;
            drop(held);
        });
        ArchiveStream { pieces, is_whole, work: work.abort_handle() }
    }

    async fn tell(&self, ended: Result<(), CustodyError>, writer: &Writer) {
        let session = self.bundle.key.session;
        match ended {
            _ if writer.is_whole.load(Ordering::Acquire) => {
                let damaged = self.bundle.seen().damaged();
                if damaged > 0 {
                    tracing::error!(%session, damaged, "objects of a bundle are missing or damaged");
                }
            }
            Ok(()) | Err(CustodyError::Abandoned) => {
                tracing::info!(%session, "a bundle was not taken to its end");
            }
            Err(error) => {
                tracing::error!(%session, %error, "a bundle could not be completed");
                let telling = writer.sender.send(Err(error));
                if !matches!(tokio::time::timeout(STALLED_AFTER, telling).await, Ok(Ok(()))) {
                    tracing::info!(%session, "whoever wanted the bundle has gone");
                }
            }
        }
    }
}

/// What a file takes in an archive: a block for its header, and its bytes in whole blocks.
fn space_of(length: u64) -> u64 {
    length.div_ceil(BLOCK_BYTES).saturating_add(1).saturating_mul(BLOCK_BYTES)
}

/// Writes an archive from its beginning and sends the part that is wanted.
struct Writer {
    root: String,
    modified_s: u64,
    sender: mpsc::Sender<Result<Bytes, CustodyError>>,
    /// How long a reader may take nothing.
    patience: Duration,
    /// Bytes that were not sent yet, less than a piece.
    waiting: BytesMut,
    /// What the file that was begun last still lacks.
    left: u64,
    /// Zeros that follow it.
    padding: u64,
    /// Bytes that come before what is wanted, and are left out.
    before: u64,
    /// Bytes that are still wanted. Nothing is written any more once it is 0.
    wanted: u64,
    is_whole: Arc<AtomicBool>,
}

impl Writer {
    /// Sends bytes in small pieces, so that a reader that takes little is not one that takes nothing.
    async fn send(&mut self, mut bytes: Bytes) -> Result<(), CustodyError> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
            match tokio::time::timeout(self.patience, self.sender.send(Ok(piece))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(CustodyError::Abandoned),
            }
        }
        Ok(())
    }

    /// Sends what of these bytes is wanted. Everything after that is abandoned.
    async fn add(&mut self, mut bytes: Bytes) -> Result<(), CustodyError> {
        let before = leading(&bytes, self.before);
        self.before -= length_of(before);
        let _left_out = bytes.split_to(before);
        bytes.truncate(leading(&bytes, self.wanted));
        self.wanted -= length_of(bytes.len());
        let is_last = self.wanted == 0;
        if bytes.len() >= PIECE_BYTES || is_last {
            let waiting = self.waiting.split().freeze();
            self.send(waiting).await?;
            self.send(bytes).await?;
        } else {
            self.waiting.extend_from_slice(&bytes);
            if self.waiting.len() >= PIECE_BYTES {
                let waiting = self.waiting.split().freeze();
                self.send(waiting).await?;
            }
        }
        if is_last {
            self.is_whole.store(true, Ordering::Release);
            return Err(CustodyError::Abandoned);
        }
        Ok(())
    }

    /// The end of a file whose length its header told; a file of another length would make
    /// everything after it unreadable.
    async fn end_file(&mut self) -> Result<(), CustodyError> {
        if self.left > 0 {
            return Err(CustodyError::Disagrees("a file is shorter than it was".to_owned()));
        }
        let padding = usize::try_from(std::mem::take(&mut self.padding)).unwrap_or_default();
        self.add(Bytes::from_static(&ZEROS[..padding])).await
    }

    /// Fills with zeros what is still wanted: at least the two blocks that end an archive.
    async fn finish(&mut self) -> Result<(), CustodyError> {
        self.end_file().await?;
        loop {
            self.add(Bytes::from_static(&ZEROS)).await?;
        }
    }

    fn header(&self, name: &str, length: u64) -> Result<Header, CustodyError> {
        let path = format!("{}/{name}", self.root);
        let mut header = Header::new_ustar();
        let failed = |source| CustodyError::Output { path: path.clone().into(), source };
        header.set_path(&path).map_err(failed)?;
        header.set_entry_type(EntryType::Regular);
        header.set_size(length);
        header.set_mode(MODE);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.modified_s);
        header.set_cksum();
        Ok(header)
    }
}

#[async_trait]
impl Output for Writer {
    async fn begin(&mut self, name: &str, length: u64) -> Result<(), CustodyError> {
        self.end_file().await?;
        let header = self.header(name, length)?;
        self.left = length;
        self.padding = length.next_multiple_of(BLOCK_BYTES) - length;
        self.add(Bytes::copy_from_slice(header.as_bytes())).await
    }

    async fn append(&mut self, bytes: Bytes) -> Result<(), CustodyError> {
        let left = self.left.checked_sub(length_of(bytes.len()));
        let longer = || CustodyError::Disagrees("a file is longer than it was".to_owned());
        self.left = left.ok_or_else(longer)?;
        self.add(bytes).await
    }

    async fn skip(&mut self, length: u64) -> Result<bool, CustodyError> {
        self.end_file().await?;
        let space = space_of(length);
        let is_before = space <= self.before;
        if is_before {
            self.before -= space;
        }
        Ok(is_before)
    }
}

/// How many of these bytes are among the first `most`.
fn leading(bytes: &Bytes, most: u64) -> usize {
    usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len())
}

fn length_of(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    fn writer(range: Range<u64>) -> (Writer, mpsc::Receiver<Result<Bytes, CustodyError>>) {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let writer = Writer {
            root: "bundle".to_owned(),
            modified_s: 1_700_000_000,
            sender,
            patience: STALLED_AFTER,
            waiting: BytesMut::new(),
            left: 0,
            padding: 0,
            before: range.start,
            wanted: range.end - range.start,
            is_whole: Arc::default(),
        };
        (writer, pieces)
    }

    /// More than any of these archives has.
    const ALL: Range<u64> = 0..u64::MAX;

    /// Writes three files, and what of them is in the range.
    async fn written(range: Range<u64>, skips: bool) -> Vec<u8> {
        let (mut writer, pieces) = writer(range);
        let ended = write_three(&mut writer, skips).await;
        assert!(matches!(ended, Err(CustodyError::Abandoned)), "{ended:?}");
        assert!(writer.is_whole.load(Ordering::Acquire), "nothing is missing");
        drop(writer);
        taken(pieces)
    }

    async fn write_three(writer: &mut Writer, skips: bool) -> Result<(), CustodyError> {
        for (name, byte, length) in [("a.json", 1, 3), ("objects/t/0", 2, 512), ("empty", 0, 0)] {
            if skips && writer.skip(length).await? {
                continue;
            }
            writer.begin(name, length).await?;
            writer
                .append(Bytes::from([byte].repeat(usize::try_from(length).expect("small"))))
                .await?;
        }
        writer.finish().await
    }

    fn taken(mut pieces: mpsc::Receiver<Result<Bytes, CustodyError>>) -> Vec<u8> {
        let mut all = Vec::new();
        while let Ok(piece) = pieces.try_recv() {
            all.extend_from_slice(&piece.expect("bytes"));
        }
        all
    }

    #[tokio::test]
    async fn files_lie_one_after_another_in_whole_blocks() {
        let length = 2 * BLOCK_BYTES + [3, 512, 0].map(space_of).iter().sum::<u64>();
        assert_eq!(length, (2 + 2 + 1 + 2) * BLOCK_BYTES);
        let bytes = written(0..length, false).await;
        assert_eq!(length_of(bytes.len()), length);
        let mut read = tar::Archive::new(bytes.as_slice());
        let files: Vec<(String, u64)> = read
            .entries()
            .expect("an archive")
            .map(|entry| {
                let entry = entry.expect("a file");
                (entry.path().expect("a path").display().to_string(), entry.size())
            })
            .collect();
        let expected = [("bundle/a.json", 3), ("bundle/objects/t/0", 512), ("bundle/empty", 0)];
        assert_eq!(files, expected.map(|(name, size)| (name.to_owned(), size)));
    }

    #[tokio::test]
    async fn every_part_is_as_in_the_whole() {
        let whole = written(0..5_000, false).await;
        assert_eq!(whole.len(), 5_000, "zeros follow the end");
        for from in (0..5_000).step_by(97) {
            for to in [from + 1, from + 600, 5_000].into_iter().filter(|to| *to <= 5_000) {
                let part = written(from as u64..to as u64, from % 2 == 0).await;
                assert_eq!(part, whole[from..to], "{from}..{to}");
            }
        }
    }

    #[tokio::test]
    async fn a_file_of_another_length_ends_the_archive() {
        let (mut archive, _pieces) = writer(ALL);
        archive.begin("a", 3).await.expect("begun");
        let longer = archive.append(Bytes::from_static(b"abcd")).await;
        assert!(matches!(longer, Err(CustodyError::Disagrees(_))), "{longer:?}");
        let shorter = archive.begin("b", 1).await;
        assert!(matches!(shorter, Err(CustodyError::Disagrees(_))), "{shorter:?}");
    }

    #[tokio::test]
    async fn a_reader_that_has_gone_ends_the_work() {
        let (mut archive, pieces) = writer(ALL);
        drop(pieces);
        archive.begin("a", 1 << 20).await.expect("kept until a piece is full");
        let gone = archive.append(Bytes::from(vec![0; 1 << 20])).await;
        assert!(matches!(gone, Err(CustodyError::Abandoned)), "{gone:?}");
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_given_up() {
        let (mut archive, _pieces) = writer(ALL);
        archive.patience = Duration::from_millis(1);
        archive.begin("a", 4 * PIECE_BYTES as u64).await.expect("kept until a piece is full");
        let mut outcomes = Vec::new();
        for _ in 0..4 {
            outcomes.push(archive.append(Bytes::from(vec![0; PIECE_BYTES])).await.is_ok());
        }
        // The header takes one place, the first piece the other.
        assert_eq!(outcomes, [true, false, false, false]);
    }

    #[tokio::test]
    async fn an_archive_that_is_cut_ends_with_an_error_and_a_whole_one_does_not() {
        for (is_whole, ends) in [(false, 1), (true, 0)] {
            let (sender, pieces) = mpsc::channel(PIECES_MAX);
            sender.send(Ok(Bytes::from_static(b"piece"))).await.expect("taken");
            drop(sender);
            let is_whole = Arc::new(AtomicBool::new(is_whole));
            let work = tokio::spawn(async {}).abort_handle();
            let items: Vec<_> = ArchiveStream { pieces, is_whole, work }.collect().await;
            assert!(items[0].is_ok());
            let cut =
                |item: &&Result<Bytes, CustodyError>| matches!(item, Err(CustodyError::Abandoned));
            assert_eq!((items.len(), items.iter().filter(cut).count()), (1 + ends, ends));
        }
    }
}
