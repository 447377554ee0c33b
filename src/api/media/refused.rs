//! Tells publishers and viewers which sections of their offer are refused beside others that are
//! taken. The answer says of such a section only that its port is 0.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::sfu::RefusedSection;

/// A refused section, as an item of RFC 8941: its `mid`, with the media, a stable code and words.
const REFUSED_SECTION: HeaderName = HeaderName::from_static("cabildo-refused-section");

/// Adds a header for each refused section.
pub(in crate::api) fn tell_refused(headers: &mut HeaderMap, refused: &[RefusedSection]) {
    for section in refused {
        // Tokens of session descriptions have neither quotes nor backslashes.
        let RefusedSection { mid, media, obstacle } = section;
        let problem = obstacle.problem();
        let value =
            format!("\"{mid}\";media=\"{media}\";code=\"{obstacle}\";message=\"{problem}\"");
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.append(REFUSED_SECTION, value);
        }
    }
}
