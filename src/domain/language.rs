//! Languages, as BCP 47 tags name them.

use std::fmt;
use std::str::FromStr;

/// Longest language tag, in bytes (RFC 5646 §4.4.1).
const LANGUAGE_BYTES_MAX: usize = 35;
/// Longest subtag, in characters.
const SUBTAG_LENGTH_MAX: usize = 8;

/// A text that is no language tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a BCP 47 language tag")]
pub struct InvalidLanguageTag;

/// A well-formed language tag (RFC 5646 §2.1) in the usual letters (§2.1.1): `es-PY`,
/// `zh-Hant-TW`. So equal languages are equal texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LanguageTag(String);

impl LanguageTag {
    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this names the same language as `other`, or one of them is a more exact name of
    /// the other: `es` and `es-PY` agree, `es-ES` and `es-PY` do not (RFC 4647 §3.3.1).
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        let (short, long) =
            if self.0.len() <= other.0.len() { (self, other) } else { (other, self) };
        let rest = long.0.strip_prefix(short.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

impl fmt::Display for LanguageTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LanguageTag {
    type Err = InvalidLanguageTag;

    /// Takes a language of two to eight letters, and then subtags of one to eight letters and
    /// digits, in letters of any size.
    fn from_str(text: &str) -> Result<Self, InvalidLanguageTag> {
        let mut subtags = text.split('-');
        let language = subtags.next().unwrap_or_default();
        let is_well_formed = text.len() <= LANGUAGE_BYTES_MAX
            && (2..=SUBTAG_LENGTH_MAX).contains(&language.len())
            && language.bytes().all(|byte| byte.is_ascii_alphabetic())
            && subtags.all(|subtag| {
                (1..=SUBTAG_LENGTH_MAX).contains(&subtag.len())
                    && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
            });
        if !is_well_formed {
            return Err(InvalidLanguageTag);
        }
        let mut tag = String::with_capacity(text.len());
        let mut is_extended = false;
        for subtag in text.split('-') {
            let (first, rest) = subtag.split_at(1);
            match subtag.len() {
                // What follows a singleton is neither a region nor a script.
                2 if !tag.is_empty() && !is_extended => {
                    tag += "-";
                    tag += &subtag.to_ascii_uppercase();
                }
                4 if !tag.is_empty() && !is_extended => {
                    tag += "-";
                    tag += &first.to_ascii_uppercase();
                    tag += &rest.to_ascii_lowercase();
                }
                length => {
                    tag += if tag.is_empty() { "" } else { "-" };
                    tag += &subtag.to_ascii_lowercase();
                    is_extended |= length == 1;
                }
            }
        }
        Ok(Self(tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> LanguageTag {
        text.parse().expect(text)
    }

    #[test]
    fn a_tag_has_a_shape_and_one_text() {
        for (given, kept) in [
            ("es", "es"),
            ("ES", "es"),
            ("es-co", "es-CO"),
            ("ZH-hANT-tw", "zh-Hant-TW"),
            ("sl-rozaj-biske", "sl-rozaj-biske"),
            ("DE-de-U-CO-phonebk", "de-DE-u-co-phonebk"),
            ("es-419", "es-419"),
        ] {
            assert_eq!(tag(given).as_str(), kept, "{given:?}");
            assert_eq!(tag(kept), tag(given), "{given:?}");
        }
        for bad in
            ["", "e", "es_CO", "es-", "-es", "es--CO", "12", "es-ninechars", "e s", "español"]
        {
            assert_eq!(bad.parse::<LanguageTag>(), Err(InvalidLanguageTag), "{bad:?} was taken");
        }
        let long = format!("es{}", "-abcdefgh".repeat(4));
        assert!(long.parse::<LanguageTag>().is_err());
    }

    #[test]
    fn a_language_agrees_with_a_more_exact_name_of_it_and_with_no_other() {
        for (one, other) in [("es", "es"), ("es", "es-PY"), ("ZH-hant", "zh-Hant-TW")] {
            assert!(tag(one).agrees_with(&tag(other)), "{one} {other}");
            assert!(tag(other).agrees_with(&tag(one)), "{other} {one}");
        }
        for (one, other) in [("es", "en"), ("es-ES", "es-PY"), ("es", "est"), ("en-GB", "es")] {
            assert!(!tag(one).agrees_with(&tag(other)), "{one} {other}");
            assert!(!tag(other).agrees_with(&tag(one)), "{other} {one}");
        }
    }
}
