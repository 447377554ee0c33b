//! Presence: how it is proven, where, how it ends, and how much weight it has.

use std::fmt;
use std::str::FromStr;

use crate::domain::error_code::ErrorCode;
use crate::domain::id::InvalidId;
use crate::domain::named_values::named_values;
use crate::domain::shown_text::shown_id;

named_values!(
    /// How presence was established.
    AttendanceMethod {
        /// A contextual QR code that the identity service validated.
        Qr => "qr",
        /// A biometric sample that the identity service validated.
        Biometric => "biometric",
        /// A code sent by SMS or e-mail that the identity service validated.
        Code => "code",
        /// A moderator registered them from the eligible list.
        Manual => "manual",
        /// They joined the room.
        Channel => "channel",
    }
);
named_values!(
    /// Where somebody is present.
    Place {
        /// In the hall. They stay until they are marked as left.
        Hall => "hall",
        /// Through a connection to the room, as long as it lasts.
        Remote => "remote",
    }
);
named_values!(
    /// Why somebody is no longer present.
    LeaveCause {
        /// A moderator marked them as left.
        MarkedLeft => "marked_left",
        /// A moderator revoked a registration that was a mistake.
        TakenBack => "taken_back",
        /// Their last connection to the room ended.
        Disconnected => "disconnected",
        /// Being connected is no longer sufficient proof, and they gave no other.
        ProofRequired => "proof_required",
        /// The session ended.
        SessionEnded => "session_ended",
    }
);
named_values!(
    /// The call under which an assembly meets. The second usually needs a
    /// smaller share.
    QuorumCall {
        /// The first call.
        First => "first",
        /// The second call.
        Second => "second",
    }
);

named_values!(
    /// Why a proof of presence was refused.
    AttendanceFailure {
        /// The identity service says that it is not valid.
        Invalid => "invalid",
        /// It has expired.
        Expired => "expired",
        /// It was presented before.
        Replayed => "replayed",
        /// It is for another session, tenant or person.
        WrongContext => "wrong_context",
        /// The person is not eligible.
        NotEligible => "not_eligible",
        /// Too many attempts.
        RateLimited => "rate_limited",
        /// The identity service does not answer, or its answer can't be used.
        ServiceUnavailable => "service_unavailable",
    }
);

impl AttendanceFailure {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Invalid => ErrorCode::ProofInvalid,
            Self::Expired => ErrorCode::ProofExpired,
            Self::Replayed => ErrorCode::ProofReplayed,
            Self::WrongContext => ErrorCode::ProofWrongContext,
            Self::NotEligible => ErrorCode::NotEligible,
            Self::RateLimited => ErrorCode::RateLimited,
            Self::ServiceUnavailable => ErrorCode::DependencyUnavailable,
        }
    }
}

/// Millionths in one.
const SCALE: u64 = 1_000_000;
/// Decimal places of a weight.
const DECIMALS: usize = 6;

/// The weight of a unit, such as a share of ownership: a decimal number with at
/// most six places, kept exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Weight(u64);

/// The text is not a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a decimal number of at most {DECIMALS} places between 0 and 100000000")]
pub struct InvalidWeight;

impl Weight {
    /// No weight.
    pub const ZERO: Self = Self(0);
    /// The largest weight of one unit, in millionths. With it the sum over
    /// every unit of a roll still fits in 64 bits.
    pub const MILLIONTHS_MAX: u64 = 100_000_000 * SCALE;

    /// A weight from millionths.
    #[must_use]
    pub const fn from_millionths(millionths: u64) -> Self {
        Self(millionths)
    }

    /// The weight in millionths.
    #[must_use]
    pub const fn millionths(self) -> u64 {
        self.0
    }

    /// The sum; the largest number instead of an overflow.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference; zero instead of a negative number.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl FromStr for Weight {
    type Err = InvalidWeight;

    fn from_str(text: &str) -> Result<Self, InvalidWeight> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > DECIMALS {
            return Err(InvalidWeight);
        }
        let whole: u64 = whole.parse().map_err(|_| InvalidWeight)?;
        let fraction: u64 = format!("{fraction:0<DECIMALS$}").parse().map_err(|_| InvalidWeight)?;
        let millionths = whole.checked_mul(SCALE).and_then(|it| it.checked_add(fraction));
        millionths.filter(|it| *it <= Self::MILLIONTHS_MAX).map(Self).ok_or(InvalidWeight)
    }
}

/// The shortest decimal text.
impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / SCALE, self.0 % SCALE);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let fraction = format!("{fraction:0DECIMALS$}");
        write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
    }
}

/// A unit that is represented in an assembly, as the user-profiles service
/// names it: a dwelling, a share, a seat. 1 to 64 characters without control
/// characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId(String);

impl UnitId {
    /// Longest identifier accepted, in characters.
    pub const LENGTH_MAX: usize = 64;

    /// The identifier.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UnitId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let shown = shown_id(text);
        if (1..=Self::LENGTH_MAX).contains(&shown.chars().count()) {
            Ok(Self(shown))
        } else {
            Err(InvalidId { expected: "unit id" })
        }
    }
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_reads_back_exactly() {
        for text in ["0", "1", "1.25", "0.000001", "33.333333", "100000000"] {
            let weight: Weight = text.parse().expect("a weight");
            assert_eq!(weight.to_string(), text);
        }
        assert_eq!("1.250000".parse::<Weight>().expect("a weight").to_string(), "1.25");
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "0.0000001", "100000000.1"] {
            assert_eq!(text.parse::<Weight>(), Err(InvalidWeight), "{text:?} was taken");
        }
    }

    #[test]
    fn a_unit_id_has_no_invisible_difference() {
        let unit: UnitId = "Torre A 101".parse().expect("a unit");
        for same in [
            " Torre A 101",
            "Torre  A 101 ",
            "Torre\u{a0}A\u{2003}101",
            "Torre A\n101",
            "Torre A 1\u{200b}01",
            "\u{202e}Torre A 101",
        ] {
            assert_eq!(same.parse::<UnitId>().as_ref(), Ok(&unit), "{same:?}");
        }
        for bad in ["", " ", "\u{200b}\u{202e}", &"x".repeat(65)] {
            assert!(bad.parse::<UnitId>().is_err(), "{bad:?} was taken");
        }
    }
}
