//! Writes documents as PDF/A-3b (ISO 19005-3).

use krilla::SerializeSettings;
use krilla::color::luma;
use krilla::configure::{Archival, ConfigurationBuilder};
use krilla::document::Document as Pdf;
use krilla::embed::{AssociationKind, EmbeddedFile, MimeType};
use krilla::geom::{PathBuilder, Point, Rect, Transform};
use krilla::graphic::Graphic;
use krilla::metadata::{DateTime, Metadata};
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::{Fill, FillRule};
use krilla::surface::Surface;

use crate::documents::code::code;
use crate::documents::fonts::{Fonts, Shaper};
use crate::documents::layout::{FOOT, MARGIN, Page, Piece, SMALL, pages, size_of};
use crate::documents::lines::wrap;
use crate::documents::{Document, DocumentError, Span};
use crate::domain::time::Timestamp;

/// Width of the QR code at the foot of pages, in points: 23 mm.
const CODE: f32 = 65.0;
/// Gray of rules: of 255.
const RULE_GRAY: u8 = 170;

/// Writes a document. The same document gives the same bytes.
///
/// # Errors
/// [`DocumentError`]
pub fn write(document: &Document) -> Result<Vec<u8>, DocumentError> {
    let invalid = |why: &dyn std::fmt::Debug| DocumentError::Invalid(format!("{why:?}"));
    let fonts = Fonts::load()?;
    let laid = pages(&fonts, document.form, &document.blocks)?;
    let configuration = ConfigurationBuilder::new().with_archival_validator(Archival::A3_B);
    let configuration = configuration.finish().map_err(|error| invalid(&error))?;
    let mut pdf =
        Pdf::new_with(SerializeSettings { configuration, ..SerializeSettings::default() });
    let made_at = date(document.made_at);
    pdf.set_metadata(
        Metadata::new()
            .title(fonts.shown(&document.title))
            .language(document.language.to_owned())
            .creator("Cabildo".to_owned())
            .producer("Cabildo".to_owned())
            .document_id(document.id.clone())
            .creation_date(made_at),
    );
    let attachment = &document.attachment;
    pdf.embed_file(EmbeddedFile {
        path: attachment.name.to_owned(),
        mime_type: MimeType::new(attachment.media_type),
        description: Some(attachment.description.clone()),
        association_kind: AssociationKind::Source,
        data: attachment.bytes.clone().into(),
        modification_date: Some(made_at),
        compress: Some(true),
        location: None,
    });
    draw(&mut pdf, &fonts, document, &laid)?;
    pdf.finish().map_err(|error| invalid(&error))
}

fn draw(
    pdf: &mut Pdf,
    fonts: &Fonts,
    document: &Document,
    laid: &[Page],
) -> Result<(), DocumentError> {
    let (width, height) = size_of(document.form);
    let code = document.footer.code.as_deref().map(code).transpose()?;
    let mut shaper = Shaper::new(fonts);
    let mut drawn_code: Option<Graphic> = None;
    let settings = PageSettings::from_wh(width, height);
    let settings = settings.ok_or_else(|| DocumentError::Invalid("a page has no size".into()))?;
    for (number, page) in (1..).zip(laid) {
        let mut sheet = pdf.start_page_with(settings.clone());
        let mut surface = sheet.surface();
        for (y, strip) in page {
            for piece in &strip.pieces {
                draw_piece(&mut surface, fonts, &mut shaper, piece, *y);
            }
            if let Some(below) = strip.rule {
                draw_rule(&mut surface, y + below, width);
            }
        }
        let top = height - FOOT;
        draw_rule(&mut surface, top, width);
        if let Some((shape, modules)) = &code {
            let graphic = drawn_code.get_or_insert_with(|| {
                let mut builder = surface.stream_builder();
                let mut within = builder.surface();
                within.set_fill(Some(gray(0)));
                within.draw_path(shape);
                within.finish();
                Graphic::new(builder.finish(), false)
            });
            let scale = CODE / modules;
            let place =
                Transform::from_row(scale, 0.0, 0.0, scale, width - MARGIN - CODE, top + 3.0);
            surface.push_transform(&place);
            surface.draw_graphic(graphic.clone());
            surface.pop();
        }
        let page_of = document.footer.page.replace("{page}", &number.to_string());
        let page_of = page_of.replace("{pages}", &laid.len().to_string());
        let mut y = top + 5.0;
        let room = width - 2.0 * MARGIN - CODE - 8.0;
        for text in document.footer.lines.iter().chain([&page_of]) {
            for line in wrap(fonts, &[Span::plain(text)], SMALL, room) {
                let piece = Piece { x: 0.0, y: SMALL, size: SMALL, line };
                draw_piece(&mut surface, fonts, &mut shaper, &piece, y);
                y += SMALL * 1.3;
            }
        }
        surface.finish();
        sheet.finish();
    }
    Ok(())
}

fn draw_piece(
    surface: &mut Surface<'_>,
    fonts: &Fonts,
    shaper: &mut Shaper<'_>,
    piece: &Piece,
    top: f32,
) {
    surface.set_fill(Some(gray(0)));
    let mut x = MARGIN + piece.x;
    for (text, style) in &piece.line {
        for run in shaper.runs(text, *style) {
            let start = Point::from_xy(x, top + piece.y);
            surface.draw_glyphs(
                start,
                &run.glyphs,
                fonts.font(*style),
                &run.text,
                piece.size,
                false,
            );
            x += run.width * piece.size;
        }
    }
}

fn draw_rule(surface: &mut Surface<'_>, y: f32, width: f32) {
    let Some(rule) = Rect::from_xywh(MARGIN, y, width - 2.0 * MARGIN, 0.4) else { return };
    let mut shape = PathBuilder::new();
    shape.push_rect(rule);
    if let Some(shape) = shape.finish() {
        surface.set_fill(Some(gray(RULE_GRAY)));
        surface.draw_path(&shape);
    }
}

fn gray(lightness: u8) -> Fill {
    let paint = luma::Color::new(lightness).into();
    Fill { paint, opacity: NormalizedF32::ONE, rule: FillRule::NonZero }
}

fn date(at: Timestamp) -> DateTime {
    let text = at.to_string();
    let number = |range| text.get(range).and_then(|digits: &str| digits.parse().ok());
    let part = |range| number(range).and_then(|it: u16| u8::try_from(it).ok()).unwrap_or_default();
    DateTime::new(number(0..4).unwrap_or_default())
        .month(part(5..7))
        .day(part(8..10))
        .hour(part(11..13))
        .minute(part(14..16))
        .second(part(17..19))
        .utc_offset_hour(0)
        .utc_offset_minute(0)
}
