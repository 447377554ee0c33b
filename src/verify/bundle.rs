//! Verifies a full bundle: all heads, all entries, all objects.

use std::collections::{BTreeMap, BTreeSet};

use super::attendance::Comparison;
use super::cose::{COSE_BYTES_MAX, Head, Proof as Proves, Receipt};
use super::disclosure::{DISCLOSURES_BYTES_MAX, Disclosures, Label};
use super::entry::{Body, ENTRY_BYTES_MAX, Entry, Segment};
use super::examination::Examination;
use super::files::{Files, Items, Unread, read_whole};
use super::log::{Log, place_of, place_of_entry};
use super::object::{self, ObjectFailure};
use super::proof::uuid;
use super::report::{Code, Finding, Place};
use super::tree::{self, Frontier, Hash};

/// Most heads of one log: one every two seconds for three weeks.
pub(super) const HEADS_MAX: usize = 1_000_000;

/// The parts of a head that are kept.
struct HeadKept {
    size: u64,
    root: Hash,
    kid: Hash,
}

/// The results of reading the entries.
#[derive(Default)]
struct EntriesRead {
    log: Log,
    /// Roots at the requested sizes.
    roots: BTreeMap<u64, Hash>,
    size: u64,
    /// Whether the file could not be read to its end.
    is_cut: bool,
}

impl Examination {
    /// Verifies a full bundle.
    pub(super) fn check_full(&mut self, files: &dyn Files) {
        let entries = self.open_part(files, "entries.cborseq", ENTRY_BYTES_MAX);
        self.is_whole = entries.is_some();
        self.check_head();
        let listed = self.check_heads(files);
        let mut disclosures = self.read_disclosures(files);
        let Some(entries) = entries else { return self.check_without_entries() };
        // Without the list of heads the entries are held against the proof's own head.
        let is_listed = listed.is_some();
        let heads = listed.unwrap_or_else(|| self.newest_head());
        let wanted = self.wanted_sizes(&heads);
        let mut read = self.check_entries(files, entries, &wanted, &mut disclosures);
        let held_until = self.check_roots(&heads, &read);
        // At the size of a signed head the root of that head is used; between heads the root of the
        // entries is used, as long as the entries agree with the heads.
        for (size, root) in &read.roots {
            if *size <= held_until {
                self.roots.entry(*size).or_insert(*root);
            }
        }
        if is_listed {
            self.check_rotation(&heads, &read.log);
        }
        self.log_kids = Some(read.log.keys.iter().map(|(_, kid)| *kid).collect());
        if read.log.id.is_some_and(|id| id != self.proof.log) {
            let text = "the entries belong to another log than the proof names";
            self.finds(Finding::new(Code::WrongSession, text), Place::seq(0));
        }
        for item in self.proof.receipts.clone() {
            self.check_inclusion(&item);
        }
        self.check_end(&read);
        self.check_rest();
        self.check_list();
        self.check_unknown_objects(files, &|track, index| read.log.names(track, index));
        self.check_leftovers(&disclosures);
        read.log.finish(&mut self.report);
    }

    /// Opens a file of items; `None`, which is reported, when it is missing or can't be read.
    pub(super) fn open_part<'a>(
        &mut self,
        files: &'a dyn Files,
        name: &str,
        item_bytes_max: usize,
    ) -> Option<Items<'a>> {
        let unread = match files.open(name) {
            Ok(Some(opened)) => return Some(Items::new(opened, item_bytes_max)),
            Ok(None) => Unread::Absent,
            Err(error) => Unread::Failed(error),
        };
        self.does_not_read(name, unread);
        None
    }

    /// The checks that are left when there are no entries. Only they say which objects and
    /// disclosures there should be.
    fn check_without_entries(&mut self) {
        self.check_receipts();
        self.check_rest();
        if self.list.take().is_some() {
            self.report.lacks("the attendance list: the entries are not here");
        }
        self.report.leaves("objects and disclosures, since the entries are not here");
    }

    /// The head of the proof, if it is valid.
    fn newest_head(&self) -> Vec<HeadKept> {
        let head = self.parse_head(&self.proof.head.cose).ok();
        let kept = |head: Head<'_>| HeadKept { size: head.size, root: head.root, kid: head.kid() };
        head.map(kept).into_iter().collect()
    }

    /// Reads all heads, and checks each by itself and against the one before; `None` when there is
    /// no list of them.
    fn check_heads(&mut self, files: &dyn Files) -> Option<Vec<HeadKept>> {
        let mut heads: Vec<HeadKept> = Vec::new();
        let mut items = self.open_part(files, "heads.cborseq", COSE_BYTES_MAX)?;
        let mut last = None;
        let mut number = 0_u64;
        loop {
            let cose = match items.next() {
                Ok(Some(cose)) => cose,
                Ok(None) if number == 0 => {
                    let finding = Finding::new(Code::TruncatedLog, "heads.cborseq has no heads");
                    self.finds(finding, Place::default());
                    break;
                }
                Ok(None) => break,
                Err(unread) => {
                    self.does_not_read("heads.cborseq", unread);
                    break;
                }
            };
            number += 1;
            if heads.len() >= HEADS_MAX {
                let finding = Finding::new(Code::TooLarge, "the log has too many heads");
                self.finds(finding, Place::default());
                break;
            }
            last = Some(tree::sha256(cose));
            self.check_next_head(cose, number, &mut heads);
        }
        self.report.facts.heads = number;
        if last.is_some() && last != Some(tree::sha256(&self.proof.head.cose)) {
            let newest = heads.last().map_or(0, |head| head.size);
            let (code, text) = if newest < self.proof.head.size {
                (Code::TruncatedLog, "heads are missing between the last one and the proof's")
            } else {
                (Code::ChainBroken, "the proof's head is not the last of the heads")
            };
            self.finds(Finding::new(code, text), Place::head(self.proof.head.size));
        }
        Some(heads)
    }

    fn check_next_head(&mut self, cose: &[u8], number: u64, heads: &mut Vec<HeadKept>) {
        let head = match self.parse_head(cose) {
            Ok(head) => head,
            Err(Finding { code, message }) => {
                let text = format!("head {number}: {message}");
                let place = heads.last().map_or_else(Place::default, |head| Place {
                    seq: Some(head.size),
                    ..Place::default()
                });
                return self.finds(Finding::new(code, text), place);
            }
        };
        let (size, root) =
            heads.last().map_or((0, tree::sha256(&[])), |head| (head.size, head.root));
        if (head.previous_size, head.previous_root) != (size, root) {
            let text = format!(
                "head {number} follows a head of size {}, and the one before has size {size}",
                head.previous_size
            );
            self.finds(Finding::new(Code::ChainBroken, text), Place::head(head.size));
        }
        self.heads.insert(tree::sha256(cose));
        let known = *self.roots.entry(head.size).or_insert(head.root);
        if known != head.root {
            let text = format!("two different trees of size {} were signed", head.size);
            self.finds(Finding::new(Code::ForkedLog, text), Place::head(head.size));
        }
        self.report.count("heads", 1);
        heads.push(HeadKept { size: head.size, root: head.root, kid: head.kid() });
    }

    /// The sizes at which a root is needed.
    fn wanted_sizes(&self, heads: &[HeadKept]) -> BTreeSet<u64> {
        let mut sizes: BTreeSet<u64> = heads.iter().map(|head| head.size).collect();
        sizes.insert(self.proof.head.size);
        sizes.extend(self.list.as_ref().map(Comparison::tree_size));
        for held in &self.held {
            sizes.extend([held.size, held.previous_size]);
        }
        let proof = &self.proof;
        let inclusions = proof.receipts.iter().chain(&proof.close).map(|item| &item.receipt);
        for receipt in inclusions.chain(&proof.consistency) {
            if let Ok(receipt) = Receipt::parse(receipt) {
                sizes.insert(receipt.size);
                if let Proves::Consistency { first, .. } = receipt.proof {
                    sizes.insert(first);
                }
            }
        }
        sizes
    }

    fn check_entries(
        &mut self,
        files: &dyn Files,
        mut items: Items<'_>,
        wanted: &BTreeSet<u64>,
        disclosures: &mut Disclosures,
    ) -> EntriesRead {
        let mut read = EntriesRead { is_cut: true, ..EntriesRead::default() };
        let mut frontier = Frontier::default();
        loop {
            let seq = frontier.size();
            let bytes = match items.next() {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    read.is_cut = false;
                    break;
                }
                Err(Unread::Refused(finding)) => {
                    self.finds(finding, Place::seq(seq));
                    break;
                }
                Err(unread) => {
                    self.does_not_read("entries.cborseq", unread);
                    break;
                }
            };
            frontier.add(tree::leaf(bytes));
            if wanted.contains(&frontier.size()) {
                read.roots.insert(frontier.size(), frontier.root());
            }
            match Entry::parse(bytes) {
                Ok(entry) => self.check_entry(files, seq, &entry, &mut read.log, disclosures),
                Err(finding) => {
                    self.finds(finding, Place::seq(seq));
                    read.log.next_seq = seq + 1;
                }
            }
        }
        read.size = frontier.size();
        self.report.facts.entries = read.size;
        self.report.count("entries", read.size);
        read
    }

    fn check_entry(
        &mut self,
        files: &dyn Files,
        seq: u64,
        entry: &Entry,
        log: &mut Log,
        disclosures: &mut Disclosures,
    ) {
        for finding in log.handle_entry(entry, &mut self.report) {
            self.finds(finding, place_of_entry(seq, entry));
        }
        self.check_disclosed(seq, entry, log.policy_hash, disclosures);
        match &entry.body {
            Body::Segment(segment) => {
                if let Err(missing) = self.check_object(files, seq, segment, disclosures) {
                    log.handle_missing(&segment.track, missing.at(place_of(seq, segment)));
                }
            }
            Body::Genesis { kid, .. } | Body::Key { kid } if !self.ring.contains(kid) => {
                let text = "it names a key that is not in the list of keys";
                self.finds(Finding::new(Code::UnknownKey, text), Place::seq(seq));
            }
            _ => {}
        }
    }

    /// Checks what was disclosed of an entry, and that it is consistent with the entry.
    pub(super) fn check_disclosed(
        &mut self,
        seq: u64,
        entry: &Entry,
        policy_hash: Option<Hash>,
        disclosures: &mut Disclosures,
    ) {
        let (opening, label, commit) = match &entry.body {
            Body::Event { commit, .. } => (disclosures.events.remove(&seq), Label::Event, commit),
            Body::Track { subject_commit, .. } => {
                (disclosures.subjects.remove(&seq), Label::Subject, subject_commit)
            }
            _ => return,
        };
        let checked = opening.map(|opening| opening.check(label, commit).map(|()| opening));
        if let (Body::Event { etype, .. }, Some(list)) = (&entry.body, &mut self.list) {
            let text = checked.as_ref().and_then(|it| it.as_ref().ok());
            list.handle_event(seq, *etype, text.map(|opening| opening.text.as_str()));
        }
        let opening = match checked {
            None => return,
            Some(Ok(opening)) => opening,
            Some(Err(finding)) => return self.finds(finding, place_of_entry(seq, entry)),
        };
        let hash = tree::sha256(opening.text.as_bytes());
        if seq == 1 && policy_hash.is_some_and(|policy| policy != hash) {
            let text = "the policy is not the one in the genesis entry";
            return self.finds(Finding::new(Code::DisclosureInvalid, text), Place::seq(seq));
        }
        self.report.count(
            match label {
                Label::Event => "disclosed events",
                Label::Subject => "disclosed subjects",
            },
            1,
        );
    }

    /// Checks the object of a segment; the error says that it is missing.
    pub(super) fn check_object(
        &mut self,
        files: &dyn Files,
        seq: u64,
        segment: &Segment,
        disclosures: &mut Disclosures,
    ) -> Result<(), Finding> {
        let key = disclosures.segments.remove(&(segment.track, segment.index));
        match object::check(files, self.proof.session, segment, key.as_ref()) {
            Ok(checked) => {
                self.report.count("objects", 1);
                self.report.count("bytes of objects", checked.bytes);
                if let Some(journal) = checked.journal {
                    self.report.count("opened segments", 1);
                    self.report.count("packets in opened segments", journal.packets);
                }
            }
            Err(ObjectFailure::Unreadable(error)) => {
                let name = place_of(seq, segment);
                self.report.lacks(format!("an object that can't be read ({name}): {error}"));
            }
            Err(ObjectFailure::Found(findings)) => {
                for finding in findings {
                    if finding.code == Code::ObjectMissing {
                        return Err(finding);
                    }
                    self.finds(finding, place_of(seq, segment));
                }
            }
        }
        Ok(())
    }

    /// Compares each head with the entries; returns the size up to which they agree.
    fn check_roots(&mut self, heads: &[HeadKept], read: &EntriesRead) -> u64 {
        let mut good = 0;
        for head in heads {
            match read.roots.get(&head.size) {
                Some(root) if *root == head.root => good = good.max(head.size),
                Some(_) => {
                    let place = Place {
                        seq: Some(good),
                        seq_last: Some(head.size - 1),
                        head: Some(head.size),
                        ..Place::default()
                    };
                    let text = "these entries are not the ones that the head signs";
                    self.finds(Finding::new(Code::RootMismatch, text), place);
                    return good;
                }
                // Fewer entries than this head covers; reported once, below.
                None => break,
            }
        }
        let signed = heads.last().map_or(0, |head| head.size).max(self.proof.head.size);
        if read.size < signed && !read.is_cut {
            let place =
                Place { seq: Some(read.size), seq_last: Some(signed - 1), ..Place::default() };
            let text = "the newest head covers entries that are missing here";
            self.finds(Finding::new(Code::TruncatedLog, text), place);
        } else if read.size > signed {
            let place =
                Place { seq: Some(signed), seq_last: Some(read.size - 1), ..Place::default() };
            let text = "no head covers these entries";
            self.finds(Finding::new(Code::RootMismatch, text), place);
        }
        good
    }

    /// Checks that each head was signed with the right key: a new key signs only heads of trees
    /// that are larger than the head which covers the key's entry.
    fn check_rotation(&mut self, heads: &[HeadKept], log: &Log) {
        let mut previous = 0;
        for head in heads {
            // The genesis entry names the key of all heads until another entry names a new one.
            let turn = log.keys.iter().rev().find(|(seq, _)| *seq == 0 || *seq < previous);
            if let Some((_, kid)) = turn
                && *kid != head.kid
            {
                let text = "it is signed with a key that was not in use at that time";
                self.finds(Finding::new(Code::WrongKey, text), Place::head(head.size));
            }
            previous = head.size;
        }
    }

    fn check_end(&mut self, read: &EntriesRead) {
        match read.log.close {
            Some(seq) if self.proof.close.is_none() => {
                let text = "the log is closed, but the proof has no close entry";
                self.finds(Finding::new(Code::Malformed, text), Place::seq(seq));
            }
            Some(_) => {}
            None => {
                let text = "the log is not closed: it is not known what came after its last entry";
                self.finds(Finding::new(Code::NotClosed, text), Place::default());
            }
        }
    }

    pub(super) fn read_disclosures(&mut self, files: &dyn Files) -> Disclosures {
        match read_whole(files, "disclosures.json", DISCLOSURES_BYTES_MAX) {
            Ok(document) => Disclosures::parse(&document).unwrap_or_else(|finding| {
                self.finds(finding, Place::default());
                Disclosures::default()
            }),
            // Disclosures are optional.
            Err(Unread::Absent) => Disclosures::default(),
            Err(unread) => {
                self.does_not_read("disclosures.json", unread);
                Disclosures::default()
            }
        }
    }

    /// Reports objects that no entry names. What file managers leave behind is none.
    pub(super) fn check_unknown_objects(
        &mut self,
        files: &dyn Files,
        names: &dyn Fn(&[u8; 16], u64) -> bool,
    ) {
        let report = &mut self.report;
        let visited = files.visit_objects(&mut |name| {
            if is_of_a_file_manager(name) {
                return;
            }
            let parts = name.split_once('/').and_then(|(track, index)| {
                let number: u64 = index.parse().ok()?;
                (number.to_string() == index).then_some((uuid(track)?, number))
            });
            if !parts.is_some_and(|(track, index)| names(&track, index)) {
                let shown: String =
                    name.chars().take(80).filter(|letter| !letter.is_control()).collect();
                let text = format!("no entry names the object {shown}");
                report.finds(Finding::new(Code::ObjectUnknown, text).at(Place::default()));
            }
        });
        if let Err(error) = visited {
            self.report.lacks(format!("which objects there are: {error}"));
        }
    }

    /// Reports disclosures that belong to no entry.
    pub(super) fn check_leftovers(&mut self, disclosures: &Disclosures) {
        let of = |text: String| Finding::new(Code::DisclosureInvalid, text);
        for seq in disclosures.events.keys() {
            self.finds(of("the disclosed entry is not an event".into()), Place::seq(*seq));
        }
        for seq in disclosures.subjects.keys() {
            self.finds(
                of("a subject is disclosed for an entry that is not a track".into()),
                Place::seq(*seq),
            );
        }
        for (track, index) in disclosures.segments.keys() {
            let place = Place {
                track: Some(super::proof::hyphenated(track)),
                segment: Some(*index),
                ..Place::default()
            };
            self.finds(of("a key is disclosed for a segment that does not exist".into()), place);
        }
    }
}

/// Whether programs that show directories make a file of this name: hidden ones, such as `.DS_Store` and
/// `._1`, and two of Windows.
fn is_of_a_file_manager(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with('.')
        || ["thumbs.db", "desktop.ini"].iter().any(|one| name.eq_ignore_ascii_case(one))
}
