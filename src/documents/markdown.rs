//! Markdown as blocks of a document. What a document can't show, such as a picture, is shown as its
//! text.

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use crate::documents::{Block, Span};

/// The blocks that show a text in Markdown. Text within HTML is text.
#[must_use]
pub fn blocks_of_markdown(text: &str) -> Vec<Block> {
    let mut reader = Reader::default();
    for event in Parser::new(text) {
        reader.handle_event(event);
    }
    reader.end_block();
    reader.blocks
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
    /// The addresses of the links that are around.
    links: Vec<String>,
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
    fn handle_event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.begin(&tag),
            Event::End(end) => self.end(end),
            // The last three are of extensions, none of which is asked for.
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

    fn begin(&mut self, tag: &Tag<'_>) {
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
                let number = self.lists.last().copied().flatten();
                if let Some(next) = self.lists.last_mut() {
                    *next = number.map(|number| number.saturating_add(1));
                }
                self.item = Item::Begun(number);
            }
            Tag::Strong => self.strong = self.strong.saturating_add(1),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.links.push(dest_url.to_string());
            }
            Tag::Emphasis | Tag::Strikethrough | Tag::Superscript | Tag::Subscript => {}
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
                let address = self.links.pop().unwrap_or_default();
                if self.spans.last().is_some_and(|span| !span.text.ends_with(&address)) {
                    self.add(&format!(" ({address})"));
                }
            }
            TagEnd::Emphasis | TagEnd::Strikethrough | TagEnd::Superscript | TagEnd::Subscript => {}
            _ => self.end_block(),
        }
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
