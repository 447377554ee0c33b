//! A bundle in one archive (POSIX ustar, with the extensions of GNU and pax), as servers hand it
//! out. Its files are read where they are; nothing is unpacked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::files::{Files, Opened};

/// Files of an archive begin at multiples of this many bytes.
const BLOCK_BYTES: u64 = 512;
/// The file that every bundle has.
const DOCUMENT: &str = "bundle.json";

/// Where a file is in the archive.
#[derive(Debug, Clone, Copy)]
struct Place {
    from: u64,
    length: u64,
}

/// A bundle in an archive. Every file costs at least a block of it, so what is kept of the names
/// does not grow faster than the archive.
#[derive(Debug)]
pub struct TarArchive {
    archive: File,
    files: BTreeMap<String, Place>,
}

impl TarArchive {
    /// Opens an archive and finds its files. An archive that was cut off, or is none, is an error.
    pub fn open(path: &Path) -> io::Result<Self> {
        let archive = File::open(path)?;
        let all = files_of(&archive)?;
        let is_root = |root: &&str| root.is_empty() || root.ends_with('/');
        let mut roots = all.keys().filter_map(|name| name.strip_suffix(DOCUMENT)).filter(is_root);
        let root = roots.next().unwrap_or_default().to_owned();
        if roots.next().is_some() {
            return Err(io::Error::other("it has more than one bundle"));
        }
        let inside = |(name, place): (String, Place)| {
            name.strip_prefix(root.as_str()).map(|name| (name.to_owned(), place))
        };
        Ok(Self { archive, files: all.into_iter().filter_map(inside).collect() })
    }

    /// Whether a file begins as an archive does.
    pub fn is_one(path: &Path) -> io::Result<bool> {
        let mut magic = [0; 5];
        let length = File::open(path)?.read_at(&mut magic, 257)?;
        Ok(magic[..length] == *b"ustar")
    }
}

/// The regular files of an archive. Two of one name would be read differently by other programs.
fn files_of(archive: &File) -> io::Result<BTreeMap<String, Place>> {
    let length = archive.metadata()?.len();
    let mut end = 0;
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries_with_seek()? {
        let entry = entry?;
        let place = Place { from: entry.raw_file_position(), length: entry.size() };
        let blocks = place.length.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES);
        end = place.from.saturating_add(blocks);
        if end > length {
            return Err(cut_off());
        }
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8(entry.path_bytes().into_owned());
        let name = name.map_err(|_| io::Error::other("a name is not UTF-8"))?;
        let name = name.trim_start_matches("./").to_owned();
        if files.insert(name, place).is_some() {
            return Err(io::Error::other("it has two files of one name"));
        }
    }
    // Two empty blocks end it.
    if (&*archive).stream_position()? <= end || length < end.saturating_add(2 * BLOCK_BYTES) {
        return Err(cut_off());
    }
    Ok(files)
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the archive was cut off")
}

impl Files for TarArchive {
    fn open(&self, name: &str) -> io::Result<Option<Opened<'_>>> {
        let Some(place) = self.files.get(name).copied() else { return Ok(None) };
        let reader = Box::new(Part { archive: &self.archive, place });
        Ok(Some(Opened { length: place.length, reader }))
    }

    fn visit_objects(&self, visit: &mut dyn FnMut(&str)) -> io::Result<()> {
        self.files.keys().filter_map(|name| name.strip_prefix("objects/")).for_each(visit);
        Ok(())
    }
}

/// The rest of a file in the archive.
struct Part<'a> {
    archive: &'a File,
    place: Place,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.place.length).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.archive.read_at(&mut buffer[..most], self.place.from)?;
        if read == 0 && most > 0 {
            return Err(cut_off());
        }
        self.place.from += read as u64;
        self.place.length -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn archive_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, contents) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(contents.len() as u64);
            header.set_entry_type(tar::EntryType::Regular);
            builder.append_data(&mut header, name, *contents).expect("added");
        }
        builder.into_inner().expect("an archive")
    }

    fn opened(bytes: &[u8]) -> io::Result<TarArchive> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(bytes).expect("written");
        TarArchive::open(file.path())
    }

    const OBJECT: &[u8] = &[7; 1_300];

    fn bundle() -> Vec<u8> {
        archive_of(&[("x/bundle.json", b"{}"), ("x/objects/t/0", OBJECT), ("other", b"no")])
    }

    #[test]
    fn files_are_read_where_they_are() {
        let archive = opened(&bundle()).expect("opened");
        let mut document = Vec::new();
        let found = archive.open(DOCUMENT).expect("read").expect("there");
        assert_eq!(found.length, 2);
        found.reader.take(100).read_to_end(&mut document).expect("read");
        assert_eq!(document, b"{}");
        let mut object = Vec::new();
        let mut found = archive.open("objects/t/0").expect("read").expect("there");
        found.reader.read_to_end(&mut object).expect("read");
        assert_eq!(object, OBJECT);
        assert!(archive.open("other").expect("read").is_none(), "it is beside the bundle");
        let mut names = Vec::new();
        archive.visit_objects(&mut |name| names.push(name.to_owned())).expect("visited");
        assert_eq!(names, ["t/0"]);
    }

    #[test]
    fn an_archive_that_was_cut_off_anywhere_is_refused() {
        let bytes = bundle();
        let end = bytes.len();
        // The archive ends with padding to a record; only its first two empty blocks are needed.
        let needed = end - bytes.iter().rev().take_while(|byte| **byte == 0).count();
        let needed = needed.div_ceil(512) * 512 + 1024;
        for length in (0..needed).step_by(64).chain([needed - 1]) {
            let kind = opened(&bytes[..length]).map(|_| ()).expect_err("cut off").kind();
            let all = [io::ErrorKind::UnexpectedEof, io::ErrorKind::Other];
            assert!(all.contains(&kind), "{length} of {end}: {kind}");
        }
        opened(&bytes[..needed]).expect("its end is there");
    }

    #[test]
    fn what_programs_would_read_differently_is_refused() {
        let twice = archive_of(&[("x/bundle.json", b"{}"), ("x/bundle.json", b"[]")]);
        assert!(opened(&twice).is_err());
        let two = archive_of(&[("x/bundle.json", b"{}"), ("y/bundle.json", b"[]")]);
        assert!(opened(&two).is_err());
        let mut changed = bundle();
        changed[3] ^= 1;
        assert!(opened(&changed).is_err(), "a header is not what its sum says");
    }
}
