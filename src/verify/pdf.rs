//! Takes a file out of a PDF (ISO 32000-1 §7). It reads documents as the server writes them: one
//! cross-reference table, nothing encrypted, nothing added later. Anything else is refused.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::ZlibDecoder;

use super::report::{Code, Finding};

/// Largest document accepted, in bytes.
pub const PDF_BYTES_MAX: u64 = 64 << 20;
/// Largest file within it, in bytes, once it is decompressed.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Deepest nesting of arrays and dictionaries, and longest chain of references.
const DEPTH_MAX: usize = 16;
/// Most values of one object.
const VALUES_MAX: usize = 10_000;
/// Most nodes of the tree of names.
const NODES_MAX: usize = 1_000;
/// Most bytes of one object, without the contents of a stream.
const OBJECT_BYTES_MAX: usize = 1 << 20;
/// Most bytes of all objects that are read: twice the largest document. The same one may be read for
/// each node of a tree.
const READ_BYTES_MAX: usize = 128 << 20;
/// Most objects of a document.
const OBJECTS_MAX: u64 = 1_000_000;
/// Where the end of a document is looked for.
const TAIL_BYTES: usize = 64;

/// The embedded file with this name.
pub fn embedded_file(pdf: &[u8], name: &str) -> Result<Vec<u8>, Finding> {
    if pdf.len() as u64 > PDF_BYTES_MAX {
        return Err(Finding::new(Code::TooLarge, "the document has too many bytes"));
    }
    let document = Pdf::open(pdf)?;
    let catalog = document.dictionary(entry(&document.trailer, b"Root")?)?;
    let names = document.dictionary(entry(&catalog, b"Names")?)?;
    let tree = entry(&names, b"EmbeddedFiles")?;
    let mut found = Vec::new();
    document.collect(tree, name.as_bytes(), &mut found, &mut 0, 0)?;
    let [specification] = found.as_slice() else {
        return Err(malformed(&format!("it has {} files called {name}", found.len())));
    };
    let specification = document.dictionary(specification)?;
    let files = document.dictionary(entry(&specification, b"EF")?)?;
    document.contents(entry(&files, b"F")?)
}

fn malformed(why: &str) -> Finding {
    Finding::new(Code::Malformed, format!("the document: {why}"))
}

type Dictionary = BTreeMap<Vec<u8>, Value>;

#[derive(Debug, Clone)]
enum Value {
    Dictionary(Dictionary),
    Array(Vec<Value>),
    Name(Vec<u8>),
    Text(Vec<u8>),
    Number(u64),
    Reference(u64),
    /// What is not needed: other numbers, truth values, nothing.
    Other,
}

fn entry<'v>(of: &'v Dictionary, key: &[u8]) -> Result<&'v Value, Finding> {
    let missing = || malformed(&format!("it has no {}", String::from_utf8_lossy(key)));
    of.get(key).ok_or_else(missing)
}

struct Pdf<'a> {
    bytes: &'a [u8],
    /// Where each object begins, by its number.
    objects: BTreeMap<u64, usize>,
    trailer: Dictionary,
    /// How many bytes of objects may still be read.
    budget: Cell<usize>,
}

impl<'a> Pdf<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, Finding> {
        if !bytes.starts_with(b"%PDF-1.") {
            return Err(malformed("it is no PDF"));
        }
        let tail = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let text = String::from_utf8_lossy(tail);
        let start = text
            .trim_end()
            .strip_suffix("%%EOF")
            .and_then(|text| text.rsplit_once("startxref")?.1.trim().parse::<usize>().ok());
        let start = start.ok_or_else(|| malformed("its end is missing"))?;
        let mut reader = Reader::at(bytes, start)?;
        reader.word(b"xref")?;
        let mut objects = BTreeMap::new();
        while !reader.takes(b"trailer") {
            let (first, count) = (reader.number()?, reader.number()?);
            if count > OBJECTS_MAX || objects.len() as u64 > OBJECTS_MAX {
                return Err(Finding::new(Code::TooLarge, "the document has too many objects"));
            }
            for number in 0..count {
                let (offset, _) = (reader.number()?, reader.number()?);
                let offset = usize::try_from(offset).map_err(|_| malformed("an offset"))?;
                if reader.takes(b"n") {
                    objects.insert(first.saturating_add(number), offset);
                } else {
                    reader.word(b"f")?;
                }
            }
        }
        let Value::Dictionary(trailer) = reader.value()? else {
            return Err(malformed("its trailer is no dictionary"));
        };
        if trailer.contains_key(&b"Prev"[..]) || trailer.contains_key(&b"Encrypt"[..]) {
            return Err(malformed("it was added to, or is encrypted"));
        }
        Ok(Self { bytes, objects, trailer, budget: Cell::new(READ_BYTES_MAX) })
    }

    /// What an object is, and a reader of what follows it.
    fn object(&self, number: u64) -> Result<(Value, Reader<'a>), Finding> {
        let absent = || malformed("it names an object that it does not have");
        let offset = self.objects.get(&number).ok_or_else(absent)?;
        let too_large = || Finding::new(Code::TooLarge, "the document has too large an object");
        let length = OBJECT_BYTES_MAX.min(self.budget.get());
        if length == 0 {
            return Err(too_large());
        }
        let end = offset.saturating_add(length).min(self.bytes.len());
        let mut reader = Reader::at(&self.bytes[..end], *offset)?;
        let value = Self::object_in(&mut reader, number);
        self.budget.set(self.budget.get().saturating_sub(reader.at.saturating_sub(*offset)));
        // What the limit cuts in two, such as a number, is not what the document says.
        if reader.met_end && end < self.bytes.len() {
            return Err(too_large());
        }
        Ok((value?, reader))
    }

    fn object_in(reader: &mut Reader<'a>, number: u64) -> Result<Value, Finding> {
        if reader.number()? != number {
            return Err(malformed("an object is not where its table says"));
        }
        reader.number()?;
        reader.word(b"obj")?;
        reader.value()
    }

    fn resolve(&self, value: &Value) -> Result<Value, Finding> {
        let mut value = value.clone();
        for _ in 0..DEPTH_MAX {
            let Value::Reference(number) = value else { return Ok(value) };
            value = self.object(number)?.0;
        }
        Err(malformed("its references do not end"))
    }

    fn dictionary(&self, value: &Value) -> Result<Dictionary, Finding> {
        match self.resolve(value)? {
            Value::Dictionary(dictionary) => Ok(dictionary),
            _ => Err(malformed("something is no dictionary")),
        }
    }

    /// Adds what a tree of names has under a name (§7.9.6).
    fn collect(
        &self,
        node: &Value,
        name: &[u8],
        found: &mut Vec<Value>,
        nodes: &mut usize,
        depth: usize,
    ) -> Result<(), Finding> {
        *nodes += 1;
        if *nodes > NODES_MAX || depth > DEPTH_MAX {
            return Err(Finding::new(Code::TooLarge, "the document has too many files"));
        }
        let node = self.dictionary(node)?;
        if let Some(names) = node.get(&b"Names"[..]) {
            let Value::Array(pairs) = self.resolve(names)? else {
                return Err(malformed("its names are no array"));
            };
            for pair in pairs.chunks_exact(2) {
                if matches!(&pair[0], Value::Text(text) if plain(text) == name) {
                    found.push(pair[1].clone());
                }
            }
        }
        if let Some(kids) = node.get(&b"Kids"[..]) {
            let Value::Array(kids) = self.resolve(kids)? else {
                return Err(malformed("its names are no tree"));
            };
            for kid in &kids {
                self.collect(kid, name, found, nodes, depth + 1)?;
            }
        }
        Ok(())
    }

    /// The contents of a stream, decompressed.
    fn contents(&self, value: &Value) -> Result<Vec<u8>, Finding> {
        let Value::Reference(number) = value else {
            return Err(malformed("a file is no stream"));
        };
        let (Value::Dictionary(about), mut reader) = self.object(*number)? else {
            return Err(malformed("a file is no stream"));
        };
        reader.word(b"stream")?;
        let after = self.bytes.get(reader.at..).unwrap_or_default();
        let at = reader.at + if after.starts_with(b"\r\n") { 2 } else { 1 };
        let Value::Number(length) = self.resolve(entry(&about, b"Length")?)? else {
            return Err(malformed("a file has no length"));
        };
        let end = usize::try_from(length).ok().and_then(|length| at.checked_add(length));
        let raw = end.and_then(|end| self.bytes.get(at..end));
        let raw = raw.ok_or_else(|| malformed("a file ends after the document"))?;
        let filter = match about.get(&b"Filter"[..]).map(|it| self.resolve(it)).transpose()? {
            None => None,
            Some(Value::Array(mut filters)) if filters.len() == 1 => filters.pop(),
            Some(filter) => Some(filter),
        };
        let mut contents = Vec::new();
        let read = match filter {
            None => raw.take(FILE_BYTES_MAX + 1).read_to_end(&mut contents),
            Some(Value::Name(name)) if name == b"FlateDecode" => {
                ZlibDecoder::new(raw).take(FILE_BYTES_MAX + 1).read_to_end(&mut contents)
            }
            Some(_) => return Err(malformed("a file is compressed in another way")),
        };
        read.map_err(|_| malformed("a file can't be decompressed"))?;
        if contents.len() as u64 > FILE_BYTES_MAX {
            return Err(Finding::new(Code::TooLarge, "a file in the document has too many bytes"));
        }
        Ok(contents)
    }
}

/// The text of a string that is ASCII, also when it is written as UTF-16 (§7.9.2.2).
fn plain(text: &[u8]) -> Vec<u8> {
    match text.strip_prefix(&[0xFE, 0xFF]) {
        Some(wide) if wide.chunks(2).all(|pair| pair.len() == 2 && pair[0] == 0) => {
            wide.chunks_exact(2).map(|pair| pair[1]).collect()
        }
        _ => text.to_vec(),
    }
}

/// Reads values one after the other (§7.2, §7.3).
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    values: usize,
    /// Whether what was read may go on after the end of the bytes.
    met_end: bool,
}

impl<'a> Reader<'a> {
    fn at(bytes: &'a [u8], at: usize) -> Result<Self, Finding> {
        if at >= bytes.len() {
            return Err(malformed("an offset is after its end"));
        }
        Ok(Self { bytes, at, values: 0, met_end: false })
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        while let Some(byte) = self.rest().first() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | 0x0C | 0 => self.at += 1,
                b'%' => {
                    let line = self.rest().iter().position(|it| matches!(it, b'\r' | b'\n'));
                    self.at = line.map_or(self.bytes.len(), |length| self.at + length);
                }
                _ => return,
            }
        }
    }

    /// Takes a word if it is next.
    fn takes(&mut self, word: &[u8]) -> bool {
        self.skip_space();
        self.met_end |= self.rest().len() < word.len();
        let is_next = self.rest().starts_with(word);
        if is_next {
            self.at += word.len();
        }
        is_next
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Finding> {
        if self.takes(word) {
            return Ok(());
        }
        Err(malformed(&format!("it does not say {}", String::from_utf8_lossy(word))))
    }

    fn number(&mut self) -> Result<u64, Finding> {
        self.digits().ok_or_else(|| malformed("it has no number where one belongs"))
    }

    fn digits(&mut self) -> Option<u64> {
        self.skip_space();
        let rest = self.rest();
        let length = rest.iter().position(|it| !it.is_ascii_digit()).unwrap_or(rest.len());
        self.met_end |= length == rest.len();
        let number = std::str::from_utf8(&rest[..length]).ok()?.parse().ok()?;
        self.at += length;
        Some(number)
    }

    fn value(&mut self) -> Result<Value, Finding> {
        self.value_within(0)
    }

    fn value_within(&mut self, depth: usize) -> Result<Value, Finding> {
        self.values += 1;
        if depth > DEPTH_MAX || self.values > VALUES_MAX {
            return Err(Finding::new(Code::TooLarge, "the document has too large an object"));
        }
        if self.takes(b"<<") {
            return self.dictionary_within(depth);
        }
        if self.takes(b"[") {
            let mut items = Vec::new();
            while !self.takes(b"]") {
                items.push(self.value_within(depth + 1)?);
            }
            return Ok(Value::Array(items));
        }
        match self.rest().first() {
            Some(b'/') => self.name().map(Value::Name),
            Some(b'(') => self.text().map(Value::Text),
            Some(b'<') => self.hexadecimal().map(Value::Text),
            Some(b'0'..=b'9') => Ok(self.number_or_reference()),
            Some(b'+' | b'-' | b'.' | b't' | b'f' | b'n') => {
                self.skip_regular();
                Ok(Value::Other)
            }
            _ => Err(malformed("a value can't be read")),
        }
    }

    fn dictionary_within(&mut self, depth: usize) -> Result<Value, Finding> {
        let mut dictionary = Dictionary::new();
        while !self.takes(b">>") {
            let name = self.name()?;
            if dictionary.insert(name, self.value_within(depth + 1)?).is_some() {
                return Err(malformed("a dictionary has a name twice"));
            }
        }
        Ok(Value::Dictionary(dictionary))
    }

    fn skip_regular(&mut self) -> &'a [u8] {
        let rest = self.rest();
        let is_end = |it: &u8| b" \t\r\n\x0C\0()<>[]{}/%".contains(it);
        let length = rest.iter().position(is_end).unwrap_or(rest.len());
        self.met_end |= length == rest.len();
        self.at += length;
        &rest[..length]
    }

    fn name(&mut self) -> Result<Vec<u8>, Finding> {
        self.word(b"/")?;
        Ok(self.skip_regular().to_vec())
    }

    fn number_or_reference(&mut self) -> Value {
        let start = self.at;
        let number = self.digits();
        if self.rest().first() == Some(&b'.') {
            self.skip_regular();
            return Value::Other;
        }
        let Some(number) = number else {
            self.skip_regular();
            return Value::Other;
        };
        let after = self.at;
        let is_reference = self.digits().is_some() && self.takes(b"R");
        if is_reference {
            return Value::Reference(number);
        }
        self.at = after.max(start + 1);
        Value::Number(number)
    }

    /// A text in parentheses. The names of files have no escapes; a text with one is read to its end
    /// and is then none of them.
    fn text(&mut self) -> Result<Vec<u8>, Finding> {
        self.word(b"(")?;
        let mut open = 1_usize;
        let mut text = Vec::new();
        while let Some(byte) = self.rest().first().copied() {
            self.at += 1;
            match byte {
                b'\\' => {
                    text.push(byte);
                    text.extend(self.rest().first());
                    self.at += 1;
                    continue;
                }
                b'(' => open += 1,
                b')' => open -= 1,
                _ => {}
            }
            if open == 0 {
                return Ok(text);
            }
            text.push(byte);
        }
        Err(malformed("a text does not end"))
    }

    fn hexadecimal(&mut self) -> Result<Vec<u8>, Finding> {
        self.word(b"<")?;
        let rest = self.rest();
        let length = rest.iter().position(|it| *it == b'>');
        let length = length.ok_or_else(|| malformed("a text does not end"))?;
        self.at += length + 1;
        let digits: Vec<u8> =
            rest[..length].iter().copied().filter(|it| !it.is_ascii_whitespace()).collect();
        let pair = |pair: &[u8]| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        };
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
        bytes.ok_or_else(|| malformed("a text can't be read"))
    }
}
