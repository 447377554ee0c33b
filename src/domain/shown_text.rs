//! Text that one person writes and others see: names, notes, chat messages. The same rules apply to
//! all of it. No text is refused for its characters: it is cleaned and shortened, and a name that
//! looks like another is marked.

use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use unicode_security::skeleton;
use unicode_segmentation::UnicodeSegmentation as _;

use crate::domain::named_values::named_values;

/// Most code points of one grapheme cluster. A family emoji with skin tones has 11; more combining
/// marks on one letter only cover the neighbouring lines.
const CLUSTER_CODE_POINTS_MAX: usize = 16;
/// Most bidirectional isolates that are open at the same time (UAX #9 BD2 allows 125).
const ISOLATES_MAX: usize = 8;
/// Appended where text was cut off.
const CUT: char = '…';

/// Names that stand for the server or for an office. They are compared as [`Looks`], so that upper
/// case and similar letters do not matter.
const RESERVED_NAMES: &[&str] = &[
    "Cabildo",
    "System",
    "Sistema",
    "Server",
    "Servidor",
    "Admin",
    "Administrator",
    "Administrador",
    "Administradora",
    "Moderator",
    "Moderador",
    "Moderadora",
    "Recorder",
    "Recording",
    "Grabación",
    "Chair",
    "Chairman",
    "Chairwoman",
    "President",
    "Presidente",
    "Presidenta",
    "Secretary",
    "Secretario",
    "Secretaria",
    "Hall",
    "Sala",
];

static RESERVED_LOOKS: LazyLock<Vec<Looks>> =
    LazyLock::new(|| RESERVED_NAMES.iter().map(|name| Looks::of(name)).collect());

/// By which names are put in the order in which people look for them: without regard to case and
/// accents, and Ñ as a letter of its own after N.
#[must_use]
pub fn order_of_name(name: &str) -> String {
    const TILDE: char = '\u{303}';
    let mut order = String::with_capacity(name.len());
    for letter in name.nfd().flat_map(char::to_lowercase) {
        if !is_combining_mark(letter) || (letter == TILDE && order.ends_with('n')) {
            order.push(letter);
        }
    }
    order
}

/// The kind of a text, which determines its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownText {
    /// The name of a person, a device or somebody in the hall: one line.
    Name,
    /// The subject of a speech request, or the reason for which one was denied: one line.
    Note,
    /// The title of a session: one line.
    Title,
    /// A message to everybody: line breaks are kept.
    Chat,
    /// What somebody said, as text: one line.
    Speech,
}

impl ShownText {
    /// Most bytes of a name: a hundred families of four fit. Every event about a person carries
    /// their name, so raising it lets people have more written down.
    pub const NAME_BYTES_MAX: usize = 2_560;

    /// Most grapheme clusters (the characters that a reader sees). Raising it makes every event
    /// with such a text larger.
    #[must_use]
    const fn graphemes_max(self) -> usize {
        match self {
            Self::Name => 100,
            Self::Title => 200,
            Self::Note => 500,
            // A minute of quick speech; engines give a few seconds at once.
            Self::Speech => 1_500,
            Self::Chat => 2_000,
        }
    }

    /// Most bytes of a piece of speech. Languages need at most four for a character that is spoken.
    pub const SPEECH_BYTES_MAX: usize = 6_000;

    /// Most bytes; whole clusters are cut off.
    const fn bytes_max(self) -> usize {
        match self {
            Self::Name => Self::NAME_BYTES_MAX,
            Self::Speech => Self::SPEECH_BYTES_MAX,
            Self::Title | Self::Note | Self::Chat => {
                self.graphemes_max() * CLUSTER_CODE_POINTS_MAX * char::MAX_LEN_UTF8
            }
        }
    }

    const fn keeps_lines(self) -> bool {
        matches!(self, Self::Chat)
    }

    /// The text as it may be shown: without control characters, bidirectional overrides and
    /// invisible characters, with balanced isolates, trimmed, and cut to the longest length of its
    /// kind. `None` when nothing visible is left.
    #[must_use]
    pub fn cleaned(self, text: &str) -> Option<String> {
        let text = balanced(&self.without_forbidden(text));
        let cut = self.cut(text.trim());
        let seen = cut.chars().any(|c| !c.is_whitespace() && !is_formatting(c));
        seen.then_some(cut)
    }

    /// Removes forbidden characters and normalises white space.
    fn without_forbidden(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len().min(self.graphemes_max() * 8));
        // More code points than this can never be shown.
        let code_points_max = self.graphemes_max() * CLUSTER_CODE_POINTS_MAX * 2;
        for c in text.nfc().take(code_points_max) {
            let c = match c {
                '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{b}' | '\u{c}' => '\n',
                '\t' => ' ',
                c => c,
            };
            if c == '\n' && self.keeps_lines() {
                // At most one empty line, so that nobody pushes other messages out of view.
                if !out.ends_with("\n\n") {
                    out.push('\n');
                }
            } else if c.is_whitespace() {
                if !out.ends_with([' ', '\n']) {
                    out.push(' ');
                }
            } else if !is_forbidden(c) {
                out.push(c);
            }
        }
        out
    }

    fn cut(self, text: &str) -> String {
        // What a cut appends: the mark, and the ends of isolates.
        let room_left = CUT.len_utf8() + ISOLATES_MAX * '\u{2069}'.len_utf8();
        let mut out = String::with_capacity(text.len().min(self.bytes_max()));
        // Where the text ends if it is cut after the last cluster that leaves room for that.
        let mut end = 0;
        for (index, cluster) in text.graphemes(true).enumerate() {
            if out.len() + room_left <= self.bytes_max() && index < self.graphemes_max() {
                end = out.len();
            }
            out.extend(cluster.chars().take(CLUSTER_CODE_POINTS_MAX));
            if index >= self.graphemes_max() || out.len() > self.bytes_max() {
                out.truncate(end);
                out.push(CUT);
                // Isolates that were opened before the cut are closed after it.
                return balanced(&out);
            }
        }
        out
    }
}

/// An identifier that people are shown, on one line and not cut: without control and invisible
/// characters and bidirectional overrides, so that two that look alike are one.
#[must_use]
pub fn shown_id(text: &str) -> String {
    balanced(&ShownText::Name.without_forbidden(text)).trim().to_owned()
}

/// Characters that are not needed for reading: controls, characters that reorder their neighbours,
/// invisible characters and noncharacters.
const fn is_forbidden(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Bidirectional embeddings and overrides; isolates are balanced instead.
        | '\u{202a}'..='\u{202e}'
        // Invisible: soft hyphen, fillers, zero width space, word joiner and
        // invisible operators, deprecated formatting, byte order mark,
        // interlinear annotation and what is reserved before it, shorthand and
        // musical formatting, a note without a head, tags (regional flags lose
        // their region).
        | '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
        | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{2800}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}'
        // Noncharacters and the object replacement character.
        | '\u{fdd0}'..='\u{fdef}' | '\u{fffc}'
    ) || (c as u32) & 0xfffe == 0xfffe
}

/// Formatting characters, which show nothing by themselves.
const fn is_formatting(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{200c}'..='\u{200f}' | '\u{2066}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{e0100}'..='\u{e01ef}'
    )
}

/// Removes ends of isolates that were never begun, and ends those that were never ended (UAX #9
/// §2.4), so that no text reorders what follows it.
fn balanced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open = 0;
    for c in text.chars() {
        match c {
            '\u{2066}'..='\u{2068}' if open >= ISOLATES_MAX => {}
            '\u{2066}'..='\u{2068}' => {
                open += 1;
                out.push(c);
            }
            '\u{2069}' if open == 0 => {}
            '\u{2069}' => {
                open -= 1;
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.extend(std::iter::repeat_n('\u{2069}', open));
    out
}

/// The appearance of a name: two names with equal appearance can be mistaken for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looks([String; 2]);

impl Looks {
    /// The appearance of `name`.
    #[must_use]
    pub fn of(name: &str) -> Self {
        // Upper-case letters can imitate lower-case ones (I and l) and the reverse, so both orders
        // of folding are kept.
        let lowered: String = name.nfkc().flat_map(char::to_lowercase).collect();
        let imitated: String = skeleton(name).flat_map(char::to_lowercase).collect();
        Self([compared(&lowered), compared(&imitated)])
    }

    /// Whether the two names can be mistaken for each other.
    #[must_use]
    fn alike(&self, other: &Self) -> bool {
        self.0.iter().any(|look| !look.is_empty() && other.0.contains(look))
    }
}

/// Whether a text begins like `prefix` to somebody who reads it: without what is not seen, and with
/// letters that look like those of the prefix (UTS #39 §4).
pub(super) fn imitates(text: &str, prefix: &str) -> bool {
    let seen = |text: &str| -> String {
        let text = ShownText::Name.cleaned(text).unwrap_or_default();
        let visible = text.nfkc().filter(|c| !is_formatting(*c)).flat_map(char::to_lowercase);
        skeleton(&visible.collect::<String>()).flat_map(char::to_lowercase).collect()
    };
    seen(text).starts_with(&seen(prefix))
}

/// Only letters and digits, each replaced by the letter that it looks like (UTS #39 §4).
fn compared(text: &str) -> String {
    let skeleton: String = skeleton(text).collect();
    skeleton.chars().flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric()).collect()
}

named_values!(
    /// Why a name needs attention. Pages show this beside the name.
    NameNotice {
        /// It looks like a name that stands for the server or for an office.
        Reserved => "reserved",
        /// It looks like the name of a moderator of this session, who is
        /// somebody else.
        Moderator => "moderator",
    }
);

/// What is to be noticed about how the name of somebody looks who is not a
/// moderator. `moderators` are the names of the moderators of the session.
#[must_use]
pub fn notice_of<'a>(
    looks: &Looks,
    moderators: impl IntoIterator<Item = &'a Looks>,
) -> Option<NameNotice> {
    if moderators.into_iter().any(|moderator| moderator.alike(looks)) {
        return Some(NameNotice::Moderator);
    }
    let reserved = RESERVED_LOOKS.iter().any(|reserved| reserved.alike(looks));
    reserved.then_some(NameNotice::Reserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<String> {
        ShownText::Name.cleaned(text)
    }

    #[test]
    fn names_are_in_the_order_in_which_people_look_for_them() {
        let ordered = [
            "Álvarez",
            "alvaro",
            "Élida",
            "Íñigo",
            "ïpek",
            "Lopez",
            "LÓPEZ B",
            "Nunez",
            "nzinga",
            "Ñoño",
            "Oña",
            "Óscar",
            "Zacarías",
        ];
        let mut names = ordered;
        names.reverse();
        names.sort_by_cached_key(|name| order_of_name(name));
        assert_eq!(names, ordered);
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for text in ["María Gómez", "O'Neill-Ştefan", "محمد علي", "王小明", "Zoë 👩‍👩‍👧‍👦", "می‌خواهم"]
        {
            assert_eq!(name(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_reorders_or_hides_is_removed() {
        for (text, expected) in [
            ("a\u{202e}b\u{202c}", "ab"),
            ("a\0b\u{7f}c\u{9b}d", "abcd"),
            ("An\u{200b}a\u{feff}", "Ana"),
            ("a\nb\tc", "a b c"),
            ("  Ana   Gómez \u{2003}", "Ana Gómez"),
            ("x\u{2067}y", "x\u{2067}y\u{2069}"),
            ("x\u{2069}y", "xy"),
            ("\u{2066}\u{2067}x\u{2069}", "\u{2066}\u{2067}x\u{2069}\u{2069}"),
            ("flag\u{e0041}", "flag"),
            ("An\u{1d173}a\u{1bca0}", "Ana"),
            ("An\u{fff0}a\u{1ffff}\u{10fffe}", "Ana"),
            ("a\u{202d}b\u{202a}c\u{202b}d", "abcd"),
            // A paragraph would end the isolate; in a name it is a blank.
            ("\u{2067}a\u{2029}b", "\u{2067}a b\u{2069}"),
        ] {
            assert_eq!(name(text).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn nothing_visible_is_no_text() {
        for text in [
            "",
            "  ",
            "\u{200b}",
            "\u{202e}\u{202c}",
            "\u{2066}\u{2069}",
            "\u{3164}",
            "\u{200f}",
            "\u{1d159}",
            "\u{180b}",
            "\u{180f}\u{61c}",
            "\u{fff5}",
            "\u{1bca1}",
        ] {
            assert_eq!(name(text), None, "{text:?}");
        }
    }

    #[test]
    fn length_is_counted_as_readers_count() {
        let family = "👩‍👩‍👧‍👦";
        let fits = family.repeat(100);
        assert_eq!(name(&fits).as_deref(), Some(fits.as_str()));
        let cut = name(&family.repeat(101)).expect("visible");
        assert_eq!(cut, format!("{}…", family.repeat(99)));
        assert_eq!(name(&"x".repeat(5_000)).expect("visible").chars().count(), 100);
    }

    #[test]
    fn a_name_has_a_longest_size_whatever_it_is_made_of() {
        let cluster = format!("\u{1d400}{}", "\u{1d165}".repeat(15));
        let isolates = "\u{2067}".repeat(ISOLATES_MAX);
        for text in [cluster.repeat(100), format!("{isolates}{}", cluster.repeat(100))] {
            let cleaned = name(&text).expect("visible");
            assert!(cleaned.len() <= ShownText::NAME_BYTES_MAX, "{} bytes", cleaned.len());
            assert!(
                cleaned.contains(CUT) && name(&cleaned) == Some(cleaned.clone()),
                "{cleaned:?}"
            );
        }
    }

    #[test]
    fn marks_do_not_pile_up() {
        let tower = format!("a{}b", "\u{301}".repeat(10_000));
        let cleaned = name(&tower).expect("visible");
        assert!(cleaned.chars().count() <= CLUSTER_CODE_POINTS_MAX * 2, "{}", cleaned.len());
    }

    #[test]
    fn a_cut_closes_what_it_opened() {
        let text = format!("\u{2067}{}\u{2069}", "x".repeat(300));
        let cleaned = name(&text).expect("visible");
        assert_eq!(cleaned.matches('\u{2067}').count(), cleaned.matches('\u{2069}').count());
    }

    #[test]
    fn chat_keeps_its_lines_but_not_a_wall_of_them() {
        let chat = ShownText::Chat.cleaned("uno\r\n\n\n\n\ndos\ttres\u{202e}");
        assert_eq!(chat.as_deref(), Some("uno\n\ndos tres"));
    }

    #[test]
    fn cleaning_twice_changes_nothing() {
        for text in ["x\u{2067}y", "a\u{301}\u{302}", &"é".repeat(300), "a \u{200f} b", "\u{2067}"]
        {
            for kind in [ShownText::Name, ShownText::Title, ShownText::Note, ShownText::Chat] {
                let once = kind.cleaned(text);
                let twice = once.as_deref().and_then(|once| kind.cleaned(once));
                assert_eq!(once, twice, "{text:?}");
            }
        }
    }

    #[test]
    fn names_that_look_alike_are_noticed() {
        let moderators = [Looks::of("María Gómez"), Looks::of("Bill Oliver")];
        let notice = |name: &str| notice_of(&Looks::of(name), &moderators);
        for name in [
            "María Gómez",
            "MARÍA GÓMEZ",
            "Мaría Gómez", // Cyrillic М
            "María G\u{43e}\u{301}mez",
            "MaríaGómez.",
            "Bi1l Oliver",
            "BiIl 0liver",
            "𝐁𝐢𝐥𝐥 Oliver",
        ] {
            assert_eq!(notice(name), Some(NameNotice::Moderator), "{name}");
        }
        for name in
            ["Cabildo", "CABILDO", "CabiIdo", "Ｃａｂｉｌｄｏ", "Саbildo", "moderador", "System"]
        {
            assert_eq!(notice(name), Some(NameNotice::Reserved), "{name}");
        }
        for name in ["Mario Gómez", "Ana", "王小明", "…", "", "Moderna Salas"] {
            assert_eq!(notice(name), None, "{name}");
        }
    }
}
