//! The fonts of documents: which characters they have, how wide text is, and the glyphs that show it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use krilla::text::{Font, GlyphId, KrillaGlyph};
use rustybuzz::{Direction, Face, ShapePlan, UnicodeBuffer};
use unicode_bidi::{BidiInfo, Level};
use unicode_normalization::UnicodeNormalization as _;

use crate::documents::DocumentError;

const REGULAR: &[u8] = include_bytes!("fonts/DejaVuSansCondensed.ttf");
const BOLD: &[u8] = include_bytes!("fonts/DejaVuSansCondensed-Bold.ttf");

/// How a piece of text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Style {
    /// As most text.
    Regular,
    /// Bold.
    Bold,
}

/// Glyphs that are drawn one after the other, from left to right.
pub(super) struct Run {
    /// The text that they show, for readers that search or copy it.
    pub(super) text: String,
    pub(super) glyphs: Vec<KrillaGlyph>,
    /// Their width in em.
    pub(super) width: f32,
}

pub(super) struct Fonts {
    regular: Loaded,
    bold: Loaded,
}

struct Loaded {
    face: Face<'static>,
    font: Font,
}

impl Fonts {
    pub(super) fn load() -> Result<Self, DocumentError> {
        Ok(Self { regular: Loaded::new(REGULAR)?, bold: Loaded::new(BOLD)? })
    }

    pub(super) fn font(&self, style: Style) -> Font {
        self.of(style).font.clone()
    }

    const fn of(&self, style: Style) -> &Loaded {
        match style {
            Style::Regular => &self.regular,
            Style::Bold => &self.bold,
        }
    }

    /// The text as these fonts can show it. What they do not have, and what could not be seen, is
    /// shown by its number.
    pub(super) fn shown(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        for letter in text.nfc() {
            if matches!(letter, '\n' | '\r' | '\t') {
                shown.push(' ');
            } else if self.has(letter) {
                shown.push(letter);
            } else {
                // Writing to a text can't fail.
                let _written = write!(shown, "[U+{:04X}]", u32::from(letter));
            }
        }
        shown
    }

    fn has(&self, letter: char) -> bool {
        let glyph = |loaded: &Loaded| loaded.face.glyph_index(letter).is_some_and(|it| it.0 != 0);
        !is_unseen(letter) && glyph(&self.regular) && glyph(&self.bold)
    }

    /// The width of a text in em, letter by letter: close enough for breaking lines.
    pub(super) fn width(&self, text: &str, style: Style) -> f32 {
        let face = &self.of(style).face;
        let advance = |letter| face.glyph_hor_advance(face.glyph_index(letter)?);
        let units: u32 = text.chars().filter_map(advance).map(u32::from).sum();
        em(units, face)
    }
}

impl Loaded {
    fn new(bytes: &'static [u8]) -> Result<Self, DocumentError> {
        let broken = || DocumentError::Invalid("a font can't be read".to_owned());
        let face = Face::from_slice(bytes, 0).ok_or_else(broken)?;
        let font = Font::new(bytes.into(), 0).ok_or_else(broken)?;
        Ok(Self { face, font })
    }
}

#[expect(clippy::cast_precision_loss, reason = "widths of lines are far below the limit of f32")]
fn em(units: u32, face: &Face<'_>) -> f32 {
    units as f32 / face.units_per_em() as f32
}

/// Letters that show nothing, or change how others are read: a name must not hide them.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter as u32,
            0xAD | 0x34F | 0x600..=0x605 | 0x61C | 0x6DD | 0x70F | 0x115F..=0x1160 | 0x17B4..=0x17B5
            | 0x180B..=0x180F | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x3164
            | 0xE000..=0xF8FF | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFD | 0xE0000..)
}

/// Makes glyphs of text. Plans for shaping are kept, since making one takes longer than using it.
pub(super) struct Shaper<'a> {
    fonts: &'a Fonts,
    plans: BTreeMap<(Style, [u8; 4], bool), ShapePlan>,
}

impl<'a> Shaper<'a> {
    pub(super) const fn new(fonts: &'a Fonts) -> Self {
        Self { fonts, plans: BTreeMap::new() }
    }

    /// The glyphs of one line, which [`Fonts::shown`] has prepared, in the order in which they are
    /// drawn: text that is written from right to left stands so.
    pub(super) fn runs(&mut self, text: &str, style: Style) -> Vec<Run> {
        let bidi = BidiInfo::new(text, Some(Level::ltr()));
        let mut runs = Vec::new();
        for paragraph in &bidi.paragraphs {
            let (levels, ranges) = bidi.visual_runs(paragraph, paragraph.range.clone());
            for range in ranges {
                let is_rtl = levels.get(range.start).is_some_and(Level::is_rtl);
                let direction =
                    if is_rtl { Direction::RightToLeft } else { Direction::LeftToRight };
                if let Some(part) = text.get(range) {
                    runs.push(self.run(part, style, direction));
                }
            }
        }
        runs
    }

    fn run(&mut self, text: &str, style: Style, direction: Direction) -> Run {
        let face = &self.fonts.of(style).face;
        let mut buffer = UnicodeBuffer::new();
        buffer.push_str(text);
        buffer.guess_segment_properties();
        buffer.set_direction(direction);
        let script = buffer.script();
        let key = (style, script.tag().to_bytes(), direction == Direction::RightToLeft);
        let make = || ShapePlan::new(face, direction, Some(script), None, &[]);
        let plan = self.plans.entry(key).or_insert_with(make);
        let shaped = rustybuzz::shape_with_plan(face, plan, buffer);
        let infos = shaped.glyph_infos();
        let mut starts: Vec<usize> = infos.iter().map(|info| info.cluster as usize).collect();
        starts.sort_unstable();
        starts.dedup();
        let scale = self.fonts.of(style).font.units_per_em();
        let mut width = 0.0;
        let glyphs = infos.iter().zip(shaped.glyph_positions()).map(|(info, position)| {
            let start = info.cluster as usize;
            let next = starts.partition_point(|it| *it <= start);
            let end = starts.get(next).copied().unwrap_or(text.len());
            let em = |units: i32| units_of(units) / scale;
            width += em(position.x_advance);
            KrillaGlyph::new(
                GlyphId::new(info.glyph_id),
                em(position.x_advance),
                em(position.x_offset),
                em(position.y_offset),
                em(position.y_advance),
                start..end,
                None,
            )
        });
        let glyphs = glyphs.collect();
        Run { text: text.to_owned(), glyphs, width }
    }
}

#[expect(clippy::cast_precision_loss, reason = "positions of glyphs are small numbers")]
const fn units_of(units: i32) -> f32 {
    units as f32
}
