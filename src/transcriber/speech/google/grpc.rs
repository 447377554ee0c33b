//! A gRPC call in which both sides send a stream of messages, by the HTTP client that the other
//! remote engine uses. Only what this one call needs: no compression, and no metadata but the status.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::HeaderMap;
use http_body::Body as _;
use prost::Message;
use reqwest::header::{CONTENT_TYPE, TE};
use reqwest::{Body, RequestBuilder};

/// Most bytes of all messages of an answer together. Those of eight seconds of speech are some KB.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Bytes before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// The header with the outcome of a call.
const STATUS: &str = "grpc-status";
/// The names of the outcomes, by their numbers.
const STATUS_NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Why a call gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// No connection could be made.
    Unreachable,
    /// The connection broke, or the answer ended without an outcome.
    Broken,
    /// The answer is none of gRPC, with this status of HTTP.
    NotGrpc(u16),
    /// More was answered than is read.
    TooLong,
    /// A message can't be read.
    Malformed,
    /// The outcome is not OK.
    Refused(&'static str),
    /// Nothing shows who calls.
    NoToken,
    /// The answer did not end in time.
    TimedOut,
}

/// A message with what goes before it.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = Vec::with_capacity(PREFIX_BYTES + length);
    bytes.push(0);
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes.into()
}

/// Sends framed messages and gives every message of the answer to `take`, until the answer ends.
pub(super) async fn converse<M: Message + Default>(
    request: RequestBuilder,
    messages: impl Stream<Item = Bytes> + Send + 'static,
    mut take: impl FnMut(M) -> Result<(), Fault> + Send,
) -> Result<(), Fault> {
    let body = Body::wrap_stream(messages.map(Ok::<_, Infallible>));
    let request = request.header(CONTENT_TYPE, "application/grpc").header(TE, "trailers");
    let answer = request
        .body(body)
        .send()
        .await
        .map_err(|error| if error.is_connect() { Fault::Unreachable } else { Fault::Broken })?;
    let is_grpc = answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if answer.status() != 200 || !is_grpc {
        return Err(Fault::NotGrpc(answer.status().as_u16()));
    }
    let answer: http::Response<Body> = answer.into();
    let mut outcome = outcome_of(answer.headers());
    let (mut body, mut received, mut total) = (answer.into_body(), Vec::new(), 0_usize);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        match frame.map_err(|_| Fault::Broken)?.into_data() {
            Ok(data) => {
                total = total.saturating_add(data.len());
                if total > ANSWER_BYTES_MAX {
                    return Err(Fault::TooLong);
                }
                received.extend_from_slice(&data);
                while let Some(message) = next_message(&mut received)? {
                    take(M::decode(message.as_slice()).map_err(|_| Fault::Malformed)?)?;
                }
            }
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                outcome = outcome_of(&trailers).or(outcome);
            }
        }
    }
    match outcome {
        Some("OK") if received.is_empty() => Ok(()),
        Some("OK") => Err(Fault::Malformed),
        Some(name) => Err(Fault::Refused(name)),
        None => Err(Fault::Broken),
    }
}

/// Takes the first whole message out of what was received.
fn next_message(received: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Fault> {
    let Some((prefix, rest)) = received.split_first_chunk::<PREFIX_BYTES>() else {
        return Ok(None);
    };
    let [compressed, length @ ..] = *prefix;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if compressed != 0 {
        return Err(Fault::Malformed);
    }
    if length > ANSWER_BYTES_MAX {
        return Err(Fault::TooLong);
    }
    let Some(message) = rest.get(..length).map(<[u8]>::to_vec) else { return Ok(None) };
    received.drain(..PREFIX_BYTES + length);
    Ok(Some(message))
}

/// The name of the outcome in headers or trailers.
fn outcome_of(headers: &HeaderMap) -> Option<&'static str> {
    let number: usize = headers.get(STATUS)?.to_str().ok()?.parse().ok()?;
    Some(STATUS_NAMES.get(number).copied().unwrap_or("UNKNOWN"))
}
