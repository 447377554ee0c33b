//! The fragments of session descriptions that WHIP's `PATCH` carries
//! (RFC 8840 §9).

/// Most lines of a fragment; a browser sends a few dozen candidates.
const LINES_MAX: usize = 512;

/// What this server needs of a fragment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::api) struct Fragment {
    /// ICE fragment and password, when it has both.
    pub(in crate::api) credentials: Option<(String, String)>,
}

impl Fragment {
    /// Reads a fragment, or says what is wrong with it.
    pub(in crate::api) fn parse(text: &str) -> Result<Self, &'static str> {
        let (mut ufrag, mut password) = (None, None);
        for (index, line) in text.lines().enumerate() {
            if index >= LINES_MAX {
                return Err("has too many lines");
            }
            let line = line.trim_end();
            if line.is_empty() {
                continue;
            }
            let (kind, value) = line.split_once('=').ok_or("has a line without a type")?;
            if !matches!(kind, "a" | "m") {
                return Err("has a line that is neither an attribute nor a section");
            }
            if let Some(value) = value.strip_prefix("ice-ufrag:") {
                ufrag.get_or_insert_with(|| value.to_owned());
            } else if let Some(value) = value.strip_prefix("ice-pwd:") {
                password.get_or_insert_with(|| value.to_owned());
            }
        }
        Ok(Self { credentials: ufrag.zip(password) })
    }
}

/// A fragment with the server's own credentials.
pub(in crate::api) fn credentials(ufrag: &str, password: &str) -> String {
    format!("a=ice-lite\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_at_any_level() {
        let text = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
                    m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=end-of-candidates\r\n";
        let fragment = Fragment::parse(text).expect("well formed");
        let (ufrag, password) = fragment.credentials.expect("both");
        assert_eq!((ufrag.as_str(), password.as_str()), ("EsAw", "P2uYro0UCOQ4zxjKXaWCBui1"));
        assert!(Fragment::parse(&credentials("a", "b")).expect("own").credentials.is_some());
    }

    #[test]
    fn what_is_no_fragment_is_refused() {
        for text in ["v=0\r\n", "hello", "a=x\r\nb=AS:1\r\n", &"a=x\n".repeat(LINES_MAX + 1)] {
            assert!(Fragment::parse(text).is_err(), "{text:?} was taken");
        }
        assert_eq!(
            Fragment::parse("a=candidate:1 1 udp 1 192.0.2.1 1 typ host"),
            Ok(Fragment::default())
        );
    }
}
