//! Documents to print and keep: PDF/A-3b, with the data that they show embedded as a file. Pure:
//! what is written depends on the [`Document`] only, so the same one gives the same bytes.
//!
//! The fonts are part of the program. A character that they do not have is shown by its number in
//! Unicode, such as `[U+5F20]`, so that no text can make a document fail and nobody is left out.

mod code;
mod fonts;
mod layout;
mod lines;
mod markdown;
mod writer;

pub use fonts::Style;
pub use markdown::blocks_of_markdown;
pub use writer::write;

use crate::domain::time::Timestamp;

/// Most pages of a document. Raising it raises the memory and time that one document takes.
pub const PAGES_MAX: usize = 3_000;

/// Why a document could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It has more than [`PAGES_MAX`] pages.
    #[error("it has more than {PAGES_MAX} pages")]
    TooLong,
    /// A defect of this program: what was written is no PDF/A.
    #[error("it can't be written as PDF/A: {0}")]
    Invalid(String),
}

/// A document.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its title, for readers and lists of files.
    pub title: String,
    /// Its language, a BCP 47 tag.
    pub language: &'static str,
    /// When it was made.
    pub made_at: Timestamp,
    /// Names it among all documents; another version of it has the same.
    pub id: String,
    /// How its pages lie.
    pub form: Form,
    /// What it shows.
    pub blocks: Vec<Block>,
    /// What stands at the foot of every page.
    pub footer: Footer,
    /// The data that it shows.
    pub attachment: Attachment,
}

/// How pages lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A4, upright.
    Portrait,
    /// A4, lying.
    Landscape,
}

/// What stands at the foot of every page.
#[derive(Debug, Clone)]
pub struct Footer {
    /// Lines of text.
    pub lines: Vec<String>,
    /// The number of the page, such as `Page {page} of {pages}`.
    pub page: &'static str,
    /// What a QR code beside them holds.
    pub code: Option<String>,
}

/// A file within the document.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// Its name.
    pub name: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// What it is.
    pub description: String,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// A part of what a document shows.
#[derive(Debug, Clone)]
pub enum Block {
    /// A heading; 1 is the largest.
    Heading(u8, Vec<Span>),
    /// A paragraph.
    Paragraph(Vec<Span>),
    /// A paragraph in small print.
    Note(Vec<Span>),
    /// An item of a list: how deep it is, from 0, and its number where items have one.
    Item(u8, Option<u64>, Vec<Span>),
    /// A line across the page.
    Rule,
    /// A table.
    Table(Table),
}

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The text. A line break is a space.
    pub text: String,
    /// How it is shown.
    pub style: Style,
}

impl Span {
    /// Plain text.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::Regular }
    }

    /// Bold text.
    pub fn bold(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::Bold }
    }
}

/// A table, whose heading is repeated on every page.
#[derive(Debug, Clone)]
pub struct Table {
    /// The heading of each column, and its width in relation to the others.
    pub columns: Vec<(String, f32)>,
    /// The rows: a text for each column.
    pub rows: Vec<Vec<String>>,
}
