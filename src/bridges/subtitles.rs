//! What a room tells of speech, as captions of a camera that is in it.

use serde::Deserialize;

use crate::cameras::{Captioning, Gateway, Words};
use crate::live;
use crate::room::event::Event;

/// The beginning of the types of events that are read.
const ABOUT_TEXT: &str = "\"transcript_";

/// An event as members are told it.
#[derive(Deserialize)]
struct Told {
    seq: u64,
    #[serde(flatten)]
    event: Event,
}

/// The captions of a camera in a room, until it leaves.
pub(super) struct Subtitles {
    gateway: Gateway,
    captioning: Captioning,
}

impl Subtitles {
    pub(super) const fn new(gateway: Gateway, captioning: Captioning) -> Self {
        Self { gateway, captioning }
    }

    /// The room told this event.
    pub(super) fn handle(&self, text: &str) {
        let Some(words) = words_of(text) else { return };
        let (tenant, watched) = self.captioning.watched();
        // Nobody watches a camera that is not called.
        let ingest = self.gateway.ingest();
        let stream = watched.camera().and_then(|camera| ingest.stream(*tenant, camera));
        if let Some(stream) = stream {
            self.captioning.handle(&words, &stream, self.gateway.now());
        }
    }
}

/// What an event says of a text; nothing when it is about something else.
fn words_of(text: &str) -> Option<Words> {
    // Most events are about something else, and may be long.
    if !text.contains(ABOUT_TEXT) {
        return None;
    }
    let Told { seq, event } = serde_json::from_str(text).ok()?;
    live::words_of(seq, &event)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn texts_and_corrections_are_read_and_nothing_else() {
        let chunk = json!({
            "seq": 7, "at": "2027-01-15T08:00:05.000Z", "type": "transcript_chunk",
            "participant": "ana", "text": "hay quórum", "confidence": 0.9,
            "from": "2027-01-15T08:00:00.000Z", "to": "2027-01-15T08:00:02.000Z",
            "final": true, "engine": "whisper", "language": "es",
        });
        let at = |text: &str| Timestamp::parse_rfc3339(text).expect("a time");
        let (from, to) = (at("2027-01-15T08:00:00.000Z"), at("2027-01-15T08:00:02.000Z"));
        let said = Words::Said { seq: 7, from, to, text: "hay quórum".to_owned() };
        assert_eq!(words_of(&chunk.to_string()), Some(said));
        let corrected = json!({
            "seq": 8, "at": "2027-01-15T08:00:06.000Z", "type": "transcript_corrected",
            "of": 7, "text": "no hay quórum", "by": "chair",
        });
        let words = Words::Corrected { seq: 7, text: "no hay quórum".to_owned() };
        assert_eq!(words_of(&corrected.to_string()), Some(words));
        for other in [
            json!({ "seq": 9, "at": "2027-01-15T08:00:06.000Z", "type": "chat",
                "user_id": "ana", "name": "Ana", "text": "\"transcript_chunk\"" }),
            json!({ "type": "transcript_chunk" }),
            json!("\"transcript_"),
        ] {
            assert_eq!(words_of(&other.to_string()), None, "{other}");
        }
    }
}
