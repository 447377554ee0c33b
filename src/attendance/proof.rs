//! What proves that somebody is present, and what is kept of it.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::domain::attendance::AttendanceMethod;
use crate::domain::id::UserId;

/// SHA-256 of what was presented. Nothing else of it is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PresentedHash([u8; 32]);

impl PresentedHash {
    /// The hash of what was presented.
    #[must_use]
    pub fn of(presented: &[u8]) -> Self {
        Self(Sha256::digest(presented).into())
    }

    /// A hash that was kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PresentedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresentedHash(")?;
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

/// A proof that the identity service has validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A contextual QR code. It is valid once, whoever presents it.
    Qr(PresentedHash),
    /// A code sent by SMS or e-mail. It is valid once for each person: two
    /// people may be sent the same digits.
    Code(PresentedHash),
    /// A biometric sample. Not even its hash is kept; the identity service
    /// decides whether it is live.
    Biometric,
}

impl Proof {
    /// How it proves.
    #[must_use]
    pub const fn method(&self) -> AttendanceMethod {
        match self {
            Self::Qr(_) => AttendanceMethod::Qr,
            Self::Code(_) => AttendanceMethod::Code,
            Self::Biometric => AttendanceMethod::Biometric,
        }
    }

    /// The hash that is kept.
    #[must_use]
    pub const fn hash(&self) -> Option<PresentedHash> {
        match self {
            Self::Qr(hash) | Self::Code(hash) => Some(*hash),
            Self::Biometric => None,
        }
    }

    /// What a later proof must differ from.
    pub(super) fn once(&self, user: &UserId) -> Option<Presented> {
        match self {
            Self::Qr(hash) => Some(Presented { by: None, hash: *hash }),
            Self::Code(hash) => Some(Presented { by: Some(user.clone()), hash: *hash }),
            Self::Biometric => None,
        }
    }
}

/// Something that may be presented once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Presented {
    /// Whose it is; `None` when nobody else may present it either.
    pub(super) by: Option<UserId>,
    pub(super) hash: PresentedHash,
}

/// Whether a person agreed that their location is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// They agreed, for this validation.
    Given,
    /// They did not.
    NotGiven,
}

/// Where somebody roughly was, to a tenth of a degree: about 11 km, which says
/// the town and not the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoarseLocation {
    latitude_tenths: i16,
    longitude_tenths: i16,
}

impl CoarseLocation {
    /// The location in tenths of a degree; `None` without consent, or when there
    /// is no such place on earth.
    #[must_use]
    pub fn new(latitude: f64, longitude: f64, consent: Consent) -> Option<Self> {
        let exists = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        (exists && consent == Consent::Given).then(|| Self {
            latitude_tenths: tenths(latitude),
            longitude_tenths: tenths(longitude),
        })
    }

    /// Latitude and longitude in tenths of a degree.
    #[must_use]
    pub const fn tenths(self) -> (i16, i16) {
        (self.latitude_tenths, self.longitude_tenths)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "degrees are within 180, so tenths are within 1,800"
)]
fn tenths(degrees: f64) -> i16 {
    (degrees * 10.0).round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_coarse_and_needs_consent() {
        let location = CoarseLocation::new(4.711_12, -74.072_09, Consent::Given);
        assert_eq!(location.map(CoarseLocation::tenths), Some((47, -741)));
        assert_eq!(CoarseLocation::new(4.7, -74.0, Consent::NotGiven), None);
        for (latitude, longitude) in [(90.1, 0.0), (0.0, -180.1), (f64::NAN, 0.0)] {
            assert_eq!(CoarseLocation::new(latitude, longitude, Consent::Given), None);
        }
    }

    #[test]
    fn a_hash_is_plain_sha256_and_prints_shortened() {
        // FIPS 180-4, the example of "abc".
        let hash = PresentedHash::of(b"abc");
        assert_eq!(hash.as_bytes()[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(format!("{hash:?}"), "PresentedHash(ba7816bf…)");
    }
}
