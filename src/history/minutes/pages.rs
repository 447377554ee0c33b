//! Minutes as a document.

use crate::documents::{Attachment, Block, Document, Footer, Form, Span, blocks_of_markdown};
use crate::history::confirmed::ConfirmedMinutes;
use crate::history::minutes::{About, Language};

impl ConfirmedMinutes {
    /// The minutes as a document, with their text embedded. The newest head of the log stands at the
    /// foot of every page.
    #[must_use]
    pub fn document(self, about: &About) -> Document {
        let language = Language::parse(&self.language).unwrap_or(Language::Spanish);
        let labels = language.headings();
        let mut lines = Vec::new();
        match &about.head {
            Some(head) => {
                lines.push(format!("{}: {}", labels.root, head.root));
                lines.push(format!("{}: {}", labels.entries, head.tree_size));
                lines.push(format!("{} {}", labels.verify, about.verify_at));
            }
            None => lines.push(labels.no_head.to_owned()),
        }
        lines.push(format!("minutes.md, SHA-256: {}", self.sha256));
        let mut blocks = blocks_of_markdown(&self.text);
        blocks.push(Block::Note(vec![Span::plain(labels.letters)]));
        Document {
            title: format!("{}: {}", labels.title, about.title),
            language: language.as_str(),
            made_at: self.at,
            id: format!("urn:uuid:{}#minutes", about.session),
            form: Form::Portrait,
            blocks,
            footer: Footer {
                lines,
                page: labels.page,
                code: about.head.is_some().then(|| about.verify_at.clone()),
            },
            attachment: Attachment {
                name: "minutes.md",
                media_type: "text/markdown",
                description: labels.title.to_owned(),
                bytes: self.text.into_bytes(),
            },
        }
    }
}
