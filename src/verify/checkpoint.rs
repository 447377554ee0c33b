//! Checkpoints of the operator log: C2SP tlog-checkpoint, which is a C2SP signed-note.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::keys::OperatorKey;
use super::report::{Code, Finding};
use super::tree::Hash;

/// Longest checkpoint accepted, in bytes; C2SP allows any number of cosignatures.
const CHECKPOINT_BYTES_MAX: usize = 64 * 1024;

/// A parsed checkpoint.
#[derive(Debug, Clone)]
pub struct Checkpoint<'a> {
    /// Name of the log.
    pub origin: &'a str,
    /// Number of entries in the log.
    pub size: u64,
    /// Root hash of the log.
    pub root: Hash,
    text: &'a str,
    signatures: Vec<(&'a str, Vec<u8>)>,
}

fn invalid(why: &str) -> Finding {
    Finding::new(Code::OperatorLogInvalid, why)
}

impl<'a> Checkpoint<'a> {
    /// Parses a checkpoint without checking its signatures.
    pub fn parse(note: &'a str) -> Result<Self, Finding> {
        if note.len() > CHECKPOINT_BYTES_MAX {
            return Err(Finding::new(Code::TooLarge, "the checkpoint has too many bytes"));
        }
        let malformed = || invalid("the checkpoint is not a signed note of a log");
        let (text, signatures) = note.rsplit_once("\n\n").ok_or_else(malformed)?;
        let text = &note[..=text.len()];
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(malformed());
        };
        let is_shortest = size == "0" || !size.starts_with(['0', '+']);
        let size = size.parse().ok().filter(|_| is_shortest).ok_or_else(malformed)?;
        let root = STANDARD.decode(root).ok().and_then(|root| root.try_into().ok());
        let signatures = signatures.strip_suffix('\n').ok_or_else(malformed)?.split('\n');
        let signatures: Option<Vec<_>> = signatures.map(signature).collect();
        let (root, signatures) = (root.ok_or_else(malformed)?, signatures.ok_or_else(malformed)?);
        Ok(Self { origin, size, root, text, signatures })
    }

    /// Checks that the operator's key signed it.
    pub(super) fn check(&self, key: &OperatorKey) -> Result<(), Finding> {
        if self.origin != key.origin {
            return Err(invalid("the checkpoint belongs to another log"));
        }
        let holds = self.signatures.iter().any(|(name, signature)| {
            let Some((hash, signature)) = signature.split_first_chunk::<4>() else { return false };
            let Ok(signature) = ed25519_dalek::Signature::from_slice(signature) else {
                return false;
            };
            *name == key.origin
                && *hash == key.key_hash
                && key.key.verify_strict(self.text.as_bytes(), &signature).is_ok()
        });
        if holds { Ok(()) } else { Err(invalid("the operator did not sign the checkpoint")) }
    }
}

/// Parses a signature line: an em dash, a name and base64.
fn signature(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    Some((name, STANDARD.decode(signature).ok()?))
}
