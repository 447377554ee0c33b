//! The trace id of a request.

use std::fmt;

/// A W3C trace id: 16 bytes, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u128);

tokio::task_local! {
    static CURRENT: TraceId;
}

impl TraceId {
    /// Makes a random trace id.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random_range(1..=u128::MAX))
    }

    /// The trace id in a `traceparent` header (W3C Trace Context §3.2.2); `None` when the header is
    /// malformed and must be ignored.
    #[must_use]
    pub fn from_traceparent(header: &str) -> Option<Self> {
        let lower_hex =
            |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let mut fields = header.split('-');
        let (version, trace, parent, flags) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let lengths = [(version, 2), (trace, 32), (parent, 16), (flags, 2)];
        let shaped = lengths.iter().all(|(text, length)| text.len() == *length && lower_hex(text));
        // Version 00 has exactly four fields; later ones may append more.
        let ends = version != "00" || fields.next().is_none();
        if !shaped || !ends || version == "ff" || parent.bytes().all(|byte| byte == b'0') {
            return None;
        }
        u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0).map(Self)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Runs `work` with a trace id, which errors inside can report.
pub async fn traced<F: Future>(trace: TraceId, work: F) -> F::Output {
    CURRENT.scope(trace, work).await
}

/// The trace id of the current task, if any.
#[must_use]
pub fn current_trace_id() -> Option<TraceId> {
    CURRENT.try_with(|trace| *trace).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_well_formed_traceparent_is_taken() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = TraceId::from_traceparent(header).expect("the example of the recommendation");
        assert_eq!(trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
    }

    #[test]
    fn anything_else_is_ignored() {
        for header in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        ] {
            assert_eq!(TraceId::from_traceparent(header), None, "{header} was taken");
        }
    }
}
