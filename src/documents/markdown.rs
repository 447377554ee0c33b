//! Markdown as blocks of a document. Nothing that was written is left out: what a document can't
//! show, such as a picture, is shown as its text, and so is what Markdown defines and never shows.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::documents::{Block, Span, Table};

/// The blocks that show a text in Markdown (`CommonMark` with tables). Text within HTML is text.
#[must_use]
pub fn blocks_of_markdown(text: &str) -> Vec<Block> {
    let text = without_definitions(text);
    let mut reader = Reader::default();
    for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
        reader.handle_event(event, text.get(range).unwrap_or_default());
    }
    reader.end_block();
    reader.blocks
}

/// A line such as `[1]: approved` defines a link (`CommonMark` §4.7) and is not shown. Whoever writes
/// minutes means it as text, so it is escaped.
fn without_definitions(text: &str) -> Cow<'_, str> {
    /// What was read as the text of another definition may be one itself.
    const PASSES_MAX: usize = 4;
    let mut text = Cow::Borrowed(text);
    for _ in 0..PASSES_MAX {
        let found = definitions(&text);
        if found.is_empty() {
            break;
        }
        let mut escaped = String::with_capacity(text.len() + 4 * found.len());
        let mut done = 0;
        for (start, end) in found {
            let (Some(before), Some(defined)) = (text.get(done..start), text.get(start..end))
            else {
                continue;
            };
            let (shown, space) = defined.split_at(defined.trim_end().len());
            // With the two spaces its line stays a line.
            escaped.extend([before, "\\", shown, "  ", space]);
            done = end;
        }
        escaped.push_str(text.get(done..).unwrap_or_default());
        text = Cow::Owned(escaped);
    }
    text
}

/// Where each definition begins and ends, the first one first.
fn definitions(text: &str) -> BTreeMap<usize, usize> {
    let parser = Parser::new_ext(text, Options::ENABLE_TABLES);
    let mut names = BTreeSet::new();
    let mut found = BTreeMap::new();
    for (name, definition) in parser.reference_definitions().iter() {
        names.insert(name.to_lowercase());
        found.insert(definition.span.start, definition.span.end);
    }
    // The parser tells the first one of each name only.
    let mut begins = 0;
    for line in text.split_inclusive('\n').filter(|_| !names.is_empty()) {
        let marks = |one: char| one == ' ' || one == '\t' || one == '>';
        let rest = line.trim_start_matches(marks);
        let name = rest.strip_prefix('[').and_then(|rest| rest.split_once("]:"));
        if name.is_some_and(|(name, _)| names.contains(&name.to_lowercase())) {
            found.entry(begins + line.len() - rest.len()).or_insert(begins + line.len());
        }
        begins += line.len();
    }
    found
}

#[derive(Default)]
struct Reader {
    blocks: Vec<Block>,
    spans: Vec<Span>,
    /// The level of the heading that is read.
    heading: Option<u8>,
    /// The lists that are around, each with the number of its next item where they have one.
    lists: Vec<Option<u64>>,
    /// An item that has begun of which nothing was read, and its number.
    item: Item,
    /// How many quotations are around.
    quotes: u8,
    /// How many parts that stand out are around.
    strong: u8,
    /// The addresses and titles of the links that are around.
    links: Vec<(String, String)>,
    /// Whether what is read is code, whose lines stay lines.
    is_code: bool,
    /// The rows of the table that is read, the first of which is its heading.
    rows: Vec<Vec<String>>,
}

/// Whether the next block begins an item of a list.
#[derive(Default)]
enum Item {
    #[default]
    None,
    /// It does, and this is its number.
    Begun(Option<u64>),
}

impl Reader {
    /// Takes an event and the text that it is of.
    fn handle_event(&mut self, event: Event<'_>, source: &str) {
        match event {
            Event::Start(tag) => self.begin(&tag, source),
            Event::End(end) => self.end(end),
            Event::Text(text) if self.is_code => {
                for line in text.lines() {
                    self.add(line);
                    self.end_block();
                }
            }
            // The last three are of extensions that are not asked for.
            Event::Text(text)
            | Event::Code(text)
            | Event::Html(text)
            | Event::InlineHtml(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text)
            | Event::FootnoteReference(text) => self.add(&text),
            Event::SoftBreak => self.add(" "),
            Event::HardBreak => self.end_block(),
            Event::Rule => {
                self.end_block();
                self.blocks.push(Block::Rule);
            }
            Event::TaskListMarker(_) => {}
        }
    }

    fn begin(&mut self, tag: &Tag<'_>, source: &str) {
        match tag {
            Tag::Heading { level, .. } => {
                self.end_block();
                self.heading = Some(*level as u8);
            }
            Tag::BlockQuote(_) => {
                self.end_block();
                self.quotes = self.quotes.saturating_add(1);
            }
            Tag::List(first) => {
                self.end_block();
                self.lists.push(*first);
            }
            Tag::Item => {
                self.end_block();
                // The number that was written: Markdown counts on from the first one, but whoever
                // withdraws the sixth point goes on with the seventh.
                let is_numbered = self.lists.last().copied().flatten().is_some();
                let digits = source.find(|one: char| !one.is_ascii_digit()).unwrap_or_default();
                let written = source.get(..digits).and_then(|digits| digits.parse().ok());
                self.item = Item::Begun(written.filter(|_| is_numbered));
            }
            Tag::CodeBlock(kind) => {
                self.end_block();
                if let CodeBlockKind::Fenced(language) = kind {
                    self.add(language);
                    self.end_block();
                }
                self.is_code = true;
            }
            Tag::Table(_) => {
                self.end_block();
                self.rows.clear();
            }
            Tag::TableHead | Tag::TableRow => self.rows.push(Vec::new()),
            Tag::Strong => self.strong = self.strong.saturating_add(1),
            Tag::Link { dest_url, title, .. } | Tag::Image { dest_url, title, .. } => {
                self.links.push((dest_url.to_string(), title.to_string()));
            }
            Tag::TableCell
            | Tag::Emphasis
            | Tag::Strikethrough
            | Tag::Superscript
            | Tag::Subscript => {}
            _ => self.end_block(),
        }
    }

    fn end(&mut self, end: TagEnd) {
        match end {
            TagEnd::Heading(_) => {
                let level = self.heading.take().unwrap_or(1);
                let spans = std::mem::take(&mut self.spans);
                self.blocks.push(Block::Heading(level, spans));
            }
            TagEnd::BlockQuote(_) => {
                self.end_block();
                self.quotes = self.quotes.saturating_sub(1);
            }
            TagEnd::List(_) => {
                self.end_block();
                self.lists.pop();
            }
            TagEnd::Strong => self.strong = self.strong.saturating_sub(1),
            TagEnd::Link | TagEnd::Image => {
                // On paper an address has to be read.
                let (address, title) = self.links.pop().unwrap_or_default();
                if self.spans.last().is_none_or(|span| !span.text.ends_with(&address)) {
                    self.add(&format!(" ({address})"));
                }
                if !title.is_empty() {
                    self.add(&format!(" ({title})"));
                }
            }
            TagEnd::CodeBlock => self.is_code = false,
            TagEnd::TableCell => {
                let spans = std::mem::take(&mut self.spans);
                let cell = spans.into_iter().map(|span| span.text).collect();
                if let Some(row) = self.rows.last_mut() {
                    row.push(cell);
                }
            }
            TagEnd::Table => self.end_table(),
            TagEnd::TableHead
            | TagEnd::TableRow
            | TagEnd::Emphasis
            | TagEnd::Strikethrough
            | TagEnd::Superscript
            | TagEnd::Subscript => {}
            _ => self.end_block(),
        }
    }

    fn end_table(&mut self) {
        let mut rows = std::mem::take(&mut self.rows).into_iter();
        let titles = rows.next().unwrap_or_default();
        let rows: Vec<Vec<String>> = rows.collect();
        let longest = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|it| it.chars().count());
            cells.max().unwrap_or_default()
        };
        // A column is as wide as its longest text, within bounds that leave the others some room.
        let width = |(column, title): (usize, String)| {
            let characters = longest(column).max(title.chars().count()).clamp(4, 40);
            (title, f32::from(u8::try_from(characters).unwrap_or(u8::MAX)))
        };
        let columns = titles.into_iter().enumerate().map(width).collect();
        self.blocks.push(Block::Table(Table { columns, rows }));
    }

    fn add(&mut self, text: &str) {
        let span = if self.strong > 0 { Span::bold(text) } else { Span::plain(text) };
        match self.spans.last_mut() {
            Some(last) if last.style == span.style => last.text.push_str(text),
            _ => self.spans.push(span),
        }
    }

    fn end_block(&mut self) {
        let spans = std::mem::take(&mut self.spans);
        if spans.is_empty() {
            return;
        }
        self.blocks.push(if let Item::Begun(number) = std::mem::take(&mut self.item) {
            let depth = self.lists.len().saturating_sub(1);
            Block::Item(u8::try_from(depth).unwrap_or(u8::MAX), number, spans)
        } else if self.quotes > 0 {
            Block::Note(spans)
        } else {
            Block::Paragraph(spans)
        });
    }
}
