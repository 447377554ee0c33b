//! What delivering events tells of itself.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::events::Position;

const NEWEST: &str = "cabildo_outbox_newest_position";
const LAG: &str = "cabildo_outbox_lag_positions";
const AGE: &str = "cabildo_outbox_delivered_age_seconds";
const PAUSED: &str = "cabildo_event_delivery_paused";
const REFUSED: &str = "cabildo_event_delivery_refused_sessions";
const FAILED: &str = "cabildo_event_delivery_failures_total";
const GIVEN_UP: &str = "cabildo_events_given_up_total";
const DELIVERED: &str = "cabildo_events_delivered_total";
const STREAMS: &str = "cabildo_event_streams";
const STREAMS_ENDED: &str = "cabildo_event_streams_ended_total";

/// Describes the metrics of delivering events.
pub fn describe_metrics() {
    describe_gauge!(NEWEST, "Last position of the outbox, seen while somebody reads.");
    describe_gauge!(LAG, "Positions of the outbox that a reader has not confirmed, by reader.");
    describe_gauge!(AGE, "Age of the event that a reader handed on last, in seconds, by reader.");
    describe_gauge!(PAUSED, "1 while nothing is tried after many failures, by reader.");
    describe_gauge!(REFUSED, "Sessions with an event that is not accepted, by reader.");
    describe_counter!(FAILED, "Tries to hand on an event that failed, by reader.");
    describe_counter!(GIVEN_UP, "Events that are not tried any more, by reader.");
    describe_counter!(DELIVERED, "Events handed on, by reader.");
    describe_gauge!(STREAMS, "Open event streams.");
    describe_counter!(STREAMS_ENDED, "Event streams that ended, by reason.");
}

pub(super) fn newest(position: Position) {
    gauge!(NEWEST).set(as_number(position.number()));
}

pub(super) fn streamed() {
    counter!(DELIVERED, "reader" => "stream").increment(1);
}

pub(super) fn stream_opened() {
    gauge!(STREAMS).increment(1);
}

pub(super) fn stream_closed() {
    gauge!(STREAMS).decrement(1);
}

pub(super) fn stream_ended(reason: &'static str) {
    counter!(STREAMS_ENDED, "reason" => reason).increment(1);
}

pub(super) fn delivered(reader: &str, age: Duration) {
    counter!(DELIVERED, "reader" => reader.to_owned()).increment(1);
    gauge!(AGE, "reader" => reader.to_owned()).set(age.as_secs_f64());
}

pub(super) fn not_delivered(reader: &str) {
    counter!(FAILED, "reader" => reader.to_owned()).increment(1);
}

pub(super) fn given_up(reader: &str) {
    counter!(GIVEN_UP, "reader" => reader.to_owned()).increment(1);
}

/// In how many sessions an event is not accepted.
pub(super) fn refused(reader: &str, sessions: usize) {
    gauge!(REFUSED, "reader" => reader.to_owned()).set(as_number(sessions as u64));
}

/// How far a reader has come, and whether it is paused.
pub(super) fn reader_state(reader: &str, confirmed: Position, newest: Position, is_paused: bool) {
    let lag = newest.number().saturating_sub(confirmed.number());
    gauge!(LAG, "reader" => reader.to_owned()).set(as_number(lag));
    gauge!(PAUSED, "reader" => reader.to_owned()).set(f64::from(u8::from(is_paused)));
}

#[expect(clippy::cast_precision_loss, reason = "a gauge, exact to 2^53")]
const fn as_number(number: u64) -> f64 {
    number as f64
}
