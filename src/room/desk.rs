//! The desk: whoever proves that they are present does it here. It counts attempts,
//! asks the room, then the identity service, and tells the room.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::attendance::ports::{PresenceVerifier, Presentation};
use crate::attendance::{AttendanceError, CoarseLocation, PresentedHash, Proof, ValidationLimiter};
use crate::clock::Clock;
use crate::domain::attendance::{AttendanceFailure, AttendanceMethod, Place};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{SessionId, SessionKey, UserId};
use crate::domain::participant::Principal;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::room::Rooms;
use crate::room::action::AttendanceAction;
use crate::room::engine::{AttendeeAnswer, ProofCheck};
use crate::room::error::RoomError;

/// Longest that the identity service is waited for, its client's own attempts
/// together. What it answers later is not heard.
const VERIFY_TIME_MAX: Duration = Duration::from_secs(12);
/// How long a validation is remembered that the room did not store: the identity
/// service takes what was presented once, so it is not asked about the next attempt.
const VERIFIED_FOR: Duration = Duration::from_mins(10);
/// Most of them. Raising it costs 100 bytes each.
const VERIFIED_MAX: usize = 10_000;

/// What somebody presents.
#[derive(Debug)]
pub struct Presented {
    /// How it proves.
    pub method: AttendanceMethod,
    /// It, as it came.
    pub secret: Secret<String>,
    /// What a sample is of, or how a code was sent, as the person says.
    pub variant: Option<String>,
    /// Where they say they are.
    pub place: Option<Place>,
    /// Where they roughly are, when they agreed to say.
    pub location: Option<CoarseLocation>,
}

/// Why presence was not proven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// The room or attendance refuses.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The identity service does not take it.
    #[error("{}", message_of(*.0))]
    Refused(AttendanceFailure),
    /// Too many attempts; after how long there is another.
    #[error("too many attempts to prove presence")]
    TooMany(Duration),
    /// This server was set up without an identity service.
    #[error("this server was set up without a service that validates presence")]
    NotConfigured,
}

const fn message_of(failure: AttendanceFailure) -> &'static str {
    match failure {
        AttendanceFailure::Invalid => "what was presented is not valid",
        AttendanceFailure::Expired => "what was presented has expired",
        AttendanceFailure::Replayed => "what was presented was used before",
        AttendanceFailure::WrongContext => {
            "what was presented is for another session, tenant or person"
        }
        AttendanceFailure::NotEligible => "this person is not eligible",
        AttendanceFailure::RateLimited => "too many attempts to prove presence",
        AttendanceFailure::ServiceUnavailable => "the identity service does not answer",
    }
}

impl DeskError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Room(error) => error.code(),
            Self::Refused(failure) => failure.code(),
            Self::TooMany(_) => ErrorCode::RateLimited,
            Self::NotConfigured => ErrorCode::DependencyUnavailable,
        }
    }

    /// How it is written down; `None` when it is no failure of a proof.
    const fn failure(&self) -> Option<AttendanceFailure> {
        match self {
            Self::Room(RoomError::Attendance(AttendanceError::Replayed)) => {
                Some(AttendanceFailure::Replayed)
            }
            Self::Room(RoomError::Attendance(AttendanceError::NotEligible)) => {
                Some(AttendanceFailure::NotEligible)
            }
            Self::Room(_) => None,
            Self::Refused(failure) => Some(*failure),
            Self::TooMany(_) => Some(AttendanceFailure::RateLimited),
            Self::NotConfigured => Some(AttendanceFailure::ServiceUnavailable),
        }
    }
}

/// See the module. Clones share it.
#[derive(Clone)]
pub struct Desk {
    rooms: Rooms,
    verifier: Option<Arc<dyn PresenceVerifier>>,
    limiter: Arc<Mutex<ValidationLimiter>>,
    /// What was validated and is not stored yet, and until when that holds.
    verified: Arc<Mutex<BTreeMap<Verified, Timestamp>>>,
    clock: Clock,
}

/// A proof that the identity service has validated.
type Verified = (SessionId, UserId, PresentedHash);

impl Desk {
    /// A desk before these rooms. Without a verifier nothing can be validated.
    #[must_use]
    pub fn new(rooms: Rooms, verifier: Option<Arc<dyn PresenceVerifier>>, clock: Clock) -> Self {
        Self { rooms, verifier, limiter: Arc::default(), verified: Arc::default(), clock }
    }

    /// Somebody presents something to prove that they are present. The same again
    /// by the same person changes nothing.
    ///
    /// # Errors
    /// See [`DeskError`]. What was refused to a person of an active session is
    /// counted and written down.
    pub async fn validate(
        &self,
        person: &Principal,
        session: SessionId,
        presented: Presented,
    ) -> Result<AttendeeAnswer, DeskError> {
        let method = presented.method;
        let outcome = Box::pin(self.try_validate(person, session, presented)).await;
        if let Some(failure) = outcome.as_ref().err().and_then(DeskError::failure) {
            let who = (person.user_id.clone(), method);
            self.rooms
                .proof_refused(SessionKey::new(person.tenant_id, session), who, failure)
                .await;
        }
        outcome
    }

    async fn try_validate(
        &self,
        person: &Principal,
        session: SessionId,
        presented: Presented,
    ) -> Result<AttendeeAnswer, DeskError> {
        let Presented { method, secret, variant, place, location } = presented;
        let (tenant, user) = (person.tenant_id, person.user_id.clone());
        // A session that does not exist or is not active is no attempt.
        let assembly = self.rooms.assembly(SessionKey::new(tenant, session)).await?;
        self.count(person)?;
        let hash = || PresentedHash::of(secret.expose().as_bytes());
        let proof = match method {
            AttendanceMethod::Qr => Proof::Qr(hash()),
            AttendanceMethod::Code => Proof::Code(hash()),
            AttendanceMethod::Biometric => Proof::Biometric,
            AttendanceMethod::Manual | AttendanceMethod::Channel => {
                return Err(DeskError::Refused(AttendanceFailure::Invalid));
            }
        };
        let key = SessionKey::new(tenant, session);
        let repeats = match self.rooms.check_proof(key, user.clone(), proof).await? {
            ProofCheck::Holds(answer) => return Ok(*answer),
            ProofCheck::Repeats => true,
            ProofCheck::Wanted => false,
        };
        let whose = user.clone();
        let presentation =
            Presentation { method, secret, tenant, session, assembly, user: whose, variant };
        let once = proof.hash().map(|hash| (session, user.clone(), hash));
        if !repeats && !once.as_ref().is_some_and(|it| self.was_verified(it)) {
            self.verify(&presentation).await?;
            // Before the room is told: the caller may hang up meanwhile.
            if let Some(once) = &once {
                self.remember(once.clone());
            }
        }
        drop(presentation);
        let name = person.name.clone();
        let action = AttendanceAction::Prove { user: user.clone(), name, proof, place, location };
        let answer = self.rooms.attend_person(key, user, action).await?;
        if let Some(once) = &once {
            self.forget(once);
        }
        Ok(answer)
    }

    /// Whether this was validated before, but could not be stored.
    fn was_verified(&self, once: &Verified) -> bool {
        self.verified().get(once).is_some_and(|until| self.clock.now() < *until)
    }

    fn remember(&self, once: Verified) {
        let now = self.clock.now();
        let mut verified = self.verified();
        verified.retain(|_, until| now < *until);
        if verified.len() < VERIFIED_MAX {
            verified.insert(once, now.after(VERIFIED_FOR));
        }
    }

    fn forget(&self, once: &Verified) {
        self.verified().remove(once);
    }

    fn verified(&self) -> MutexGuard<'_, BTreeMap<Verified, Timestamp>> {
        // A panic of another holder can't leave the map half changed.
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, person: &Principal) -> Result<(), DeskError> {
        // A panic of another holder can't leave the counts half changed.
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = limiter.handle_attempt(person.tenant_id, &person.user_id, self.clock.now());
        counted.map_err(DeskError::TooMany)
    }

    async fn verify(&self, presentation: &Presentation) -> Result<(), DeskError> {
        let verifier = self.verifier.as_ref().ok_or(DeskError::NotConfigured)?;
        let answer = tokio::time::timeout(VERIFY_TIME_MAX, verifier.verify(presentation)).await;
        let whose = answer
            .unwrap_or(Err(AttendanceFailure::ServiceUnavailable))
            .map_err(DeskError::Refused)?;
        if whose == presentation.user {
            Ok(())
        } else {
            Err(DeskError::Refused(AttendanceFailure::WrongContext))
        }
    }
}
