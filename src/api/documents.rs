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
pub(super) struct Press {
    turns: Arc<Semaphore>,
    wait: Duration,
}

impl Default for Press {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), wait: WAIT }
    }
}

impl Press {
    /// Makes a document. `compose` puts it together, which takes time too.
    pub(super) async fn make(
        &self,
        compose: impl FnOnce() -> Document + Send + 'static,
    ) -> Result<Vec<u8>, ApiError> {
        let turn = tokio::time::timeout(self.wait, Arc::clone(&self.turns).acquire_owned()).await;
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

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::http::header::RETRY_AFTER;
    use axum::response::IntoResponse as _;

    use super::*;
    use crate::documents::{Attachment, Footer, Form};
    use crate::domain::time::Timestamp;

    fn document() -> Document {
        Document {
            title: "Lista de asistencia".to_owned(),
            language: "es",
            made_at: Timestamp::from_unix_us(0),
            id: "urn:uuid:018f#attendance".to_owned(),
            form: Form::Portrait,
            blocks: Vec::new(),
            footer: Footer { lines: Vec::new(), page: "{page}/{pages}", code: None },
            attachment: Attachment {
                name: "attendance.json",
                media_type: "application/json",
                description: "Los datos".to_owned(),
                bytes: b"{}".to_vec(),
            },
        }
    }

    #[tokio::test]
    async fn whoever_wants_a_document_while_many_are_made_is_told_when_to_come_again() {
        let press = Press { wait: Duration::ZERO, ..Press::default() };
        let turns = u32::try_from(AT_ONCE).expect("few");
        let taken = Arc::clone(&press.turns).acquire_many_owned(turns).await.expect("free");
        let refused = press.make(document).await.expect_err("every turn is taken");
        assert_eq!(refused.code(), ErrorCode::RateLimited);
        let answer = refused.into_response();
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers().get(RETRY_AFTER).expect("when"), "10");
        drop(taken);
        let made = press.make(document).await.expect("there is room again");
        assert!(made.starts_with(b"%PDF-"));
    }
}
