//! Checks one sealed object against its entry, and decrypts it when its key was disclosed, in one
//! pass and with constant memory.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use super::disclosure::SegmentKey;
use super::entry::Segment;
use super::files::{Files, Unread};
use super::journal::{JournalFacts, JournalReader};
use super::proof::hyphenated;
use super::report::{Code, Finding};
use super::sealed::{CHUNK_BYTES, HEADER_BYTES, Opener, SegmentPlace};
use super::tree::Hash;

/// Largest object accepted, in bytes: 4 s at 2 Gbit/s, more than any segment.
pub const OBJECT_BYTES_MAX: u64 = 1 << 30;

/// How far times in a journal may be outside the times of its entry, in milliseconds, since both
/// are rounded.
const TIME_TOLERANCE_MS: u64 = 2;

/// What was read of an object.
pub(super) struct ObjectChecked {
    pub(super) bytes: u64,
    /// What its plaintext contains, when it was decrypted.
    pub(super) journal: Option<JournalFacts>,
}

/// Why an object is not valid.
pub(super) enum ObjectFailure {
    /// It could not be read.
    Unreadable(io::Error),
    /// It is wrong.
    Found(Vec<Finding>),
}

impl From<Finding> for ObjectFailure {
    fn from(finding: Finding) -> Self {
        Self::Found(vec![finding])
    }
}

impl From<io::Error> for ObjectFailure {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// The name of a segment's object in a bundle.
fn name(segment: &Segment) -> String {
    format!("objects/{}/{}", hyphenated(&segment.track), segment.index)
}

/// Reads the object of `segment`, and decrypts it if a `key` is given.
pub(super) fn check(
    files: &dyn Files,
    session: [u8; 16],
    segment: &Segment,
    key: Option<&SegmentKey>,
) -> Result<ObjectChecked, ObjectFailure> {
    let too_large = |bytes: u64| {
        let text = format!("the object has {bytes} bytes; at most {OBJECT_BYTES_MAX} are accepted");
        ObjectFailure::from(Finding::new(Code::TooLarge, text))
    };
    if segment.size > OBJECT_BYTES_MAX {
        return Err(too_large(segment.size));
    }
    let missing = || Finding::new(Code::ObjectMissing, "the object is not in the bundle");
    let opened = files.open(&name(segment))?.ok_or_else(missing)?;
    if opened.length > OBJECT_BYTES_MAX {
        return Err(too_large(opened.length));
    }
    if opened.length != segment.size {
        let text = format!("{} bytes instead of {}", opened.length, segment.size);
        return Err(Finding::new(Code::ObjectChanged, text).into());
    }
    let place = SegmentPlace {
        session,
        track: segment.track,
        index: segment.index,
        epoch: key.map_or(0, |key| key.epoch),
    };
    // No more is read than the size in the entry, even if the file grows.
    read(&mut opened.reader.take(segment.size), segment, key.map(|key| &key.key), &place)
}

fn read(
    reader: &mut dyn Read,
    segment: &Segment,
    key: Option<&Hash>,
    place: &SegmentPlace,
) -> Result<ObjectChecked, ObjectFailure> {
    let mut header = [0; HEADER_BYTES];
    reader.read_exact(&mut header)?;
    let mut hash = Sha256::new_with_prefix(header);
    let mut found = Vec::new();
    if header[24..] != segment.key_commit {
        let text = "the object commits to another key than the entry says";
        found.push(Finding::new(Code::ObjectChanged, text));
    }
    let mut opener = key.and_then(|key| Opener::new(key, place, &header));
    if key.is_some() && opener.is_none() {
        let text = "the disclosed key is not the one that the object commits to";
        found.push(Finding::new(Code::WrongKey, text));
    }
    let mut journal = JournalReader::default();
    let mut bytes = HEADER_BYTES as u64;
    // One chunk at a time when it is decrypted, and many at a time otherwise.
    let mut buffer = vec![0; if opener.is_some() { CHUNK_BYTES } else { 16 * CHUNK_BYTES }];
    loop {
        let length = fill(reader, &mut buffer)?;
        bytes += length as u64;
        hash.update(&buffer[..length]);
        if let Some(open) = &mut opener
            && let Err(finding) = open_chunk(open, &mut buffer[..length], &mut journal)
        {
            found.push(finding);
            opener = None;
        }
        if length < buffer.len() {
            break;
        }
    }
    if bytes != segment.size || Hash::from(hash.finalize()) != segment.hash {
        let text = "the object's hash is not the one in the entry";
        found.insert(0, Finding::new(Code::ObjectChanged, text));
    }
    let journal = opener.map(|_| finish(journal, segment)).transpose();
    let journal = journal.unwrap_or_else(|finding| {
        found.push(finding);
        None
    });
    if found.is_empty() {
        Ok(ObjectChecked { bytes, journal })
    } else {
        Err(ObjectFailure::Found(found))
    }
}

/// Fills the buffer as far as there are bytes.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match reader.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn open_chunk(
    opener: &mut Opener,
    chunk: &mut [u8],
    journal: &mut JournalReader,
) -> Result<(), Finding> {
    let plaintext = opener.open(chunk).map_err(|number| {
        let text = format!("chunk {number} can't be decrypted");
        Finding::new(Code::DecryptionFailed, text)
    })?;
    let read = journal.handle_bytes(plaintext);
    read.map_err(|error| Finding::new(Code::DisclosureInvalid, error.to_string()))
}

/// Checks that the plaintext agrees with the entry.
fn finish(journal: JournalReader, segment: &Segment) -> Result<JournalFacts, Finding> {
    let invalid = |why: &str| Finding::new(Code::DisclosureInvalid, why);
    let facts = journal.finish().map_err(|error| invalid(&error.to_string()))?;
    let [from_ms, to_ms] = segment.time_ms;
    let earliest = from_ms.saturating_sub(TIME_TOLERANCE_MS);
    let latest = to_ms.saturating_add(TIME_TOLERANCE_MS);
    if facts.base_us / 1_000 < earliest || facts.last_ms > latest {
        return Err(invalid("the times of its records differ from the entry"));
    }
    let [first, last] = segment.rtp;
    if facts.rtp.is_some_and(|span| !span.agrees(first, last)) {
        return Err(invalid("the sequence numbers of its packets differ from the entry"));
    }
    Ok(facts)
}

/// A text that says why a file could not be read.
pub(super) fn of_unread(name: &str, unread: &Unread) -> String {
    match unread {
        Unread::Absent => format!("{name} is missing"),
        Unread::Failed(error) => format!("{name}: {error}"),
        Unread::Refused(finding) => format!("{name}: {}", finding.message),
    }
}
