//! Documents as answers: made off the threads of requests, and a few at a time.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use tokio::sync::Semaphore;

use super::error::{ApiError, internal_error};
use crate::documents::{Document, DocumentError, write};
use crate::domain::error_code::ErrorCode;

/// Documents made at the same time. One of 5,000 people takes some megabytes of memory and a core for
/// a second; raising it leaves less of both to meetings.
const AT_ONCE: usize = 2;
/// How long a request waits for its turn. Beyond it the caller is told to come again.
const WAIT: Duration = Duration::from_secs(10);
const RETRY_AFTER_S: u32 = 10;

/// The media type of documents.
pub(super) const PDF: HeaderValue = HeaderValue::from_static("application/pdf");

/// Makes documents.
#[derive(Debug, Clone)]
pub(super) struct Press(Arc<Semaphore>);

impl Default for Press {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Press {
    /// Makes a document. `compose` puts it together, which takes time too.
    pub(super) async fn make(
        &self,
        compose: impl FnOnce() -> Document + Send + 'static,
    ) -> Result<Vec<u8>, ApiError> {
        let turn = tokio::time::timeout(WAIT, Arc::clone(&self.0).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            let message = "too many documents are being made";
            let refusal = ApiError::new(ErrorCode::RateLimited, message);
            return Err(refusal.retry_after_s(RETRY_AFTER_S));
        };
        let made = tokio::task::spawn_blocking(move || {
            // A caller who goes away does not make room for another one before this has ended.
            let _turn = turn;
            write(&compose())
        });
        match made.await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error @ DocumentError::TooLong)) => {
                Err(ApiError::new(ErrorCode::UnprocessableRequest, error.to_string()))
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "a document could not be made");
                Err(internal_error())
            }
            Err(error) => {
                tracing::error!(%error, "making a document panicked");
                Err(internal_error())
            }
        }
    }
}
