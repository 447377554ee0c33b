//! `/api/v1/events`: the events of a tenant, as they happen.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::Api;
use super::body::query;
use super::caller::{Credentials, PersonOrService};
use super::error::ApiError;
use super::json_forms::Id;
use super::refusals::{READER, SERVICE, refusals};
use crate::delivery::{Cursor, EventStream, FeedError, Start, StreamError, StreamItem};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::TenantId;
use crate::domain::role::Action;
use crate::domain::service_route::ServiceRoute;
use crate::events::OutboxError;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// What tells proxies not to hold back what comes.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// `after` of a reader that wants what comes from now on.
const NOW: &str = "now";
/// How long a reader waits before it connects again, milliseconds.
const RECONNECT_MS: u32 = 2_000;
/// When somebody should ask again after events could not be read, or there were
/// too many streams.
const RETRY_AFTER_S: u32 = 5;

/// Which events are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsParameters {
    /// The `id` of the last event that was read, or `now` for what comes from now
    /// on. Without it the stream begins with the oldest event that is kept. The
    /// header `Last-Event-ID` goes before it.
    after: Option<String>,
    /// Whose events: services name a tenant, people read those of their own.
    #[param(value_type = Option<String>, format = Uuid)]
    tenant_id: Option<Id<TenantId>>,
}

refusals!(EventsRefusals: READER, SERVICE, &[ErrorCode::UnprocessableRequest, ErrorCode::EventStreamLimitReached, ErrorCode::EventsExpired]);

/// Streams the events of a tenant: those that happened after a cursor, and then
/// each as it happens, for as long as the reader stays. Each is an event of
/// `CloudEvents` 1.0 in JSON, with its cursor as `id`. Those of one session come in
/// order; one may come again, with the same `id` inside the event. A comment comes
/// when nothing has happened for 15 seconds.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", operation_id = "readEvents",
    security(("bearer" = []), ("service" = [])),
    params(EventsParameters, ("Last-Event-ID" = Option<String>, Header, description = "as `after`")),
    responses(
        (status = 200, description = "Server-sent events", body = String, content_type = "text/event-stream"),
        EventsRefusals,
    )
)]
pub(super) async fn stream(
    State(api): State<Api>,
    credentials: Credentials,
    parts: Parts,
) -> Result<Response, ApiError> {
    let caller = credentials.reader_or_service(&api, Action::ReadEvents, ServiceRoute::ReadEvents);
    let caller = caller.await?.of_tenant()?;
    let parameters: EventsParameters = query(&parts)?;
    let wanted = parameters.tenant_id.map(|id| id.0);
    let (tenant, lasts) = match caller {
        PersonOrService::Person(person)
            if wanted.is_none_or(|wanted| wanted == person.tenant_id) =>
        {
            (person.tenant_id, Some(person.expires_at.since(api.wall.now())))
        }
        PersonOrService::Person(_) => {
            return Err(unprocessable("tenant_id: people read events of their own tenant"));
        }
        PersonOrService::Service(_) => {
            let missing = || unprocessable("tenant_id: a service names the tenant");
            (wanted.ok_or_else(missing)?, None)
        }
    };
    let start = start_of(&credentials.headers, parameters.after.as_deref())?;
    let stream = api.events.open(tenant, start, lasts).await?;
    Ok(sent(stream))
}

fn unprocessable(message: &str) -> ApiError {
    ApiError::new(ErrorCode::UnprocessableRequest, message)
}

fn start_of(headers: &HeaderMap, after: Option<&str>) -> Result<Start, ApiError> {
    let cursor = |text: &str, field: &str| {
        let cursor = text.parse::<Cursor>();
        cursor.map_err(|error| ApiError::malformed_field(field, &error.to_string()))
    };
    match (headers.get(LAST_EVENT_ID), after) {
        (Some(last), _) => {
            let text = last.to_str().unwrap_or_default();
            Ok(Start::After(cursor(text, "Last-Event-ID")?))
        }
        (None, Some(NOW)) => Ok(Start::Newest),
        (None, Some(after)) => Ok(Start::After(cursor(after, "after")?)),
        (None, None) => Ok(Start::Oldest),
    }
}

impl From<StreamError> for ApiError {
    fn from(error: StreamError) -> Self {
        let message = error.to_string();
        match error {
            StreamError::Full(_) => {
                Self::new(ErrorCode::EventStreamLimitReached, message).retry_after_s(RETRY_AFTER_S)
            }
            StreamError::Feed(FeedError::Ahead) => unprocessable(&message),
            StreamError::Feed(FeedError::Outbox(OutboxError::Expired { oldest })) => {
                Self::new(ErrorCode::EventsExpired, message)
                    .with_details(json!({"oldest": Cursor::after(oldest).to_string()}))
            }
            StreamError::Feed(FeedError::Outbox(error)) => {
                tracing::error!(%error, "events can't be read");
                Self::new(ErrorCode::DependencyUnavailable, "events can't be read now")
                    .retry_after_s(RETRY_AFTER_S)
            }
        }
    }
}

/// A stream as it is sent: made as the client takes it.
fn sent(stream: EventStream) -> Response {
    let frames = futures_util::stream::unfold(stream, |mut stream| async move {
        let frame = stream.next().await?.map(|item| Bytes::from(frame(&item)));
        Some((frame, stream))
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(frames)).into_response()
}

/// An item as server-sent events have it. One without data only tells the reader
/// where it stands.
fn frame(item: &StreamItem) -> String {
    match item {
        StreamItem::Event(placed) => {
            format!("id: {}\ndata: {}\n\n", placed.cursor, placed.event.to_json())
        }
        StreamItem::Heartbeat(cursor) => {
            format!(": heartbeat\nretry: {RECONNECT_MS}\nid: {cursor}\n\n")
        }
    }
}
