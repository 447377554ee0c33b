//! Values that must never be printed.

use std::fmt;

use zeroize::Zeroize;

/// A secret, which is never printed and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Makes a secret from a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for the one call that needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value, to be filled in place so that no copy exists elsewhere.
    pub const fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "Secret(…)");
    }
}
