//! A bundle as one archive (POSIX ustar), made while it is taken: nothing of it is stored, and a
//! reader that is slow or gone costs a few pieces of memory.

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

use crate::custody::output::Output;
use crate::custody::{Bundle, CustodyError};

/// Files of an archive begin at multiples of this many bytes, and end with zeros up to the next.
const BLOCK_BYTES: usize = 512;
/// Small files and entries are put together into pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait for the reader.
const PIECES_MAX: usize = 2;
/// A reader that takes nothing for this long is given up, so that it keeps no place for others.
const STALLED_AFTER: Duration = Duration::from_mins(1);
/// Everybody may read what was unpacked, and its owner may change it.
const MODE: u32 = 0o644;

/// The bytes of an archive. Dropping it ends the work.
pub struct ArchiveStream {
    pieces: mpsc::Receiver<Result<Bytes, CustodyError>>,
    /// Whether nothing is missing. Set by the work before it ends, and when a cut was told.
    is_whole: Arc<AtomicBool>,
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
    /// Makes an archive whose files are in the directory `root`. `held` is dropped when the work
    /// is over, also when nobody takes the archive any more. When it can't be completed, the last
    /// item is an error and the archive has no end, which every reader of archives notices.
    #[must_use]
    pub fn into_archive(self, root: String, held: impl Send + 'static) -> ArchiveStream {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let is_whole = Arc::new(AtomicBool::new(false));
        let finished = Arc::clone(&is_whole);
        let modified_s = u64::try_from(self.custody.parts.clock.now().unix_ms() / 1_000);
        let mut archive = Archive {
            root,
            modified_s: modified_s.unwrap_or_default(),
            sender,
            patience: STALLED_AFTER,
            waiting: BytesMut::new(),
            left: 0,
            padding: 0,
        };
        tokio::spawn(async move {
            let written = match self.write(&mut archive).await {
                Ok(exported) => archive.finish().await.map(|()| {
                    finished.store(true, Ordering::Release);
                    exported
                }),
                Err(error) => Err(error),
            };
            let session = self.key.session;
            match written {
                Ok(exported) if exported.damaged > 0 => {
                    let damaged = exported.damaged;
                    tracing::error!(%session, damaged, "objects of a bundle are missing or damaged");
                }
                Ok(_) => {}
                Err(CustodyError::Abandoned) => {
                    tracing::info!(%session, "a bundle was not taken to its end");
                }
                Err(error) => {
                    tracing::error!(%session, %error, "a bundle could not be completed");
                    let telling = archive.sender.send(Err(error));
                    if !matches!(tokio::time::timeout(STALLED_AFTER, telling).await, Ok(Ok(()))) {
                        tracing::info!(%session, "whoever wanted the bundle has gone");
                    }
                }
            }
            drop(held);
        });
        ArchiveStream { pieces, is_whole }
    }
}

struct Archive {
    /// The directory in which its files are.
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
    padding: usize,
}

impl Archive {
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

    async fn add(&mut self, bytes: &[u8]) -> Result<(), CustodyError> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() < PIECE_BYTES {
            return Ok(());
        }
        let piece = self.waiting.split().freeze();
        self.send(piece).await
    }

    /// The end of a file whose length its header told; a file of another length would make
    /// everything after it unreadable.
    async fn end_file(&mut self) -> Result<(), CustodyError> {
        if self.left > 0 {
            return Err(CustodyError::Disagrees("a file is shorter than it was".to_owned()));
        }
        let padding = std::mem::take(&mut self.padding);
        self.add(&[0; BLOCK_BYTES][..padding]).await
    }

    /// Two empty blocks end an archive.
    async fn finish(&mut self) -> Result<(), CustodyError> {
        self.end_file().await?;
        self.add(&[0; 2 * BLOCK_BYTES]).await?;
        let rest = self.waiting.split().freeze();
        if rest.is_empty() { Ok(()) } else { self.send(rest).await }
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
impl Output for Archive {
    async fn begin(&mut self, name: &str, length: u64) -> Result<(), CustodyError> {
        self.end_file().await?;
        let header = self.header(name, length)?;
        self.left = length;
        let over = usize::try_from(length % BLOCK_BYTES as u64).unwrap_or_default();
        self.padding = (BLOCK_BYTES - over) % BLOCK_BYTES;
        self.add(header.as_bytes()).await
    }

    async fn append(&mut self, bytes: Bytes) -> Result<(), CustodyError> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let left = self.left.checked_sub(length);
        let longer = || CustodyError::Disagrees("a file is longer than it was".to_owned());
        self.left = left.ok_or_else(longer)?;
        if bytes.len() < PIECE_BYTES {
            return self.add(&bytes).await;
        }
        let before = self.waiting.split().freeze();
        if !before.is_empty() {
            self.send(before).await?;
        }
        self.send(bytes).await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    fn archive() -> (Archive, mpsc::Receiver<Result<Bytes, CustodyError>>) {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let archive = Archive {
            root: "bundle".to_owned(),
            modified_s: 1_700_000_000,
            sender,
            patience: STALLED_AFTER,
            waiting: BytesMut::new(),
            left: 0,
            padding: 0,
        };
        (archive, pieces)
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
        let (mut archive, pieces) = archive();
        archive.begin("a.json", 3).await.expect("begun");
        archive.append(Bytes::from_static(b"abc")).await.expect("added");
        archive.begin("objects/t/0", 512).await.expect("begun");
        archive.append(Bytes::from(vec![7; 512])).await.expect("added");
        archive.begin("empty", 0).await.expect("begun");
        archive.finish().await.expect("finished");
        let bytes = taken(pieces);
        assert_eq!(bytes.len(), (2 + 2 + 1 + 2) * BLOCK_BYTES);
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
    async fn a_file_of_another_length_ends_the_archive() {
        let (mut archive, _pieces) = archive();
        archive.begin("a", 3).await.expect("begun");
        let longer = archive.append(Bytes::from_static(b"abcd")).await;
        assert!(matches!(longer, Err(CustodyError::Disagrees(_))), "{longer:?}");
        let shorter = archive.begin("b", 1).await;
        assert!(matches!(shorter, Err(CustodyError::Disagrees(_))), "{shorter:?}");
    }

    #[tokio::test]
    async fn a_reader_that_has_gone_ends_the_work() {
        let (mut archive, pieces) = archive();
        drop(pieces);
        archive.begin("a", 1 << 20).await.expect("kept until a piece is full");
        let gone = archive.append(Bytes::from(vec![0; 1 << 20])).await;
        assert!(matches!(gone, Err(CustodyError::Abandoned)), "{gone:?}");
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_given_up() {
        let (mut archive, _pieces) = archive();
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
            let items: Vec<_> = ArchiveStream { pieces, is_whole }.collect().await;
            assert!(items[0].is_ok());
            let cut =
                |item: &&Result<Bytes, CustodyError>| matches!(item, Err(CustodyError::Abandoned));
            assert_eq!((items.len(), items.iter().filter(cut).count()), (1 + ends, ends));
        }
    }
}
