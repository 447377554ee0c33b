//! How far a reader has come, as it keeps it.

use std::fmt;
use std::str::FromStr;

use crate::events::Position;

/// How far a reader has come: all transactions before one, and of that one the
/// events up to a number. As text `17`, or `17.4` when more events of the
/// transaction follow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The last transaction of which something was read.
    position: Position,
    /// The `seq` up to which it was read; `None` when it was read to its end.
    seq: Option<u64>,
}

impl Cursor {
    /// Everything up to `position` was read.
    #[must_use]
    pub const fn after(position: Position) -> Self {
        Self { position, seq: None }
    }

    /// Of the transaction at `position` the events up to `seq` were read.
    #[must_use]
    pub const fn within(position: Position, seq: u64) -> Self {
        Self { position, seq: Some(seq) }
    }

    /// From where the outbox is read to go on.
    #[must_use]
    pub const fn read_from(self) -> Position {
        match self.seq {
            None => self.position,
            Some(_) => Position::new(self.position.number().saturating_sub(1)),
        }
    }

    /// The last transaction of which something was read.
    #[must_use]
    pub const fn position(self) -> Position {
        self.position
    }

    /// Whether the event `seq` of the transaction at `position` was read.
    #[must_use]
    pub fn has_passed(self, position: Position, seq: u64) -> bool {
        position < self.position
            || (position == self.position && self.seq.is_none_or(|read| seq <= read))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seq {
            None => write!(f, "{}", self.position.number()),
            Some(seq) => write!(f, "{}.{seq}", self.position.number()),
        }
    }
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is a number, or two with a dot between them")]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let number = |text: &str| {
            let digits = (1..=19).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            let number = if digits { text.parse::<u64>().ok() } else { None };
            number.filter(|number| i64::try_from(*number).is_ok()).ok_or(InvalidCursor)
        };
        match text.split_once('.') {
            None => Ok(Self::after(Position::new(number(text)?))),
            Some((position, seq)) => {
                Ok(Self::within(Position::new(number(position)?), number(seq)?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_knows_what_was_read() {
        for text in ["0", "17", "17.4", "9223372036854775807"] {
            assert_eq!(text.parse::<Cursor>().expect("a cursor").to_string(), text);
        }
        for bad in ["", " 1", "-1", "1.", ".1", "1.2.3", "9223372036854775808", "1e3", "+1"] {
            assert_eq!(bad.parse::<Cursor>(), Err(InvalidCursor), "{bad:?}");
        }
        let (before, here, later) = (Position::new(16), Position::new(17), Position::new(18));
        let within = Cursor::within(here, 4);
        assert_eq!(within.read_from(), before);
        assert!(within.has_passed(before, 9) && within.has_passed(here, 4));
        assert!(!within.has_passed(here, 5) && !within.has_passed(later, 1));
        let whole = Cursor::after(here);
        assert_eq!(whole.read_from(), here);
        assert!(whole.has_passed(here, 5) && !whole.has_passed(later, 1));
    }
}
