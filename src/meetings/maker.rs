//! Making the meeting of a session, once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::claims::{Claim, ClaimError, Claims};
use crate::domain::claim::Work;
use crate::domain::session::{Provider, Session};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::meetings::keeper::POLL_EVERY;
use crate::meetings::metrics;
use crate::meetings::provider::{VideoProvider, VideoProviders};
use crate::meetings::repository::{Intent, MeetingRepository, MeetingRow, MeetingState};
use crate::services::{MeetingAtProvider, ServiceError, WantedMeeting};
use crate::sessions::{Meeting, MeetingError, MeetingMaker};

/// Planned length of a session that does not say when it ends, in minutes.
const MINUTES_DEFAULT: u32 = 120;
/// Longest planned length that is told a provider, in minutes: a day.
const MINUTES_MAX: u32 = 1_440;
/// How long somebody waits while another request makes the meeting.
const BEING_MADE: Duration = Duration::from_secs(1);

/// Makes meetings at the providers that are configured. Cheap to clone.
#[derive(Clone)]
pub struct Meetings {
    pub(super) providers: Arc<VideoProviders>,
    pub(super) repository: Arc<dyn MeetingRepository>,
    pub(super) claims: Claims,
}

impl Meetings {
    /// Makes meetings with `providers`.
    #[must_use]
    pub fn new(
        providers: VideoProviders,
        repository: Arc<dyn MeetingRepository>,
        claims: Claims,
    ) -> Self {
        Self { providers: Arc::new(providers), repository, claims }
    }

    /// The client of a provider; `None` when it is not configured.
    pub(super) fn provider(&self, provider: Provider) -> Option<&dyn VideoProvider> {
        self.providers.get(&provider).map(|client| &**client)
    }

    async fn make_once(
        &self,
        session: &Session,
        origin: Option<[u8; 32]>,
        now: Timestamp,
    ) -> Result<Meeting, MeetingError> {
        let provider = session.provider;
        let client = self.provider(provider).ok_or(MeetingError::NotConfigured(provider))?;
        let intent = Intent { key: session.key(), provider, origin, at: now };
        let meeting = self.repository.intend(&intent).await.map_err(|error| unstored(&error))?;
        let claim = match self.claims.take(meeting.key, Work::Meeting).await {
            Ok(claim) => claim,
            Err(ClaimError::Taken) => return Err(being_made(provider)),
            Err(error) => return Err(MeetingError::Unstored(error.to_string())),
        };
        let made = self.make_under(&claim, client, (session, meeting), now).await;
        claim.release().await;
        metrics::made(provider, made.as_ref().err());
        made
    }

    /// Makes the meeting while nobody else can.
    pub(super) async fn make_under(
        &self,
        claim: &Claim,
        client: &dyn VideoProvider,
        (session, meeting): (&Session, MeetingRow),
        now: Timestamp,
    ) -> Result<Meeting, MeetingError> {
        let provider = session.provider;
        // Read again, since it may have been made before the claim was taken.
        let read = self.repository.of_session(meeting.key).await;
        let meeting = read.map_err(|error| unstored(&error))?.unwrap_or(meeting);
        let meeting = self.usable(claim, session, meeting, now).await?;
        if let Some(external_id) = &meeting.external_id {
            let found = client.find(external_id).await;
            if let Some(found) = found.map_err(|error| failed(provider, &error))? {
                return Ok(Meeting { session: meeting.key.session, url: found.join_url });
            }
        }
        let made = self.ask(claim, client, (session, &meeting), now).await?;
        let due_at = now.after(POLL_EVERY);
        let noted = self.repository.made(claim.fence(), &meeting, &made.external_id, due_at).await;
        noted.map_err(|error| unstored(&error))?;
        Ok(Meeting { session: meeting.key.session, url: made.join_url })
    }

    /// The row to go on with: one of this session that is closed, or was for another
    /// provider, is begun anew.
    async fn usable(
        &self,
        claim: &Claim,
        session: &Session,
        meeting: MeetingRow,
        now: Timestamp,
    ) -> Result<MeetingRow, MeetingError> {
        let provider = session.provider;
        let is_closed = meeting.state == MeetingState::Closed;
        let is_closing = meeting.state == MeetingState::Closing;
        if meeting.provider == provider && !is_closed && !is_closing {
            return Ok(meeting);
        }
        // The keeper is closing it, or closed it just now for a request that came back
        // too late; the next try begins anew.
        if is_closing || meeting.key.session != session.id {
            return Err(being_made(provider));
        }
        if !is_closed {
            self.leave(&meeting).await;
        }
        let begun = self.repository.begin_anew(claim.fence(), &meeting, provider, now).await;
        begun.map_err(|error| unstored(&error))?;
        let read = self.repository.of_session(meeting.key).await;
        read.map_err(|error| unstored(&error))?.ok_or_else(|| being_made(provider))
    }

    /// Closes what a session was to have at its former provider, as far as that answers.
    async fn leave(&self, meeting: &MeetingRow) {
        let Some(client) = self.provider(meeting.provider) else { return };
        let found = match &meeting.external_id {
            Some(external_id) => Ok(Some(external_id.clone())),
            None if meeting.attempted_at.is_some() => {
                let found = client.find_by_session(meeting.key.session).await;
                found.map(|found| found.map(|found| found.external_id))
            }
            None => Ok(None),
        };
        let left = match found {
            Ok(Some(external_id)) => client.close(&external_id).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = left {
            tracing::warn!(session = %meeting.key.session, %error, "a meeting stays unused");
        }
    }

    /// Asks the provider for the meeting: for one that an earlier call may have made, and
    /// then for a new one.
    async fn ask(
        &self,
        claim: &Claim,
        client: &dyn VideoProvider,
        (session, meeting): (&Session, &MeetingRow),
        now: Timestamp,
    ) -> Result<MeetingAtProvider, MeetingError> {
        let provider = meeting.provider;
        if meeting.attempted_at.is_some() {
            let found = client.find_by_session(meeting.key.session).await;
            if let Some(found) = found.map_err(|error| failed(provider, &error))? {
                return Ok(found);
            }
        }
        let noted = self.repository.attempted(claim.fence(), meeting, Some(now)).await;
        noted.map_err(|error| unstored(&error))?;
        // Nobody else may be making it from here on.
        claim.check().map_err(|_| being_made(provider))?;
        let wanted = wanted(session, meeting, now);
        let error = match client.create(&wanted).await {
            Ok(made) => return Ok(made),
            Err(error) => error,
        };
        if !error.may_exist
            && let Err(unnoted) = self.repository.attempted(claim.fence(), meeting, None).await
        {
            // The next try looks for it, and finds nothing.
            tracing::warn!(session = %meeting.key.session, error = %unnoted, "a try was not noted");
        }
        Err(failed(provider, &error.error))
    }
}

#[async_trait]
impl MeetingMaker for Meetings {
    async fn make(
        &self,
        session: &Session,
        origin: Option<[u8; 32]>,
        now: Timestamp,
    ) -> Result<Meeting, MeetingError> {
        self.make_once(session, origin, now).await
    }
}

fn wanted(session: &Session, meeting: &MeetingRow, now: Timestamp) -> WantedMeeting {
    let start_at = session.scheduled_start_at.unwrap_or(now).max(now);
    let planned = session.scheduled_end_at.map(|end| end.since(start_at).as_secs() / 60);
    let minutes = planned.map_or(MINUTES_DEFAULT, |minutes| {
        u32::try_from(minutes).unwrap_or(MINUTES_MAX).clamp(1, MINUTES_MAX)
    });
    WantedMeeting { session: meeting.key.session, title: session.title.clone(), start_at, minutes }
}

fn unstored(error: &StoreError) -> MeetingError {
    MeetingError::Unstored(error.to_string())
}

fn being_made(provider: Provider) -> MeetingError {
    let reason = "another request is making the meeting".to_owned();
    MeetingError::Unavailable { provider, reason, retry_after: BEING_MADE }
}

/// What a failure of a provider means for the caller.
fn failed(provider: Provider, error: &ServiceError) -> MeetingError {
    let (reason, retry_after) = (error.to_string(), error.retry_after());
    match error {
        limited if limited.is_limit() => MeetingError::LimitReached { provider, retry_after },
        ServiceError::Status { status, .. } | ServiceError::Refused { status, .. }
            if (400..500).contains(status) && *status != 408 =>
        {
            MeetingError::Refused { provider, reason }
        }
        _ => MeetingError::Unavailable { provider, reason, retry_after },
    }
}
