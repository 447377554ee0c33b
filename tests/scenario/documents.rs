//! Documents, read back by a reader that shares nothing with the writer.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use cabildo::documents::{
    Attachment, Block, Document, DocumentError, Footer, Form, PAGES_MAX, Span, Table,
    blocks_of_markdown, write,
};
use cabildo::domain::time::Timestamp;
use cabildo::verify::pdf::embedded_file;
use cabildo::verify::report::Code;
use lopdf::{Dictionary, Object};

pub(crate) fn document(form: Form, blocks: Vec<Block>, data: &[u8]) -> Document {
    Document {
        title: "Lista de asistencia: Junta «Ñandú»".to_owned(),
        language: "es",
        made_at: Timestamp::parse_rfc3339("2026-03-01T10:00:00.5Z").expect("a moment"),
        id: "urn:uuid:018f#attendance".to_owned(),
        form,
        blocks,
        footer: Footer {
            lines: vec!["Raíz del registro: aaaa_-bbbb".to_owned()],
            page: "Página {page} de {pages}",
            code: Some("https://cabildo.example/api/v1/sessions/018f/audit-proof".to_owned()),
        },
        attachment: Attachment {
            name: "attendance.json",
            media_type: "application/json",
            description: "Los datos".to_owned(),
            bytes: data.to_vec(),
        },
    }
}

fn read(pdf: &[u8]) -> lopdf::Document {
    lopdf::Document::load_mem(pdf).expect("a PDF")
}

/// The text of all pages, without the spaces and line breaks that a reader guesses.
fn text_of(document: &lopdf::Document) -> String {
    let pages: Vec<u32> = document.get_pages().keys().copied().collect();
    let text = document.extract_text(&pages).expect("its text");
    text.split_whitespace().collect()
}

fn without_space(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Writes what a person should look at to the directory `CABILDO_WRITE_DOCUMENTS`, when it is set.
fn keep(name: &str, pdf: &[u8]) {
    if let Some(directory) = std::env::var_os("CABILDO_WRITE_DOCUMENTS") {
        std::fs::write(std::path::Path::new(&directory).join(name), pdf).expect("written");
    }
}

fn table(rows: Vec<Vec<String>>) -> Block {
    let columns = ["N.º", "Nombre", "Desde"].map(|name| (name.to_owned(), 1.0));
    Block::Table(Table { columns: columns.to_vec(), rows })
}

fn names(names: &[&str]) -> Vec<Block> {
    let row = |(number, name): (usize, &&str)| {
        vec![number.to_string(), (*name).to_owned(), "2026-03-01".to_owned()]
    };
    vec![table((1..).zip(names).map(row).collect())]
}

#[test]
fn a_document_is_pdf_a_3b_with_its_fonts_and_its_data() {
    let data = br#"{"v":1,"rows":["Ana","Bo"]}"#;
    let blocks = vec![
        Block::Heading(1, vec![Span::bold("Lista de asistencia")]),
        Block::Paragraph(vec![Span::bold("Sesión: "), Span::plain("ordinaria de marzo")]),
        table(vec![vec!["1".into(), "Ana Ruíz Ñáñez".into(), "10:00:00Z".into()]]),
    ];
    let document = document(Form::Landscape, blocks, data);
    let pdf = write(&document).expect("written");
    assert_eq!(write(&document).expect("written"), pdf, "the same document, the same bytes");
    keep("small.pdf", &pdf);
    let read = read(&pdf);

    let text = text_of(&read);
    for shown in
        ["Lista de asistencia", "Sesión: ordinaria de marzo", "Ana Ruíz Ñáñez", "Página 1 de 1"]
    {
        assert!(text.contains(&without_space(shown)), "{shown} in {text}");
    }
    let catalog = read.catalog().expect("a catalog");
    let metadata = read.get_dictionary_or_stream(catalog, b"Metadata");
    let metadata = String::from_utf8_lossy(&metadata).into_owned();
    for statement in ["<pdfaid:part>3</pdfaid:part>", "<pdfaid:conformance>B</pdfaid:conformance>"]
    {
        assert!(metadata.contains(statement), "{statement} in {metadata}");
    }
    let intents = catalog.get(b"OutputIntents").and_then(|it| read.dereference(it));
    let intents = intents.expect("output intents").1.as_array().expect("a list");
    assert_eq!(intents.len(), 1);

    let fonts = read.objects.values().filter_map(|object| object.as_dict().ok());
    let descriptors = fonts.filter(|it| it.get_type().is_ok_and(|it| it == b"FontDescriptor"));
    let descriptors: Vec<&Dictionary> = descriptors.collect();
    assert_eq!(descriptors.len(), 2, "regular and bold");
    for descriptor in descriptors {
        let is_embedded = ["FontFile2", "FontFile3"].iter().any(|it| descriptor.has(it.as_bytes()));
        assert!(is_embedded, "{descriptor:?}");
    }
    let associated = catalog.get(b"AF").and_then(|it| read.dereference(it)).expect("files");
    let file = read.dereference(&associated.1.as_array().expect("a list")[0]).expect("one");
    let relationship = file.1.as_dict().and_then(|it| it.get(b"AFRelationship")).expect("said");
    assert_eq!(relationship.as_name().expect("a name"), b"Source");
    assert_eq!(embedded_file(&pdf, "attendance.json").expect("embedded"), data);
}

trait Contents {
    fn get_dictionary_or_stream(&self, of: &Dictionary, key: &[u8]) -> Vec<u8>;
}

impl Contents for lopdf::Document {
    fn get_dictionary_or_stream(&self, of: &Dictionary, key: &[u8]) -> Vec<u8> {
        let found = of.get(key).and_then(|it| self.dereference(it)).expect("there").1;
        let Object::Stream(stream) = found else { panic!("no stream: {found:?}") };
        stream.decompressed_content().unwrap_or_else(|_| stream.content.clone())
    }
}

#[test]
fn nobody_is_left_out_for_the_letters_of_their_name() {
    let people = [
        "Ana Ruíz",
        "Müller-Lüdenscheidt",
        "Łukasz Żółć",
        "Елена Ивановна",
        "Ελένη Παπαδοπούλου",
        "محمد العربي",
        "דוד כהן",
        "张三",
        "नरेंद्र",
        "👩‍👩‍👧 Bo",
        "a\u{202E}b\u{200B}c",
        "e\u{301}\u{302}\u{303}",
        "\u{0}\u{7}x",
        "\u{E000}",
        "",
        "Nguyễn Thị Minh Khai",
    ];
    let pdf = write(&document(Form::Portrait, names(&people), b"{}")).expect("written");
    keep("names.pdf", &pdf);
    let text = text_of(&read(&pdf));
    for shown in [
        "AnaRuíz",
        "Müller",
        "ŁukaszŻółć",
        "ЕленаИвановна",
        "Παπαδοπούλου",
        "[U+5F20][U+4E09]",
        "[U+1F469]",
        "a[U+202E]b[U+200B]c",
        "[U+0000][U+0007]x",
        "[U+E000]",
        "ThịMinhKhai",
        "152026",
    ] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
}

/// Letter by letter, and in the company of others, which may join them.
#[test]
fn no_letter_makes_a_document_fail() {
    let letters: Vec<char> = (0..=0xFFFF_u32).filter_map(char::from_u32).collect();
    let blocks = letters.chunks(64).map(|some| {
        let joined: String = some.iter().collect();
        let apart: Vec<String> = some.iter().map(char::to_string).collect();
        Block::Note(vec![Span::plain(joined), Span::bold(format!(" {}", apart.join(" ")))])
    });
    let written = write(&document(Form::Portrait, blocks.collect(), b"{}"));
    assert!(written.is_ok(), "{:?}", written.err());
}

#[test]
fn five_thousand_people_fit_in_a_document() {
    let people: Vec<String> = (0..5_000).map(|n| format!("Persona Apellido {n:04} Ñ")).collect();
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    let pdf = write(&document(Form::Landscape, names(&people), b"{}")).expect("written");
    keep("large.pdf", &pdf);
    let read = read(&pdf);
    let text = text_of(&read);
    let shown: BTreeSet<usize> =
        (0..5_000).filter(|n| text.contains(&format!("PersonaApellido{n:04}Ñ"))).collect();
    assert_eq!(shown.len(), 5_000);
    assert_eq!(text.matches("Nombre").count(), read.get_pages().len(), "on every page");
    assert!(pdf.len() < 4_000_000, "{} bytes", pdf.len());
}

#[test]
fn what_is_too_wide_or_too_long_is_divided_and_what_is_endless_refused() {
    let word = "ñ".repeat(20_000);
    let pdf = write(&document(Form::Portrait, names(&[&word, "Bo"]), b"{}")).expect("written");
    let read = read(&pdf);
    assert_eq!(text_of(&read).matches('ñ').count(), 20_000);
    assert!(read.get_pages().len() > 5);
    // Rules are the cheapest blocks: 72 of them fill a page.
    let endless = vec![Block::Rule; PAGES_MAX * 90];
    let refused = write(&document(Form::Portrait, endless, b"{}"));
    assert_eq!(refused, Err(DocumentError::TooLong));
}

#[test]
fn minutes_in_markdown_are_shown_as_what_they_say() {
    let markdown = "# Acta: Junta \\*anual\\*\n\n> Borrador.\n\n- Sesión: `018f`\n\n## Desarrollo\n\n\
        - 10:00 — **Ana** tiene la palabra.\n  - 10:01 — Ana: \\<b\\>sí\\</b\\>. *(corregido)*\n\n\
        <script>x</script>\n\n---\n\n![foto](http://x/y.png) y [aquí](http://z)\n\n    código\n\n1. uno\n2. dos\n";
    let pdf = write(&document(Form::Portrait, blocks_of_markdown(markdown), b"{}"));
    let pdf = pdf.expect("written");
    keep("minutes.pdf", &pdf);
    let text = text_of(&read(&pdf));
    for shown in [
        "Acta:Junta*anual*",
        "Borrador.",
        "•Sesión:018f",
        "Anatienelapalabra.",
        "Ana:<b>sí</b>.(corregido)",
        "<script>x</script>",
        "foto(http://x/y.png)yaquí(http://z)",
        "código",
        "uno1.",
        "dos2.",
    ] {
        // The mark of an item is drawn after its text.
        let shown = shown.trim_start_matches('•');
        assert!(text.contains(shown), "{shown} in {text}");
    }
    assert!(!text.contains('\\') && !text.contains("**"), "{text}");
}

#[test]
fn nothing_of_minutes_is_left_out_or_numbered_anew() {
    let markdown = "Acuerdos:\n\n[Acuerdo-1]: aprobado\n[Acuerdo-2]: RECHAZADO \"por mayoría\"\n\
        [acuerdo-1]: ratificado\n\nVéase [Acuerdo-1].\n\n> [cita]: dicha\n\n5. CINCO\n7. SIETE\n\n\
        | Propuesta | Sí | No |\n|---|---|---|\n| TABLA-uno | 1 | 2 |\n| A\\|B | 30 | |\n\n\
        ```nota\nlínea uno\nlínea dos\n```\n\n[aquí](http://z \"título\") ![](http://x/sello.png)\n\n\
        - sin número\n\n2023 fue bueno.\n";
    let blocks = blocks_of_markdown(markdown);
    let numbers = blocks.iter().filter_map(|block| match block {
        Block::Item(_, number, _) => Some(*number),
        _ => None,
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [Some(5), Some(7), None]);
    let tables = blocks.iter().filter_map(|block| match block {
        Block::Table(table) => Some(table.rows.clone()),
        _ => None,
    });
    assert_eq!(tables.collect::<Vec<_>>(), [[["TABLA-uno", "1", "2"], ["A|B", "30", ""]]]);
    let pdf = write(&document(Form::Portrait, blocks, b"{}")).expect("written");
    keep("minutes-plain.pdf", &pdf);
    let text = text_of(&read(&pdf));
    for shown in [
        "[Acuerdo-1]:aprobado",
        "[Acuerdo-2]:RECHAZADO\"pormayoría\"",
        "[acuerdo-1]:ratificado",
        "Véase[Acuerdo-1].",
        "[cita]:dicha",
        "Propuesta",
        "nota",
        "líneauno",
        "líneados",
        "aquí(http://z)(título)",
        "(http://x/sello.png)",
        "2023fuebueno.",
    ] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    let many = "[a]: b\n".repeat(20_000) + &"[b]\n".repeat(20_000);
    let shown: usize = blocks_of_markdown(&many)
        .iter()
        .map(|block| match block {
            Block::Paragraph(spans) => {
                spans.iter().map(|span| span.text.matches('[').count()).sum::<usize>()
            }
            _ => 0,
        })
        .sum();
    assert_eq!(shown, 40_000);
}

/// A document of these objects, numbered from 1.
fn made(objects: &[&str], trailer: &str) -> Vec<u8> {
    let mut pdf = b"%PDF-1.7\n".to_vec();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (number, object) in (1..).zip(objects) {
        writeln!(table, "{:010} 00000 n ", pdf.len()).expect("written");
        pdf.extend(format!("{number} 0 obj\n{object}\nendobj\n").bytes());
    }
    let start = pdf.len();
    pdf.extend(format!("{table}trailer\n{trailer}\nstartxref\n{start}\n%%EOF").bytes());
    pdf
}

/// As [`made`] with two objects, and a third one that is a stream of 80 MiB in few bytes.
fn file_that_grows(objects: &[&str; 2], trailer: &str) -> Vec<u8> {
    use std::io::Write as _;

    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    (0..80).for_each(|_| packed.write_all(&vec![b'0'; 1 << 20]).expect("packed"));
    let packed = packed.finish().expect("packed");
    let mut pdf = b"%PDF-1.7\n".to_vec();
    let mut table = "xref\n1 3\n".to_owned();
    for (number, object) in (1..).zip(objects) {
        writeln!(table, "{:010} 00000 n ", pdf.len()).expect("written");
        pdf.extend(format!("{number} 0 obj\n{object}\nendobj\n").bytes());
    }
    writeln!(table, "{:010} 00000 n ", pdf.len()).expect("written");
    let about = format!("<</Filter /FlateDecode /Length {}>>", packed.len());
    pdf.extend(format!("3 0 obj\n{about}\nstream\n").bytes());
    pdf.extend(&packed);
    pdf.extend(b"\nendstream\nendobj\n");
    let start = pdf.len();
    pdf.extend(format!("{table}trailer\n{trailer}\nstartxref\n{start}\n%%EOF").bytes());
    pdf
}

/// A document is a stranger's: whatever is done to it, taking a file out of it ends with the file or
/// a refusal.
#[test]
fn hostile_documents_are_refused() {
    let data = vec![b'x'; 10_000];
    let genuine = write(&document(Form::Portrait, names(&["Ana"]), &data)).expect("written");
    let refused = |pdf: &[u8], why: &str| {
        let found = embedded_file(pdf, "attendance.json");
        assert!(found.is_err(), "{why}: {} bytes", found.map_or(0, |it| it.len()));
    };
    refused(b"", "nothing");
    refused(&genuine[..genuine.len() / 2], "half of it");
    let added = [&genuine[..], b"\ntrailer<</Root 1 0 R/Prev 9>>\nstartxref\n0\n%%EOF\n"].concat();
    refused(&added, "something was added");
    assert!(embedded_file(&genuine, "other.json").is_err(), "another name");
    let names = "<</Names <</EmbeddedFiles <</Names [(attendance.json) 2 0 R]>>>>>>";
    let root = "<</Root 1 0 R>>";
    let file = "<</EF <</F 3 0 R>>>>";
    let good = made(&[names, file, "<</Length 2>>\nstream\nhi\nendstream"], root);
    assert_eq!(embedded_file(&good, "attendance.json").expect("a file"), b"hi");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let wide = format!("<</Names [{}]>>", "0 ".repeat(1_000_000));
    let twice = "<</Names <</EmbeddedFiles <</Names [(attendance.json) 2 0 R (attendance.json) 2 0 R]>>>>>>";
    let long = format!("({}) null (attendance.json) 2 0 R", "a".repeat(2 << 20));
    let long = format!("<</Names <</EmbeddedFiles <</Names [{long}]>>>>>>");
    let inflated = file_that_grows(&[names, file], root);
    refused(&inflated, "a file that grows");
    for (objects, trailer, why) in [
        (vec!["<</Names 1 0 R>>"], root, "names that name themselves"),
        (vec!["1 0 R"], root, "a reference to itself"),
        (vec![deep.as_str()], root, "deep nesting"),
        (vec![wide.as_str()], root, "a wide object"),
        (vec![&long, file, "<</Length 2>>\nstream\nhi\nendstream"], root, "a long object"),
        (vec![twice, file, "<</Length 2>>\nstream\nhi\nendstream"], root, "two files"),
        (vec![names, file, "<</Length 99999>>\nstream\nhi\nendstream"], root, "a length that lies"),
        (vec![names, file, "<</Length 3 0 R>>\nstream\nhi\nendstream"], root, "a length of itself"),
        (
            vec![names, file, "<</Length 2 /Filter /LZWDecode>>\nstream\nhi\nendstream"],
            root,
            "a filter",
        ),
        (vec![names], "<</Root 9 0 R>>", "an object that is not there"),
        (vec![names], "<</Root 1 0 R /Encrypt 1 0 R>>", "encryption"),
        (
            vec![
                "<</Names <</EmbeddedFiles <</Kids [4 0 R]>>>>>>",
                file,
                "null",
                "<</Kids [4 0 R 4 0 R]>>",
            ],
            root,
            "a tree without end",
        ),
    ] {
        refused(&made(&objects, trailer), why);
    }
}

/// Reading ends after so many bytes, also of one object that is named often, and what an end cuts in
/// two is not taken for less.
#[test]
fn what_a_document_makes_read_is_bounded() {
    let refusal = |objects: &[&str]| {
        let found = embedded_file(&made(objects, "<</Root 1 0 R>>"), "attendance.json");
        found.expect_err("too large").code
    };
    let file = "<</EF <</F 3 0 R>>>>";
    let kids = "4 0 R ".repeat(200);
    let often = format!("<</Names <</EmbeddedFiles <</Kids [{kids} 5 0 R]>>>>>>");
    let comment = format!("%{}\n<</Names []>>", "a".repeat(1_000_000));
    let stream = "<</Length 2>>\nstream\nhi\nendstream";
    let last = "<</Names [(attendance.json) 2 0 R]>>";
    assert_eq!(refusal(&[&often, file, stream, &comment, last]), Code::TooLarge, "named often");

    // The limit of an object is between the two digits.
    let cut = format!("%{}\n25", "a".repeat((1 << 20) - 11));
    let names = "<</Names <</EmbeddedFiles <</Names [(attendance.json) 2 0 R]>>>>>>";
    let stream = "<</Length 4 0 R>>\nstream\nhi\nendstream";
    assert_eq!(refusal(&[names, file, stream, &cut]), Code::TooLarge, "cut in two");
}
