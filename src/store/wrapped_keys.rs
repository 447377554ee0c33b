//! When a wrapped key may replace another.

use crate::vault::wrapped_version;

/// Whether `by` may replace `stored`. A destroyed key never comes back, and a key that was
/// rewrapped meanwhile is not replaced by an older wrapping, whose tenant key may be about to be
/// destroyed.
pub(super) fn may_replace(stored: Option<&[u8]>, by: Option<&[u8]>) -> bool {
    match (stored, by) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(stored), Some(by)) => wrapped_version(by) >= wrapped_version(stored),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_moves_to_newer_wrappings_and_to_nothing() {
        let [old, new] = [[1, 0, 0, 0, 1, 9], [1, 0, 0, 0, 2, 9]];
        assert!(may_replace(Some(&old), Some(&new)) && may_replace(Some(&old), Some(&old)));
        assert!(may_replace(Some(&new), None) && may_replace(None, None));
        assert!(!may_replace(Some(&new), Some(&old)), "a newer wrapping was lost");
        assert!(!may_replace(None, Some(&new)), "a destroyed key came back");
    }
}
