//! Verifies bundles and proofs, using only the format in `docs/EVIDENCE.md`. This module imports
//! nothing else of the crate, so that it can't repeat a mistake of the code that writes them.
//!
//! Nothing in the input is trusted: everything read has a limit, nesting is bounded, no memory is
//! allocated by a length that the input declares, and objects are read as streams. Time and memory
//! grow with the size of the input, not with numbers in it.

pub mod archive;
pub mod cbor;
pub mod checkpoint;
pub mod cose;
pub mod disclosure;
pub mod entry;
pub mod files;
pub mod journal;
pub mod pdf;
pub mod proof;
pub mod report;

mod attendance;
mod bundle;
mod clip;
mod examination;
mod keys;
mod log;
mod object;
mod rtp_span;
mod sealed;
mod tree;

pub use examination::{Options, TrustedKeys};
pub use files::Files;
pub use object::OBJECT_BYTES_MAX;
pub use report::{Code, Report, Verdict};

use attendance::Comparison;
use examination::Examination;
use files::{Unread, read_whole};
use proof::{Kind, PROOF_BYTES_MAX, Proof};
use report::{Finding, Place};

/// Verifies a bundle: a full one or a clip.
#[must_use]
pub fn verify_bundle(files: &dyn Files, options: &Options) -> Report {
    examine_bundle(files, options, None)
}

/// Verifies a bundle, and compares a list of attendance, as a PDF, with what its log says.
#[must_use]
pub fn verify_attendance(pdf: &[u8], files: &dyn Files, options: &Options) -> Report {
    match Comparison::of_document(pdf) {
        Ok(comparison) => examine_bundle(files, options, Some(comparison)),
        Err(finding) => refused(finding),
    }
}

fn examine_bundle(files: &dyn Files, options: &Options, list: Option<Comparison>) -> Report {
    let document = match read_whole(files, "bundle.json", PROOF_BYTES_MAX) {
        Ok(document) => document,
        Err(unread) => return unreadable("bundle.json", unread),
    };
    let proof = match Proof::parse(&document) {
        Ok(proof) => proof,
        Err(finding) => return refused(finding),
    };
    drop(document);
    let kind = proof.kind;
    let mut examination = Examination::of_bundle(proof, files, options);
    examination.list = list;
    match kind {
        Some(Kind::Full) => examination.check_full(files),
        Some(Kind::Clip) => {
            examination.check_clip(files);
            if examination.list.is_some() {
                examination.report.lacks("the attendance list: a clip does not have the whole log");
            }
        }
        None => {
            let finding = Finding::new(Code::Malformed, "the bundle does not state its kind");
            examination.finds(finding, Place::default());
        }
    }
    examination.finish()
}

/// Verifies a public proof without a bundle: its heads and receipts, no objects.
#[must_use]
pub fn verify_proof(document: &[u8], options: &Options) -> Report {
    if document.len() as u64 > PROOF_BYTES_MAX {
        return refused(Finding::new(Code::TooLarge, "the proof has too many bytes"));
    }
    match Proof::parse(document) {
        Ok(proof) => {
            let mut examination = Examination::of_proof(proof, options);
            examination.check_proof();
            examination.finish()
        }
        Err(finding) => refused(finding),
    }
}

fn refused(finding: Finding) -> Report {
    let mut report = Report::default();
    report.finds(finding.at(Place::default()));
    report
}

fn unreadable(name: &str, unread: Unread) -> Report {
    let mut report = Report::default();
    match unread {
        Unread::Refused(finding) => return refused(finding),
        Unread::Absent | Unread::Failed(_) => {
            report.lacks(format!("anything: {}", object::of_unread(name, &unread)));
        }
    }
    report
}
