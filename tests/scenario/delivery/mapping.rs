//! What is told outside of what is kept inside.

use cabildo::delivery::{Origin, PublicEvent};
use cabildo::domain::id::{SessionId, TenantId};
use cabildo::domain::time::Timestamp;
use cabildo::events::{EventSource, OutboxEvent, Position};
use serde_json::{Value, json};

/// The type and the payload by which an event is told; `None` when it is not.
fn told(source: EventSource, kind: &str, payload: &Value) -> Option<(String, Value)> {
    let event = OutboxEvent {
        position: Position::new(1),
        tenant: TenantId::generate(),
        session: SessionId::generate(),
        source,
        seq: 1,
        at: Timestamp::from_unix_us(1_800_000_000_000_000),
        kind: kind.to_owned(),
        payload: payload.to_string(),
    };
    let public = PublicEvent::of(&event, &Origin::new("https://cabildo.example"))?;
    let json: Value = serde_json::from_str(&public.to_json()).expect("JSON");
    let data = json["data"].clone();
    assert_eq!(data["tenant_id"], event.tenant.to_string());
    assert_eq!(data["session_id"], event.session.to_string());
    Some((public.kind().to_owned(), data))
}

fn of_room(kind: &str, fields: Value) -> Option<(String, Value)> {
    let mut payload = json!({"seq": 1, "at": "2027-01-15T08:00:00.000Z", "type": kind});
    let Value::Object(fields) = fields else { panic!("an object") };
    payload.as_object_mut().expect("an object").extend(fields);
    told(EventSource::Room, kind, &payload)
}

fn attendance(change: &str, cause: Option<&str>) -> Option<(String, Value)> {
    of_room(
        "attendance_changed",
        json!({
            "change": change, "user_id": "ana", "name": "Ana Gómez", "present": true,
            "method": "manual", "place": "hall", "cause": cause, "by": "maria", "weight": "12.5",
        }),
    )
}

#[test]
fn who_proved_to_be_present_is_told_without_a_name() {
    let (kind, data) = attendance("validated", None).expect("told");
    assert_eq!(kind, "attendance.validated.v1");
    for (field, value) in [
        ("user_id", json!("ana")),
        ("method", json!("manual")),
        ("place", json!("hall")),
        ("present", json!(true)),
        ("weight", json!("12.5")),
        ("registered_by", json!("maria")),
        ("validated_at", json!("2027-01-15T08:00:00.000Z")),
    ] {
        assert_eq!(data[field], value, "{field}");
    }
    assert!(!data.to_string().contains("Gómez"));
    assert_eq!(attendance("entered", None), None);
}

#[test]
fn what_was_said_is_told_with_its_number_and_a_correction_is_not() {
    let chunk = json!({
        "participant": "ana", "turn": "t-1", "text": "Voto a favor.", "confidence": 0.875,
        "from": "2027-01-15T07:59:57.000Z", "to": "2027-01-15T07:59:59.500Z", "final": true,
        "engine": "whisper", "language": "es",
    });
    let (kind, mut data) = of_room("transcript_chunk", chunk.clone()).expect("told");
    assert_eq!(kind, "transcript.chunk.v1");
    let data = data.as_object_mut().expect("an object");
    assert_eq!(data.remove("seq"), Some(json!(1)));
    for ours in ["tenant_id", "session_id"] {
        assert!(data.remove(ours).is_some(), "{ours}");
    }
    assert_eq!(&Value::Object(data.clone()), &chunk, "every field as members were told");
    let corrected = json!({"of": 1, "text": "Voto en contra.", "by": "chair"});
    assert_eq!(of_room("transcript_corrected", corrected), None);
    let gap = json!({
        "participant": "ana", "from": "2027-01-15T07:59:57.000Z",
        "to": "2027-01-15T07:59:59.500Z", "cause": "overload",
    });
    assert_eq!(of_room("transcript_gap", gap), None);
}

#[test]
fn whoever_is_no_longer_present_is_told_once() {
    for cause in ["marked_left", "taken_back", "proof_required"] {
        let (kind, data) = attendance("left", Some(cause)).expect("told");
        assert_eq!((kind.as_str(), &data["reason"]), ("attendee.left.v1", &json!(cause)));
    }
    // That is told when the participant has left.
    assert_eq!(attendance("left", Some("disconnected")), None);
    let left = of_room("participant_left", json!({"user_id": "ana", "reason": "disconnected"}));
    let (kind, data) = left.expect("told");
    assert_eq!((kind.as_str(), &data["reason"]), ("attendee.left.v1", &json!("disconnected")));
    let recorder = json!({"user_id": "cabildo:recorder", "reason": "left"});
    assert_eq!(of_room("participant_left", recorder), None);
}

#[test]
fn streams_are_told_when_they_begin_and_end() {
    let track = json!({
        "track": "t1", "user_id": "hall-camera", "kind": "video", "source": "camera",
        "codec": "h264", "layers": 1,
    });
    let (kind, data) = of_room("track_published", track).expect("told");
    assert_eq!((kind.as_str(), &data["status"]), ("stream.status.v1", &json!("live")));
    assert_eq!((&data["stream_id"], &data["codec"]), (&json!("t1"), &json!("h264")));
    let gone = json!({"track": "t1", "user_id": "hall-camera"});
    let (kind, data) = of_room("track_unpublished", gone).expect("told");
    assert_eq!((kind.as_str(), &data["status"]), ("stream.status.v1", &json!("ended")));
    assert_eq!(data.get("codec"), None);
}

#[test]
fn a_sealed_recording_is_told_with_its_size() {
    let kept = json!({"tracks": 2, "segments": 7, "bytes": 99, "log_entries": 40});
    let sealed = told(EventSource::Recording, "recording.sealed.v1", &kept);
    let (kind, data) = sealed.expect("told");
    assert_eq!(kind, "recording.sealed.v1");
    assert_eq!((&data["tracks"], &data["segments"]), (&json!(2), &json!(7)));
    assert_eq!((&data["bytes"], &data["log_entries"]), (&json!(99), &json!(40)));
    assert_eq!(data["sealed_at"], "2027-01-15T08:00:00.000Z");
    assert_eq!(told(EventSource::Recording, "recording.sealed.v1", &json!({"tracks": 2})), None);
}

#[test]
fn what_is_said_in_the_chat_and_which_votes_start_is_not_told() {
    let chat = json!({"user_id": "ana", "name": "Ana", "text": "hola"});
    assert_eq!(of_room("chat", chat), None);
    let vote = json!({"vote_id": "1", "title": "x", "started_at": "", "ends_at": null});
    assert_eq!(of_room("vote_announced", vote), None);
}
