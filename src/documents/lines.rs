//! Breaks text into lines.

use unicode_segmentation::UnicodeSegmentation as _;

use crate::documents::Span;
use crate::documents::fonts::{Fonts, Style};

/// A line: pieces of text that stand beside each other.
pub(super) type Line = Vec<(String, Style)>;

/// Breaks text into lines of at most `width` points: between words, and within a word that is wider
/// than a line.
pub(super) fn wrap(fonts: &Fonts, spans: &[Span], size: f32, width: f32) -> Vec<Line> {
    let mut lines = Lines { fonts, size, width, done: Vec::new(), line: Line::new(), used: 0.0 };
    for span in spans {
        let text = fonts.shown(&span.text);
        for word in text.split_inclusive(' ') {
            lines.add_word(word, span.style);
        }
    }
    lines.end_line();
    lines.done
}

struct Lines<'a> {
    fonts: &'a Fonts,
    size: f32,
    width: f32,
    done: Vec<Line>,
    line: Line,
    used: f32,
}

impl Lines<'_> {
    /// Adds a word with the space that follows it.
    fn add_word(&mut self, word: &str, style: Style) {
        let bare = self.measure(word.trim_end_matches(' '), style);
        if self.used + bare > self.width && self.used > 0.0 {
            self.end_line();
        }
        if bare <= self.width {
            return self.put(word, style);
        }
        for letter in word.graphemes(true) {
            let wide = self.measure(letter, style);
            if self.used + wide > self.width && self.used > 0.0 {
                self.end_line();
            }
            self.put(letter, style);
        }
    }

    fn measure(&self, text: &str, style: Style) -> f32 {
        self.fonts.width(text, style) * self.size
    }

    fn put(&mut self, text: &str, style: Style) {
        // A line does not begin with a space.
        if self.line.is_empty() && text.trim_matches(' ').is_empty() {
            return;
        }
        self.used += self.measure(text, style);
        match self.line.last_mut() {
            Some((before, of)) if *of == style => before.push_str(text),
            _ => self.line.push((text.to_owned(), style)),
        }
    }

    fn end_line(&mut self) {
        self.used = 0.0;
        let mut line = std::mem::take(&mut self.line);
        if let Some((last, _)) = line.last_mut() {
            last.truncate(last.trim_end_matches(' ').len());
        }
        if !line.is_empty() {
            self.done.push(line);
        }
    }
}
