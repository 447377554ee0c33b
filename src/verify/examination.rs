//! The checks that every proof gets, alone or in a bundle: its keys, its head, receipts, held heads
//! and its place in the operator log.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::attendance::Comparison;
use super::checkpoint::Checkpoint;
use super::cose::{Head, OPERATOR_SUBJECT, Proof as Proves, Receipt};
use super::entry::{self, Body, close_reason};
use super::files::{Files, Unread, read_whole};
use super::keys::{KEYS_BYTES_MAX, KeyList, KeyRing, OperatorKey};
use super::object::of_unread;
use super::proof::{Operator, Proof, ProofEntry, Status, check_jws, hyphenated, parse_held_heads};
use super::report::{CloseFacts, Code, Finding, Place, Problem, Report};
use super::tree::{self, Hash};

/// The source of the keys that the verifier trusts.
#[derive(Debug, Clone, Default)]
pub enum TrustedKeys {
    /// The proof or bundle itself; the report says that this was not verified.
    #[default]
    Own,
    /// A list that came from the same place as the proof; the report says so.
    SameSource(Vec<u8>),
    /// A list that the user of the verifier trusts.
    Independent(Vec<u8>),
}

/// The values to verify against.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The keys to trust.
    pub keys: TrustedKeys,
    /// A file of held heads, as a meeting page saves it.
    pub held_heads: Option<Vec<u8>>,
}

/// A head that a witness has kept.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) size: u64,
    root: Hash,
    pub(super) previous_size: u64,
    previous_root: Hash,
    kid: Hash,
}

/// The verification of one proof.
#[derive(Debug)]
pub(super) struct Examination {
    pub(super) proof: Proof,
    pub(super) subject: String,
    pub(super) ring: KeyRing,
    operator: Option<OperatorKey>,
    pub(super) report: Report,
    pub(super) held: Vec<Held>,
    /// Known roots by tree size: signed in a head, or computed from the entries.
    pub(super) roots: BTreeMap<u64, Hash>,
    /// Hashes of the heads that are known to belong to this log.
    pub(super) heads: BTreeSet<Hash>,
    /// The keys that the log names, once its entries were read.
    pub(super) log_kids: Option<BTreeSet<Hash>>,
    /// Whether all entries are available.
    pub(super) is_whole: bool,
    /// The list of attendance that is compared with the log.
    pub(super) list: Option<Comparison>,
}

impl Examination {
    /// Begins the verification of a proof without a bundle.
    pub(super) fn of_proof(proof: Proof, options: &Options) -> Self {
        let mut examination = Self::new(proof);
        examination.trust(options, None);
        examination.read_held_heads(options);
        examination
    }

    /// Begins the verification of the proof in a bundle.
    pub(super) fn of_bundle(proof: Proof, files: &dyn Files, options: &Options) -> Self {
        let mut examination = Self::new(proof);
        let list = match read_whole(files, "keys.json", KEYS_BYTES_MAX) {
            Ok(list) => Some(list),
            Err(unread) => {
                examination.does_not_read("keys.json", unread);
                None
            }
        };
        examination.trust(options, list);
        examination.read_held_heads(options);
        examination
    }

    fn new(proof: Proof) -> Self {
        let subject = proof.subject();
        let mut report = Report::default();
        report.facts.session = Some(hyphenated(&proof.session));
        report.facts.log = Some(hyphenated(&proof.log));
        report.facts.issuer = Some(proof.issuer.clone());
        report.facts.status = Some(proof.status.as_str().to_owned());
        if proof.time_stamps > 0 {
            report.leaves("time stamps (tst)");
        }
        Self {
            proof,
            subject,
            ring: KeyRing::default(),
            operator: None,
            report,
            held: Vec::new(),
            roots: BTreeMap::new(),
            heads: BTreeSet::new(),
            log_kids: None,
            is_whole: false,
            list: None,
        }
    }

    pub(super) fn finds(&mut self, finding: Finding, place: Place) {
        self.report.finds(finding.at(place));
    }

    /// Reports that a file of the bundle could not be read.
    pub(super) fn does_not_read(&mut self, name: &str, unread: Unread) {
        match unread {
            Unread::Refused(finding) => {
                let Finding { code, message } = finding;
                self.finds(Finding::new(code, format!("{name}: {message}")), Place::default());
            }
            Unread::Absent | Unread::Failed(_) => self.report.lacks(of_unread(name, &unread)),
        }
    }

    fn trust(&mut self, options: &Options, own: Option<Vec<u8>>) {
        let (list, note) = match &options.keys {
            TrustedKeys::Own => (own, Some("whether these keys are the operator's")),
            TrustedKeys::SameSource(list) => (
                Some(list.clone()),
                Some("whether these keys are the operator's: they came from the same place"),
            ),
            TrustedKeys::Independent(list) => (Some(list.clone()), None),
        };
        self.report.not_checked.extend(note.map(str::to_owned));
        let Some(list) = list else {
            self.ring = self.proof.keys.clone();
            return;
        };
        match KeyList::parse(&list) {
            Ok(list) => {
                if !list.issuers.contains(&self.proof.issuer) {
                    let text = "the proof and the list of keys have different issuers";
                    self.finds(Finding::new(Code::UnknownKey, text), Place::default());
                }
                self.ring = list.ring;
                self.operator = list.operator;
            }
            Err(finding) => self.finds(finding, Place::default()),
        }
        let unknown = self.proof.kids.iter().filter(|kid| !self.ring.contains(kid)).count();
        if unknown > 0 {
            let text = format!("{unknown} keys of the proof are not in the list of keys");
            self.finds(Finding::new(Code::UnknownKey, text), Place::default());
        }
        self.report.count("keys", self.ring.len() as u64);
    }

    fn read_held_heads(&mut self, options: &Options) {
        let Some(document) = &options.held_heads else { return };
        let (session, heads) = match parse_held_heads(document) {
            Ok(held) => held,
            Err(finding) => return self.finds(finding, Place::default()),
        };
        if session != self.proof.session {
            let text = "the held heads belong to another session";
            return self.finds(Finding::new(Code::WrongSession, text), Place::default());
        }
        if heads.is_empty() {
            self.report.lacks("held heads: the file has none");
        }
        for (number, cose) in heads.iter().enumerate() {
            match self.parse_head(cose) {
                Ok(head) => self.held.push(Held {
                    size: head.size,
                    root: head.root,
                    previous_size: head.previous_size,
                    previous_root: head.previous_root,
                    kid: head.kid(),
                }),
                Err(Finding { code, message }) => {
                    let text = format!("held head {number}: {message}");
                    self.finds(Finding::new(code, text), Place::default());
                }
            }
        }
    }

    /// Parses a head of this log and checks its signature.
    pub(super) fn parse_head<'a>(&self, cose: &'a [u8]) -> Result<Head<'a>, Finding> {
        let head = Head::parse(cose)?;
        // The newest head occurs several times; its signature is checked once.
        if !self.heads.contains(&tree::sha256(cose)) {
            head.check(&self.ring, &self.proof.issuer, &self.subject)?;
        }
        Ok(head)
    }

    /// Checks every form in which the proof contains its newest head.
    pub(super) fn check_head(&mut self) {
        let place = Place::head(self.proof.head.size);
        self.report.facts.tree_size = Some(self.proof.head.size);
        let cose = self.proof.head.cose.clone();
        let head = match self.parse_head(&cose) {
            Ok(head) => head,
            Err(finding) => return self.finds(finding, place),
        };
        self.report.count("heads", 1);
        let stated = &self.proof.head;
        if stated.root != head.root {
            let text = "the proof states another root than the signed head";
            self.finds(Finding::new(Code::RootMismatch, text), place.clone());
        } else if (stated.size, stated.iat_s) != (head.size, head.iat_s()) {
            let text = "the proof states another size or time than the signed head";
            self.finds(Finding::new(Code::Malformed, text), place.clone());
        }
        self.heads.insert(tree::sha256(&cose));
        self.roots.entry(head.size).or_insert(head.root);
        if head.previous_size > 0 && !self.is_whole {
            self.roots.entry(head.previous_size).or_insert(head.previous_root);
        }
        let names = (self.proof.issuer.as_str(), self.subject.as_str());
        match check_jws(&self.proof.head.jws, &head, &cose, &self.ring, names) {
            Ok(()) => self.report.count("JWS of heads", 1),
            Err(finding) => self.finds(finding, place),
        }
    }

    /// Verifies a proof without a bundle.
    pub(super) fn check_proof(&mut self) {
        self.check_head();
        self.check_receipts();
        self.check_rest();
        self.report.leaves("entries and objects, which a proof without a bundle does not contain");
    }

    /// Checks the entries that the proof itself contains.
    pub(super) fn check_receipts(&mut self) {
        for item in self.proof.receipts.clone() {
            self.check_inclusion(&item);
            match entry::Entry::parse(&item.entry) {
                Ok(entry) if entry.seq == item.seq => {}
                Ok(_) => self.misplaced(item.seq),
                Err(finding) => self.finds(finding, Place::seq(item.seq)),
            }
        }
    }

    pub(super) fn misplaced(&mut self, seq: u64) {
        let text = "the entry states another index than the proof does";
        self.finds(Finding::new(Code::SequenceInvalid, text), Place::seq(seq));
    }

    /// The checks after the entries, which every kind gets: the close, consistency, held heads and
    /// the operator log.
    pub(super) fn check_rest(&mut self) {
        self.check_close();
        for receipt in self.proof.consistency.clone() {
            match self.check_consistency(&receipt) {
                Ok(()) => self.report.count("consistency receipts", 1),
                Err(problem) => self.report.finds(*problem),
            }
        }
        for held in std::mem::take(&mut self.held) {
            self.check_held(&held);
        }
        match self.proof.operator.clone() {
            Some(operator) => self.check_operator(&operator),
            None => self.report.leaves("the operator's log: the proof has no place in it"),
        }
    }

    fn check_kid(&self, kid: &Hash) -> Result<(), Finding> {
        match &self.log_kids {
            Some(kids) if !kids.contains(kid) => {
                let text = "it is signed with a key that the log does not name";
                Err(Finding::new(Code::WrongKey, text))
            }
            _ => Ok(()),
        }
    }

    /// Checks that an entry is in the log.
    pub(super) fn check_inclusion(&mut self, item: &ProofEntry) -> bool {
        let place = Place::seq(item.seq);
        match self.inclusion(item) {
            Ok((size, root)) => {
                if let Entry::Vacant(unknown) = self.roots.entry(size) {
                    unknown.insert(root);
                    self.report.lacks(format!(
                        "whether the tree of size {size}, which has entry {}, is a prefix of the \
                         head's: no receipt says so",
                        item.seq
                    ));
                }
                self.report.count("inclusion receipts", 1);
                true
            }
            Err(finding) => {
                self.finds(finding, place);
                false
            }
        }
    }

    fn inclusion(&self, item: &ProofEntry) -> Result<(u64, Hash), Finding> {
        let receipt = Receipt::parse(&item.receipt)?;
        let root = receipt.root_over(&item.entry, item.seq)?;
        let checked = receipt.check(&self.ring, &self.proof.issuer, &self.subject, &root);
        match self.roots.get(&receipt.size) {
            Some(known) if *known != root => Err(if checked.is_ok() {
                let text = format!("a different tree of size {} was signed", receipt.size);
                Finding::new(Code::ForkedLog, text)
            } else {
                Finding::new(Code::ReceiptInvalid, "it does not lead to the root of the log")
            }),
            _ => {
                checked?;
                self.check_kid(&receipt.kid())?;
                Ok((receipt.size, root))
            }
        }
    }

    fn check_close(&mut self) {
        let is_said = self.proof.status == Status::Closed;
        let Some(item) = self.proof.close.clone() else {
            if is_said {
                let text = "the proof says that the log is closed, but has no close entry";
                self.finds(Finding::new(Code::Malformed, text), Place::default());
            } else if !self.is_whole {
                self.report.leaves("the end of the log, since it is not closed");
            }
            return;
        };
        if !self.check_inclusion(&item) {
            return;
        }
        let place = Place::seq(item.seq);
        match entry::Entry::parse(&item.entry) {
            Ok(entry::Entry { seq, body: Body::Close { reason, .. }, .. }) if seq == item.seq => {
                let closed = CloseFacts { seq, reason: close_reason(reason) };
                let known = self.report.facts.closed.get_or_insert(closed);
                if known.seq != seq {
                    let text = "the log is closed by another entry";
                    self.finds(Finding::new(Code::SequenceInvalid, text), place);
                } else if self.proof.status == Status::Live {
                    let text = "the proof says that a closed log is live";
                    self.finds(Finding::new(Code::Malformed, text), place);
                }
            }
            Ok(_) => {
                let text = "the entry that the proof names as close is not a close entry";
                self.finds(Finding::new(Code::SequenceInvalid, text), place);
            }
            Err(finding) => self.finds(finding, place),
        }
    }

    fn check_consistency(&mut self, bytes: &[u8]) -> Result<(), Box<Problem>> {
        let nowhere = |finding: Finding| Box::new(finding.at(Place::default()));
        let receipt = Receipt::parse(bytes).map_err(nowhere)?;
        let place = Place::head(receipt.size);
        let wrong = |code, why: &str| Box::new(Finding::new(code, why).at(place.clone()));
        let invalid = |why: &str| wrong(Code::ConsistencyInvalid, why);
        let Proves::Consistency { first, path } = &receipt.proof else {
            return Err(invalid("it is not a receipt of consistency"));
        };
        let Some(root) = self.roots.get(&receipt.size).copied() else {
            return Err(invalid("it is not about a tree in this proof"));
        };
        receipt
            .check(&self.ring, &self.proof.issuer, &self.subject, &root)
            .and_then(|()| self.check_kid(&receipt.kid()))
            .map_err(|finding| Box::new(finding.at(place.clone())))?;
        let known = self.roots.get(first).copied();
        let held = self.held.iter().find(|held| held.size == *first).map(|held| held.root);
        let start = known.or(held);
        let Some(roots) = tree::roots_of_consistency(*first, receipt.size, start, path) else {
            if start.is_none() && first.is_power_of_two() {
                let text = format!(
                    "the consistency with the tree of size {first}, whose root is not known"
                );
                self.report.lacks(text);
                return Ok(());
            }
            return Err(invalid("its path does not fit these sizes"));
        };
        // From a power of two the path starts at the smaller root itself. If that root is the held
        // one and the path does not lead here, there were two histories.
        if roots.second != root && known.is_none() && first.is_power_of_two() {
            let text = format!("the held head of size {first} is not a prefix of this log");
            return Err(wrong(Code::ForkedLog, &text));
        }
        if roots.second != root || known.is_some_and(|known| known != roots.first) {
            return Err(invalid("it does not lead from the smaller root to the larger one"));
        }
        self.roots.entry(*first).or_insert(roots.first);
        Ok(())
    }

    /// Checks that a held head belongs to this history of the log.
    fn check_held(&mut self, held: &Held) {
        let place = Place::head(held.size);
        let newest = self.proof.head.size;
        if held.size > newest {
            let text = format!(
                "somebody holds a head of size {}, and this log ends at {newest}: its end is \
                 missing, or this was made before",
                held.size
            );
            return self.finds(Finding::new(Code::TruncatedLog, text), place);
        }
        let pairs = [(held.size, held.root), (held.previous_size, held.previous_root)];
        for (size, root) in pairs.into_iter().filter(|(size, _)| *size > 0) {
            match self.roots.get(&size) {
                Some(known) if *known == root => {}
                Some(_) => {
                    let text = format!(
                        "two different trees of size {size} were signed: that of the held head of size \
                         {}, and that of this log of size {newest}",
                        held.size
                    );
                    return self.finds(Finding::new(Code::ForkedLog, text), place);
                }
                None if size == held.size => {
                    self.report.lacks(format!(
                        "whether the held head of size {size} belongs to this log: no receipt of \
                         consistency from it"
                    ));
                    return;
                }
                // The head before needs no receipt of its own.
                None => {}
            }
        }
        match self.check_kid(&held.kid) {
            Ok(()) => self.report.count("held heads", 1),
            Err(finding) => self.finds(finding, place),
        }
    }

    fn check_operator(&mut self, operator: &Operator) {
        let result = self.operator_log(operator);
        match result {
            Ok(true) => self.report.count("places in the operator's log", 1),
            Ok(false) => self
                .report
                .leaves("the signature of the operator's log: its key is not in the list of keys"),
            Err(Finding { code, message }) => {
                let text = format!("operator's log: {message}");
                self.finds(Finding::new(code, text), Place::default());
            }
        }
    }

    /// Checks the place in the operator log. Returns whether the signature of the checkpoint was
    /// checked and is valid.
    fn operator_log(&mut self, operator: &Operator) -> Result<bool, Finding> {
        let invalid = |why: &str| Finding::new(Code::OperatorLogInvalid, why);
        let head = self.parse_head(&operator.head)?;
        if self.is_whole && !self.heads.contains(&tree::sha256(&operator.head)) {
            return Err(invalid("it has a head that does not belong to this log"));
        }
        match self.roots.get(&head.size) {
            Some(known) if *known != head.root => {
                let text = format!("it has another head of size {}", head.size);
                return Err(Finding::new(Code::ForkedLog, text));
            }
            Some(_) => {}
            None => self.report.leaves(format!(
                "whether the operator's head of size {} is a prefix of the newest",
                head.size
            )),
        }
        let receipt = Receipt::parse(&operator.receipt)?;
        let Proves::Inclusion { index, .. } = &receipt.proof else {
            return Err(invalid("its receipt is not a receipt of inclusion"));
        };
        let root = receipt.root_over(&operator.head, *index)?;
        let checkpoint = Checkpoint::parse(&operator.checkpoint)?;
        if (checkpoint.size, checkpoint.root) != (receipt.size, root) {
            return Err(invalid("the receipt does not lead to the checkpoint's root"));
        }
        receipt.check(&self.ring, &self.proof.issuer, OPERATOR_SUBJECT, &root)?;
        let Some(key) = &self.operator else { return Ok(false) };
        checkpoint.check(key)?;
        Ok(true)
    }

    pub(super) fn finish(self) -> Report {
        self.report
    }
}
