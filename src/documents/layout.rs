//! Puts the blocks of a document on pages.

use std::rc::Rc;

use crate::documents::fonts::{Fonts, Style};
use crate::documents::lines::{Line, wrap};
use crate::documents::{Block, DocumentError, Form, PAGES_MAX, Span, Table};

/// The shorter and the longer side of A4, in points.
const A4: (f32, f32) = (595.28, 841.89);
/// Free space at each edge.
pub(super) const MARGIN: f32 = 42.0;
/// What the foot of a page takes.
pub(super) const FOOT: f32 = 78.0;
/// Sizes of text: that of most, of small print and of tables.
const TEXT: f32 = 9.5;
pub(super) const SMALL: f32 = 7.0;
const CELL: f32 = 7.5;
/// Space between the text of a cell and those beside it.
const GUTTER: f32 = 6.0;
/// Most lines of a row that stay together; a longer row continues below.
const ROW_LINES_MAX: usize = 24;

/// Something drawn at a place within its strip.
pub(super) struct Piece {
    pub(super) x: f32,
    /// Of the line on which the letters stand, from the upper edge of the strip.
    pub(super) y: f32,
    pub(super) size: f32,
    pub(super) line: Line,
}

/// A part of a page over its whole width, which is never divided.
#[derive(Default)]
pub(super) struct Strip {
    pub(super) height: f32,
    pub(super) pieces: Vec<Piece>,
    /// How far below its upper edge a line is drawn across the page.
    pub(super) rule: Option<f32>,
    /// Whether it stands on the page of the strip after it.
    keeps_with_next: bool,
    /// What is repeated above it when it begins a page.
    heading: Option<Rc<Strip>>,
}

/// Strips and how far below the upper edge of the page each begins.
pub(super) type Page = Vec<(f32, Rc<Strip>)>;

/// Width and height of a page.
pub(super) const fn size_of(form: Form) -> (f32, f32) {
    match form {
        Form::Portrait => A4,
        Form::Landscape => (A4.1, A4.0),
    }
}

pub(super) fn pages(
    fonts: &Fonts,
    form: Form,
    blocks: &[Block],
) -> Result<Vec<Page>, DocumentError> {
    let (width, height) = size_of(form);
    let mut pages =
        Pages { limit: height - FOOT - SMALL, done: Vec::new(), page: Page::new(), y: MARGIN };
    let width = width - 2.0 * MARGIN;
    let mut waiting: Vec<Rc<Strip>> = Vec::new();
    for block in blocks {
        for strip in strips(fonts, block, width) {
            let keeps = strip.keeps_with_next;
            waiting.push(Rc::new(strip));
            if !keeps {
                pages.place(&std::mem::take(&mut waiting))?;
            }
        }
    }
    pages.place(&waiting)?;
    pages.done.push(pages.page);
    Ok(pages.done)
}

struct Pages {
    limit: f32,
    done: Vec<Page>,
    page: Page,
    y: f32,
}

impl Pages {
    /// Places strips that stay together, as far as a page holds them.
    fn place(&mut self, strips: &[Rc<Strip>]) -> Result<(), DocumentError> {
        let together: f32 = strips.iter().map(|strip| strip.height).sum();
        if self.y + together > self.limit {
            self.begin_page(strips)?;
        }
        for strip in strips {
            if self.y + strip.height > self.limit {
                self.begin_page(std::slice::from_ref(strip))?;
            }
            self.put(Rc::clone(strip));
        }
        Ok(())
    }

    fn begin_page(&mut self, strips: &[Rc<Strip>]) -> Result<(), DocumentError> {
        if self.page.is_empty() {
            return Ok(());
        }
        if self.done.len() + 1 >= PAGES_MAX {
            return Err(DocumentError::TooLong);
        }
        self.done.push(std::mem::take(&mut self.page));
        self.y = MARGIN;
        if let Some(heading) = strips.first().and_then(|strip| strip.heading.clone()) {
            self.put(heading);
        }
        Ok(())
    }

    fn put(&mut self, strip: Rc<Strip>) {
        let y = self.y;
        self.y += strip.height;
        self.page.push((y, strip));
    }
}

fn strips(fonts: &Fonts, block: &Block, width: f32) -> Vec<Strip> {
    match block {
        Block::Heading(level, spans) => heading(fonts, *level, spans, width),
        Block::Paragraph(spans) => paragraph(fonts, spans, TEXT, 0.0, width),
        Block::Note(spans) => paragraph(fonts, spans, SMALL, 0.0, width),
        Block::Item(level, number, spans) => item(fonts, *level, *number, spans, width),
        Block::Rule => vec![Strip { height: 10.0, rule: Some(4.0), ..Strip::default() }],
        Block::Table(table) => rows(fonts, table, width),
    }
}

fn heading(fonts: &Fonts, level: u8, spans: &[Span], width: f32) -> Vec<Strip> {
    let size = match level {
        1 => 15.0,
        2 => 11.5,
        _ => 10.0,
    };
    let bold: Vec<Span> = spans.iter().map(|span| Span::bold(span.text.clone())).collect();
    let mut strips = paragraph(fonts, &bold, size, 0.0, width);
    if let Some(first) = strips.first_mut() {
        first.height += size * 0.4;
        first.pieces.iter_mut().for_each(|piece| piece.y += size * 0.4);
    }
    for strip in &mut strips {
        strip.keeps_with_next = true;
    }
    strips
}

/// A strip for each line, and space after the last one.
fn paragraph(fonts: &Fonts, spans: &[Span], size: f32, x: f32, width: f32) -> Vec<Strip> {
    let lines = wrap(fonts, spans, size, width - x);
    let mut strips: Vec<Strip> = lines.into_iter().map(|line| text_strip(line, size, x)).collect();
    if let Some(last) = strips.last_mut() {
        last.height += size * 0.35;
    }
    strips
}

fn text_strip(line: Line, size: f32, x: f32) -> Strip {
    let piece = Piece { x, y: size, size, line };
    Strip { height: size * 1.32, pieces: vec![piece], ..Strip::default() }
}

fn item(fonts: &Fonts, level: u8, number: Option<u64>, spans: &[Span], width: f32) -> Vec<Strip> {
    let mark = number.map_or_else(|| "•".to_owned(), |number| format!("{number}."));
    let indent = (fonts.width(&mark, Style::Regular) * TEXT + 4.0).max(10.0);
    let x = f32::from(level.min(6)) * 14.0;
    let mut strips = paragraph(fonts, spans, TEXT, x + indent, width);
    if let Some(first) = strips.first_mut() {
        let line = vec![(mark, Style::Regular)];
        first.pieces.push(Piece { x, y: TEXT, size: TEXT, line });
    }
    strips
}

fn rows(fonts: &Fonts, table: &Table, width: f32) -> Vec<Strip> {
    let shares: f32 = table.columns.iter().map(|(_, share)| share).sum();
    let mut columns = Vec::new();
    let mut x = 0.0;
    for (_, share) in &table.columns {
        let wide = width * share / shares;
        columns.push((x, wide - GUTTER));
        x += wide;
    }
    let titles = table.columns.iter().map(|(title, _)| Span::bold(title.clone()));
    let titles = titles.map(|title| vec![title]).collect::<Vec<_>>();
    let heading = row_parts(fonts, &titles, &columns).into_iter().next().map(Rc::new);
    let mut strips: Vec<Strip> = row_parts(fonts, &titles, &columns);
    for strip in &mut strips {
        strip.keeps_with_next = true;
    }
    for row in &table.rows {
        let cells: Vec<Vec<Span>> = row.iter().map(|cell| vec![Span::plain(cell)]).collect();
        let parts = row_parts(fonts, &cells, &columns);
        strips.extend(parts.into_iter().map(|part| Strip { heading: heading.clone(), ..part }));
    }
    if let Some(last) = strips.last_mut() {
        last.height += TEXT;
    }
    strips
}

/// A row as strips: one, unless it has very many lines.
fn row_parts(fonts: &Fonts, cells: &[Vec<Span>], columns: &[(f32, f32)]) -> Vec<Strip> {
    let wrapped: Vec<(f32, Vec<Line>)> = cells
        .iter()
        .zip(columns)
        .map(|(spans, (x, width))| (*x, wrap(fonts, spans, CELL, *width)))
        .collect();
    let most = wrapped.iter().map(|(_, lines)| lines.len()).max().unwrap_or_default().max(1);
    let mut parts = Vec::new();
    for from in (0..most).step_by(ROW_LINES_MAX) {
        let mut strip = Strip::default();
        let mut height = CELL * 1.25;
        for (x, lines) in &wrapped {
            let mut y = CELL;
            for line in lines.iter().skip(from).take(ROW_LINES_MAX) {
                strip.pieces.push(Piece { x: *x, y, size: CELL, line: line.clone() });
                height = height.max(y + CELL * 0.25);
                y += CELL * 1.2;
            }
        }
        strip.height = height + 4.0;
        strip.rule = (from + ROW_LINES_MAX >= most).then_some(height + 1.2);
        parts.push(strip);
    }
    parts
}
