//! Plays cameras and sessions to viewers with a token (HLS). A token is exchanged once, for
//! addresses that hold as long as somebody watches: the token in the address that
//! a player began with may expire meanwhile.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::cameras::archive::Archive;
use crate::cameras::believed::{BELIEVED_FOR, Seen};
use crate::cameras::engine::playlist::{self, CaptionsAt};
use crate::cameras::engine::recorded;
use crate::cameras::engine::reload::{self, Directives, ReloadInvalid};
use crate::cameras::engine::segments::Segments;
use crate::cameras::engine::subtitles;
use crate::cameras::error::CameraError;
use crate::cameras::gateway::Gateway;
use crate::cameras::ingest::Stream;
use crate::cameras::metrics::{self, Asset};
use crate::cameras::repository::FilmsOf;
use crate::cameras::token::{Grant, TokenRefused};
use crate::cameras::waiting::{Full, Place, Waiting};
use crate::domain::camera::Unseen;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::domain::watched::Watched;

/// Longest wait for the first segment of a camera. Raising it lets more requests
/// wait; players then ask again.
const READY_TIME_MAX: Duration = Duration::from_secs(6);
/// Longest span of a recording in one playlist. Raising it makes larger playlists.
const RECORDED_MAX: Duration = Duration::from_hours(24);
/// Segments of a recording in one playlist; the rest of the span is left out. In so long a span
/// there are fewer, as long as segments are no shorter than two seconds.
const RECORDED_SEGMENTS_MAX: u32 = 45_000;
/// Why nothing is played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaybackError {
    /// There is no token.
    #[error("the address has no token")]
    TokenMissing,
    /// The token is not taken.
    #[error("{0}")]
    Token(#[from] TokenRefused),
    /// The token is for another camera or session.
    #[error("the token is for another camera or session")]
    ScopeMismatch,
    /// The stream session is over.
    #[error("the stream session is over; ask for a new one")]
    SessionClosed,
    /// The camera or session is not known any more.
    #[error("no such stream")]
    StreamNotFound,
    /// The camera does not send yet, or not now.
    #[error("the stream has nothing to play yet")]
    StreamNotReady,
    /// The playlist can't be waited for like that.
    #[error("{0}")]
    Reload(#[from] ReloadInvalid),
    /// The viewer has too many requests that wait.
    #[error("too many requests of this viewer wait already")]
    WaitLimit,
    /// The stream was ended.
    #[error("the stream was ended")]
    StreamStopped,
    /// There is no such playlist.
    #[error("no such playlist")]
    ManifestNotFound,
    /// There is no such segment, or not any more.
    #[error("no such segment, or not any more")]
    SegmentNotFound,
    /// Something about cameras.
    #[error(transparent)]
    Camera(CameraError),
}

impl PlaybackError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TokenMissing => ErrorCode::PlaybackTokenMissing,
            Self::Token(TokenRefused::Format) => ErrorCode::PlaybackTokenFormatInvalid,
            Self::Token(TokenRefused::Signature) => ErrorCode::PlaybackTokenSignatureInvalid,
            Self::Token(TokenRefused::Payload) => ErrorCode::PlaybackTokenPayloadInvalid,
            Self::Token(TokenRefused::Expired) => ErrorCode::PlaybackTokenExpired,
            Self::ScopeMismatch => ErrorCode::PlaybackTokenScopeMismatch,
            Self::SessionClosed => ErrorCode::PlaybackSessionClosed,
            Self::StreamNotFound => ErrorCode::PlaybackStreamNotFound,
            Self::StreamNotReady => ErrorCode::PlaybackStreamNotReady,
            Self::Reload(_) => ErrorCode::PlaybackReloadInvalid,
            Self::WaitLimit => ErrorCode::PlaybackWaitLimitReached,
            Self::StreamStopped => ErrorCode::PlaybackStreamStopped,
            Self::ManifestNotFound => ErrorCode::PlaybackManifestNotFound,
            Self::SegmentNotFound => ErrorCode::PlaybackSegmentNotFound,
            Self::Camera(error) => error.code(),
        }
    }
}

impl From<CameraError> for PlaybackError {
    fn from(error: CameraError) -> Self {
        match error {
            CameraError::CameraNotFound | CameraError::WatchedNotFound => Self::StreamNotFound,
            CameraError::WatchedOver | CameraError::WatchingOff => Self::StreamStopped,
            CameraError::SessionNotFound | CameraError::Transition(_) => Self::SessionClosed,
            CameraError::StreamLimit(_) | CameraError::Stopping | CameraError::WatchedNotBegun => {
                Self::StreamNotReady
            }
            error => Self::Camera(error),
        }
    }
}

/// What can be said of a stream beside its pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaybackState {
    /// Why nobody is seen; nothing when somebody is.
    pub unseen: Option<Unseen>,
    /// Whether nothing follows.
    pub has_ended: bool,
}

/// Plays the cameras of a gateway. Cheap to clone.
#[derive(Clone)]
pub struct Playback(Arc<Inner>);

struct Inner {
    gateway: Gateway,
    archive: Archive,
    waiting: Waiting,
    /// How often the use of a session is noted.
    touch_every: Duration,
}

impl Playback {
    /// Plays the cameras of `gateway`, and what is recorded of them in `archive`.
    #[must_use]
    pub fn new(gateway: Gateway, archive: Archive) -> Self {
        let touch_every = gateway.lifetimes().idle / 4;
        let waiting = Waiting::default();
        Self(Arc::new(Inner { gateway, archive, waiting, touch_every }))
    }

    /// Exchanges a token: the playlist that leads to the one with segments.
    ///
    /// # Errors
    /// Why nothing is played.
    pub async fn main(
        &self,
        (tenant, watched): (TenantId, &Watched),
        token: Option<&str>,
    ) -> Result<String, PlaybackError> {
        let answer = self.exchange((tenant, watched), token).await;
        count((tenant, watched), Asset::Main, &answer);
        answer
    }

    /// Exchanges a token: the playlist of what is recorded of a camera from the one time to the
    /// other. The camera is not called for it.
    ///
    /// # Errors
    /// Why nothing is played; [`PlaybackError::ManifestNotFound`] when nothing is recorded then.
    pub async fn recorded(
        &self,
        (tenant, watched): (TenantId, &Watched),
        token: Option<&str>,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<String, PlaybackError> {
        let answer = async {
            let grant = self.admitted((tenant, watched), token).await?;
            if from >= until || until.since(from) > RECORDED_MAX {
                let problem = "a span of time ends after it begins and has at most 24 hours";
                return Err(CameraError::Unusable { field: "to", problem }.into());
            }
            let camera = watched.camera().ok_or(PlaybackError::ManifestNotFound)?;
            let (gateway, span) = (&self.0.gateway, (from, until));
            let found = gateway.recorded((tenant, camera), span, RECORDED_SEGMENTS_MAX).await?;
            let session = self.session(grant);
            let text = recorded::playlist(&found, span, &format!("{session}/"));
            text.ok_or(PlaybackError::ManifestNotFound)
        };
        let answer = answer.await;
        count((tenant, watched), Asset::Recorded, &answer);
        answer
    }

    /// The playlist with segments, once there is in it what the query of its address waits for.
    ///
    /// # Errors
    /// Why nothing is played.
    pub async fn playlist(
        &self,
        (tenant, watched): (TenantId, &Watched),
        session: &str,
        query: &str,
    ) -> Result<Bytes, PlaybackError> {
        let answer = async {
            let (grant, stream) = self.watched((tenant, watched), session).await?;
            let directives = Directives::parse(query)?;
            self.ready(&grant, &stream, Asset::Playlist).await?;
            if let Some(place) = directives.until {
                let look = |segments: &Segments| {
                    reload::is_there(segments, place).map(|there| there.then_some(())).transpose()
                };
                self.awaited(&grant, &stream, look).await??;
            }
            stream.playlist(directives.skip).ok_or(PlaybackError::StreamNotReady)
        };
        let answer = answer.await;
        count((tenant, watched), Asset::Playlist, &answer);
        answer
    }

    /// The playlist with captions, once there is in it what the query of its address waits for.
    ///
    /// # Errors
    /// Why nothing is played.
    pub async fn captions_playlist(
        &self,
        (tenant, watched): (TenantId, &Watched),
        session: &str,
        query: &str,
    ) -> Result<String, PlaybackError> {
        let answer = async {
            let (grant, stream) = self.watched((tenant, watched), session).await?;
            self.0.gateway.captions().ok_or(PlaybackError::ManifestNotFound)?;
            let directives = Directives::parse(query)?;
            self.ready(&grant, &stream, Asset::Captions).await?;
            if let Some(reload::Place { segment, .. }) = directives.until {
                // There are no parts of captions.
                let whole = reload::Place { segment, part: None };
                let look = |segments: &Segments| {
                    reload::is_there(segments, whole).map(|there| there.then_some(())).transpose()
                };
                self.awaited(&grant, &stream, look).await??;
            }
            stream.find(subtitles::playlist).ok_or(PlaybackError::StreamNotReady)
        };
        let answer = answer.await;
        count((tenant, watched), Asset::Captions, &answer);
        answer
    }

    /// The captions of a segment.
    ///
    /// # Errors
    /// Why nothing is played.
    pub async fn captions(
        &self,
        (tenant, watched): (TenantId, &Watched),
        session: &str,
        name: &str,
    ) -> Result<String, PlaybackError> {
        let answer = async {
            let (_, stream) = self.watched((tenant, watched), session).await?;
            let captions = self.0.gateway.captions().ok_or(PlaybackError::SegmentNotFound)?;
            let file = stream.find(|segments| {
                let segment = segments.captioned(name)?;
                let said = captions.of_segment((tenant, watched), segment.number);
                Some(subtitles::file(segment, &said))
            });
            file.ok_or(PlaybackError::SegmentNotFound)
        };
        let answer = answer.await;
        count((tenant, watched), Asset::Captions, &answer);
        answer
    }

    /// What can be said of a stream beside its pictures.
    ///
    /// # Errors
    /// Why nothing is played.
    pub async fn state(
        &self,
        (tenant, watched): (TenantId, &Watched),
        session: &str,
    ) -> Result<PlaybackState, PlaybackError> {
        let answer = async {
            let (_, stream) = self.watched((tenant, watched), session).await?;
            Ok(PlaybackState { unseen: stream.unseen(), has_ended: stream.has_ended() })
        };
        let answer = answer.await;
        count((tenant, watched), Asset::State, &answer);
        answer
    }

    /// A segment, a part of one, or the header of some, live or recorded. The part that is made now is waited for.
    ///
    /// # Errors
    /// Why nothing is played.
    pub async fn file(
        &self,
        (tenant, watched): (TenantId, &Watched),
        session: &str,
        name: &str,
    ) -> Result<Bytes, PlaybackError> {
        let answer = async {
            if let Some(file) = recorded::parsed(name) {
                self.watching((tenant, watched), session).await?;
                let camera = watched.camera().ok_or(PlaybackError::SegmentNotFound)?;
                let of = FilmsOf::Camera(camera.clone());
                let found = self.0.archive.file(tenant, &of, file).await?;
                return found.ok_or(PlaybackError::SegmentNotFound);
            }
            let (grant, stream) = self.watched((tenant, watched), session).await?;
            let look = |segments: &Segments| {
                let file = segments.file(name);
                (file.is_some() || !segments.is_hinted(name)).then_some(file)
            };
            let found = self.awaited(&grant, &stream, look).await?;
            found.ok_or(PlaybackError::SegmentNotFound)
        };
        let answer = answer.await;
        count((tenant, watched), Asset::Segment, &answer);
        answer
    }

    async fn exchange(
        &self,
        (tenant, watched): (TenantId, &Watched),
        token: Option<&str>,
    ) -> Result<String, PlaybackError> {
        let gateway = &self.0.gateway;
        let grant = self.admitted((tenant, watched), token).await?;
        if let Some(camera) = watched.camera() {
            gateway.camera(tenant, camera).await?;
        }
        let stream = gateway.want(tenant, watched).await?;
        self.ready(&grant, &stream, Asset::Main).await?;
        let look = stream.look().ok_or(PlaybackError::StreamNotReady)?;
        let session = self.session(grant);
        let offered = gateway.captions().and_then(|it| it.offered((tenant, watched)));
        let address = format!("{session}/captions.m3u8");
        let captions = offered
            .as_ref()
            .map(|offered| CaptionsAt { address: &address, language: offered.language.as_deref() });
        Ok(playlist::main(&look, &format!("{session}/media.m3u8"), captions))
    }

    /// What a token grants, whose session is active from now on. Who is no viewer any more learns
    /// nothing of the camera, and a full tenant calls none.
    async fn admitted(
        &self,
        (tenant, watched): (TenantId, &Watched),
        token: Option<&str>,
    ) -> Result<Grant, PlaybackError> {
        let gateway = &self.0.gateway;
        let token = token.filter(|token| !token.is_empty()).ok_or(PlaybackError::TokenMissing)?;
        let grant = gateway.secret().open(token, gateway.use_time().judged)?;
        in_scope(&grant, tenant, watched)?;
        gateway.activate(tenant, grant.session).await?;
        Ok(grant)
    }

    /// The playback session of a grant, which stands in addresses.
    fn session(&self, grant: Grant) -> String {
        let gateway = &self.0.gateway;
        let until = gateway.now().after(gateway.lifetimes().absolute);
        gateway.secret().sign_session(&Grant { expires_at: until, ..grant })
    }

    /// The stream that a playback session is for, if somebody may watch it.
    async fn watched(
        &self,
        (tenant, watched): (TenantId, &Watched),
        session: &str,
    ) -> Result<(Grant, Arc<Stream>), PlaybackError> {
        let grant = self.watching((tenant, watched), session).await?;
        let stream = self.0.gateway.want(tenant, watched).await?;
        Ok((grant, stream))
    }

    /// What a playback session grants, if somebody may watch.
    async fn watching(
        &self,
        (tenant, watched): (TenantId, &Watched),
        session: &str,
    ) -> Result<Grant, PlaybackError> {
        let gateway = &self.0.gateway;
        // The time of one that is watched here is counted.
        let is_counted = |session| gateway.believed().seen(session).is_some();
        let judged = gateway.use_time().judged;
        let opened = gateway.secret().open_session(session, judged, is_counted);
        let grant = opened.map_err(|refused| {
            // The address was made here, so its time is that of the session.
            if refused == TokenRefused::Expired {
                PlaybackError::SessionClosed
            } else {
                refused.into()
            }
        })?;
        in_scope(&grant, tenant, watched)?;
        self.is_active(&grant).await?;
        Ok(grant)
    }

    /// Whether the stream session is active; that it is used is noted now and then.
    async fn is_active(&self, grant: &Grant) -> Result<(), PlaybackError> {
        let (time, session) = (self.0.gateway.use_time(), grant.session);
        let (believed, now) = (self.0.gateway.believed(), time.counted);
        let seen = believed.seen(session);
        if seen.is_some_and(|seen| seen.holds(now)) {
            return Ok(());
        }
        let touched_at = seen.map(|seen| seen.touched_at);
        let touch = touched_at.is_none_or(|at| now.saturating_sub(at) >= self.0.touch_every);
        let (of, ends_at) = ((grant.tenant, session), seen.map(|seen| seen.ends_at));
        let active = self.0.gateway.use_session(of, ends_at, (touch, time)).await?;
        let Some(ends_at) = active else {
            believed.forget(session);
            return Err(PlaybackError::SessionClosed);
        };
        let touched_at = touched_at.filter(|_| !touch).unwrap_or(now);
        believed.insert(session, Seen { at: now, touched_at, ends_at });
        Ok(())
    }

    /// Waits for the first segment.
    async fn ready(
        &self,
        grant: &Grant,
        stream: &Stream,
        asset: Asset,
    ) -> Result<(), PlaybackError> {
        if stream.look().is_some() {
            return Ok(());
        }
        metrics::retried(grant.tenant, &grant.watched, asset);
        let _place = self.place(grant)?;
        match tokio::time::timeout(READY_TIME_MAX, stream.ready()).await {
            Ok(true) => Ok(()),
            Ok(false) if stream.is_closed() => Err(PlaybackError::StreamStopped),
            Ok(false) | Err(_) => Err(PlaybackError::StreamNotReady),
        }
    }

    /// Waits until `look` finds something in the segments: until the session or the stream is
    /// over, or for as long as a player is to wait.
    async fn awaited<T>(
        &self,
        grant: &Grant,
        stream: &Stream,
        look: impl Fn(&Segments) -> Option<T>,
    ) -> Result<T, PlaybackError> {
        if let Some(found) = stream.find(&look) {
            return Ok(found);
        }
        let _place = self.place(grant)?;
        let target_s = stream.find(Segments::target_s).ok_or(PlaybackError::StreamNotReady)?;
        let longest = Duration::from_secs(target_s) * reload::TARGETS_WAITED;
        tokio::select! {
            found = stream.until(look) => found.ok_or(PlaybackError::StreamStopped),
            over = self.over(grant) => Err(over),
            () = tokio::time::sleep(longest) => Err(PlaybackError::StreamNotReady),
        }
    }

    /// Until the session that a grant is for is over. Another instance may end it, so it is
    /// looked up as often as if requests came.
    async fn over(&self, grant: &Grant) -> PlaybackError {
        loop {
            tokio::time::sleep(BELIEVED_FOR).await;
            if let Err(error) = self.is_active(grant).await {
                return error;
            }
        }
    }

    fn place(&self, grant: &Grant) -> Result<Place, PlaybackError> {
        self.0.waiting.take(grant).map_err(|full| match full {
            Full::Viewer => PlaybackError::WaitLimit,
            Full::Server => PlaybackError::StreamNotReady,
        })
    }
}

fn in_scope(grant: &Grant, tenant: TenantId, watched: &Watched) -> Result<(), PlaybackError> {
    if grant.tenant == tenant && grant.watched == *watched {
        Ok(())
    } else {
        Err(PlaybackError::ScopeMismatch)
    }
}

/// Counts a request. Whoever has no token for what is watched makes no label of it.
fn count<T>(watched: (TenantId, &Watched), asset: Asset, answer: &Result<T, PlaybackError>) {
    let error = answer.as_ref().err();
    let is_stranger = matches!(
        error,
        Some(PlaybackError::TokenMissing | PlaybackError::Token(_) | PlaybackError::ScopeMismatch)
    );
    let watched = (!is_stranger).then_some(watched);
    metrics::requested(watched, asset, error.map(PlaybackError::code));
}
