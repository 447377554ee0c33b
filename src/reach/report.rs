//! What the checks found, as lines for people.

use super::Outcome;

/// Longest text in a line, in characters: parts of it come from the server.
const TEXT_MAX: usize = 400;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It works.
    Good,
    /// It works, and something about it should be looked at.
    Doubtful,
    /// It does not work.
    Failed,
    /// It was not tested.
    NotTested,
}

impl State {
    /// The word that stands before a line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Doubtful => "warning",
            Self::Failed => "failed",
            Self::NotTested => "not tested",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What was found.
    pub state: State,
    /// What was tested.
    pub what: String,
    /// What was found, in words.
    pub text: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// Tells lines and counts them.
pub(super) struct Report<'a> {
    tell: &'a mut dyn FnMut(&Line),
    secret: Option<&'a str>,
    outcome: Outcome,
}

impl<'a> Report<'a> {
    pub(super) fn new(tell: &'a mut dyn FnMut(&Line), secret: Option<&'a str>) -> Self {
        let outcome = Outcome { tested: 0, failed: 0 };
        Self { tell, secret: secret.filter(|secret| !secret.is_empty()), outcome }
    }

    pub(super) const fn outcome(&self) -> Outcome {
        self.outcome
    }

    pub(super) fn good(&mut self, what: &str, text: &str) {
        self.add(State::Good, what, text, None);
    }

    pub(super) fn doubt(&mut self, what: &str, text: &str, advice: &str) {
        self.add(State::Doubtful, what, text, Some(advice));
    }

    pub(super) fn fail(&mut self, what: &str, text: &str, advice: &str) {
        self.add(State::Failed, what, text, Some(advice));
    }

    pub(super) fn skip(&mut self, what: &str, why: &str) {
        self.add(State::NotTested, what, why, None);
    }

    pub(super) fn add(&mut self, state: State, what: &str, text: &str, advice: Option<&str>) {
        self.outcome.tested += usize::from(state != State::NotTested);
        self.outcome.failed += usize::from(state == State::Failed);
        let line = Line {
            state,
            what: self.plain(what),
            text: self.plain(text),
            advice: advice.map(|advice| self.plain(advice)),
        };
        (self.tell)(&line);
    }

    /// A text without the token and without control characters: a server may answer anything, and
    /// terminals obey some characters.
    fn plain(&self, text: &str) -> String {
        let text = match self.secret {
            Some(secret) => text.replace(secret, "[token]"),
            None => text.to_owned(),
        };
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_MAX).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_has_the_token_or_commands_for_a_terminal() {
        let mut lines = Vec::new();
        let mut tell = |line: &Line| lines.push(line.clone());
        let mut report = Report::new(&mut tell, Some("cbm_secret"));
        report.fail("a", "401 cbm_secret \u{1b}[2J", "not cbm_secret");
        report.skip("b", "why");
        assert_eq!(report.outcome(), Outcome { tested: 1, failed: 1 });
        assert_eq!(lines[0].text, "401 [token]  [2J");
        assert_eq!(lines[0].advice.as_deref(), Some("not [token]"));
    }
}
