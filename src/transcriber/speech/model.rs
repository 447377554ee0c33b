//! Looks at a model file before whisper.cpp reads it: whisper.cpp believes every length in the
//! file, and what it can't allocate ends the process. So the whole structure is read here, without
//! the weights, and the file is refused when anything is not as it should be.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

/// `ggml` as whisper.cpp writes it: the first four bytes of a model, in little endian.
const MAGIC: u32 = 0x6767_6d6c;
/// The largest model is 3.1 GB; larger files are something else.
const FILE_BYTES_MAX: u64 = 8 << 30;
/// Most tokens: the models of 2024 have 51,866.
const VOCABULARY_MAX: u32 = 100_000;
/// Bytes of the longest token.
const TOKEN_BYTES_MAX: u32 = 1_024;
/// Bytes of the longest name of a tensor.
const NAME_BYTES_MAX: u32 = 256;
/// Most layers of a half, and the widest: the largest model has 32 of 1,280.
const LAYERS_MAX: u32 = 64;
const STATE_MAX: u32 = 4_096;
/// Most positions of sound and text. Models have 1,500 and 448.
const CONTEXT_MAX: u32 = 8_192;
/// Fewest positions of sound that are used; see `whisper.rs`.
const CONTEXT_MIN: u32 = 1_500;
/// From this vocabulary on a model knows more than one language.
const MULTILINGUAL_VOCABULARY: u32 = 51_865;
/// Tensors that every model has, and those of each layer of both halves.
const TENSORS: u64 = 11;
const TENSORS_PER_ENCODER_LAYER: u64 = 15;
const TENSORS_PER_DECODER_LAYER: u64 = 24;

/// What a model file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFacts {
    /// `tiny`, `base`, `small`, `medium`, `large`, or how many layers it has.
    pub kind: String,
    /// How its weights are stored, such as `f16` or `q8_0`.
    pub weights: &'static str,
    /// Languages that it knows: 1, 99 or 100.
    pub languages: u32,
    /// Bytes of the file.
    pub bytes: u64,
}

impl ModelFacts {
    /// Whether it knows more than English.
    #[must_use]
    pub const fn is_multilingual(&self) -> bool {
        self.languages > 1
    }
}

/// Why a file is no model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// It can't be opened or read.
    #[error("it can't be read: {0}")]
    Unreadable(#[source] io::Error),
    /// It has another format.
    #[error("it is not a ggml model of whisper.cpp (gguf, safetensors and PyTorch files are not)")]
    NotGgml,
    /// It ends too early.
    #[error("it ends too early: it was not copied or downloaded completely")]
    Truncated,
    /// A part of it is not what a model has.
    #[error("{0} is not what a model has: the file is damaged")]
    Damaged(&'static str),
    /// whisper.cpp does not load it.
    #[error("whisper.cpp does not load it: {0}")]
    NotLoaded(String),
}

impl From<io::Error> for ModelError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::Truncated
        } else {
            Self::Unreadable(error)
        }
    }
}

/// Opens a model file and looks at all of it but the weights.
///
/// # Errors
/// [`ModelError`].
pub fn open(path: &Path) -> Result<(File, ModelFacts), ModelError> {
    let file = File::open(path).map_err(ModelError::Unreadable)?;
    let metadata = file.metadata().map_err(ModelError::Unreadable)?;
    if !metadata.is_file() {
        return Err(ModelError::Unreadable(io::Error::other("it is not a file")));
    }
    let bytes = metadata.len();
    if bytes > FILE_BYTES_MAX {
        return Err(ModelError::NotGgml);
    }
    let facts = examine(&mut Reader { file: BufReader::new(&file), at: 0, bytes })?;
    Ok((file, facts))
}

/// Reads numbers and jumps over weights, with its place in the file.
struct Reader<R> {
    file: BufReader<R>,
    at: u64,
    bytes: u64,
}

impl<R: Read + Seek> Reader<R> {
    fn number(&mut self) -> Result<u32, ModelError> {
        let mut bytes = [0; 4];
        self.file.read_exact(&mut bytes)?;
        self.at += 4;
        Ok(u32::from_le_bytes(bytes))
    }

    /// A number between limits.
    fn within(&mut self, low: u32, high: u32, what: &'static str) -> Result<u32, ModelError> {
        let number = self.number()?;
        if (low..=high).contains(&number) { Ok(number) } else { Err(ModelError::Damaged(what)) }
    }

    fn skip(&mut self, bytes: u64) -> Result<(), ModelError> {
        let end = self.at.checked_add(bytes).filter(|end| *end <= self.bytes);
        self.at = end.ok_or(ModelError::Truncated)?;
        // Keeps what is in the buffer, unlike `seek`.
        self.file.seek_relative(i64::try_from(bytes).map_err(|_| ModelError::Truncated)?)?;
        Ok(())
    }

    const fn is_at_end(&self) -> bool {
        self.at >= self.bytes
    }
}

/// The numbers of the header.
struct Header {
    vocabulary: u32,
    encoder_layers: u32,
    decoder_layers: u32,
    mels: u32,
    kind: u32,
}

fn examine<R: Read + Seek>(reader: &mut Reader<R>) -> Result<ModelFacts, ModelError> {
    match reader.number() {
        Ok(MAGIC) => {}
        Ok(_) | Err(ModelError::Truncated) => return Err(ModelError::NotGgml),
        Err(error) => return Err(error),
    }
    let header = read_header(reader)?;
    // The filters that make a spectrum: 80 or 128 of them.
    reader.within(header.mels, header.mels, "the number of filters")?;
    let points = reader.within(1, 1_024, "the width of the filters")?;
    reader.skip(u64::from(header.mels) * u64::from(points) * 4)?;
    let tokens = reader.within(1, header.vocabulary, "the number of tokens")?;
    for _ in 0..tokens {
        let length = reader.within(0, TOKEN_BYTES_MAX, "a token")?;
        reader.skip(length.into())?;
    }
    let expected = TENSORS
        + TENSORS_PER_ENCODER_LAYER * u64::from(header.encoder_layers)
        + TENSORS_PER_DECODER_LAYER * u64::from(header.decoder_layers);
    let mut tensors = 0;
    while !reader.is_at_end() {
        skip_tensor(reader)?;
        tensors += 1;
        if tensors > expected {
            return Err(ModelError::Damaged("the number of tensors"));
        }
    }
    if tensors < expected {
        return Err(ModelError::Truncated);
    }
    let weights = weights_of(header.kind).ok_or(ModelError::Damaged("the kind of weights"))?;
    let languages = if header.vocabulary < MULTILINGUAL_VOCABULARY {
        1
    } else {
        99 + header.vocabulary - MULTILINGUAL_VOCABULARY
    };
    Ok(ModelFacts { kind: kind_of(header.encoder_layers), weights, languages, bytes: reader.bytes })
}

fn read_header<R: Read + Seek>(reader: &mut Reader<R>) -> Result<Header, ModelError> {
    let vocabulary = reader.within(1_000, VOCABULARY_MAX, "the size of the vocabulary")?;
    let context = "the length of a context";
    reader.within(CONTEXT_MIN, CONTEXT_MAX, context)?;
    let width = reader.within(8, STATE_MAX, "the width of a layer")?;
    let heads = reader.within(1, width, "the number of heads")?;
    let encoder_layers = reader.within(1, LAYERS_MAX, "the number of layers")?;
    reader.within(32, CONTEXT_MAX, context)?;
    reader.within(width, width, "the width of a layer")?;
    let text_heads = reader.within(1, width, "the number of heads")?;
    let decoder_layers = reader.within(1, LAYERS_MAX, "the number of layers")?;
    let mels = reader.within(1, 256, "the number of filters")?;
    let kind = reader.number()?;
    if !width.is_multiple_of(heads) || !width.is_multiple_of(text_heads) {
        return Err(ModelError::Damaged("the number of heads"));
    }
    Ok(Header { vocabulary, encoder_layers, decoder_layers, mels, kind })
}

fn skip_tensor<R: Read + Seek>(reader: &mut Reader<R>) -> Result<(), ModelError> {
    let what = "a tensor";
    let dimensions = reader.within(1, 4, what)?;
    let name = reader.within(1, NAME_BYTES_MAX, what)?;
    let kind = reader.number()?;
    let mut elements = 1_u64;
    for _ in 0..dimensions {
        let size = reader.within(1, VOCABULARY_MAX, what)?;
        elements = elements.saturating_mul(size.into());
    }
    reader.skip(name.into())?;
    let (block, bytes) = block_of(kind).ok_or(ModelError::Damaged(what))?;
    if !elements.is_multiple_of(block) {
        return Err(ModelError::Damaged(what));
    }
    reader.skip(elements / block * bytes)
}

/// Elements and bytes of a block of weights, by the number of its type in ggml.
const fn block_of(kind: u32) -> Option<(u64, u64)> {
    Some(match kind {
        0 => (1, 4),
        1 => (1, 2),
        2 => (32, 18),
        3 => (32, 20),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        10 => (256, 84),
        11 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        _ => return None,
    })
}

/// How the weights are stored, by the number in the header, whose thousands are a version.
const fn weights_of(kind: u32) -> Option<&'static str> {
    Some(match kind % 1_000 {
        0 => "f32",
        1 => "f16",
        2 => "q4_0",
        3 => "q4_1",
        7 => "q8_0",
        8 => "q5_0",
        9 => "q5_1",
        10 => "q2_k",
        11 => "q3_k",
        12 => "q4_k",
        13 => "q5_k",
        14 => "q6_k",
        _ => return None,
    })
}

/// What models are called, by the layers of their first half.
fn kind_of(layers: u32) -> String {
    match layers {
        4 => "tiny".to_owned(),
        6 => "base".to_owned(),
        12 => "small".to_owned(),
        24 => "medium".to_owned(),
        32 => "large".to_owned(),
        other => format!("{other} layers"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const MICRO: &[u8] = include_bytes!("../../../tests/fixtures/speech/cabildo-micro.ggml.bin");

    fn look(bytes: &[u8]) -> Result<ModelFacts, ModelError> {
        let length = bytes.len() as u64;
        examine(&mut Reader { file: BufReader::new(Cursor::new(bytes)), at: 0, bytes: length })
    }

    #[test]
    fn a_model_is_known_by_its_structure() {
        let facts = look(MICRO).expect("a model");
        let expected = ModelFacts {
            kind: "3 layers".to_owned(),
            weights: "q8_0",
            languages: 99,
            bytes: MICRO.len() as u64,
        };
        assert_eq!(facts, expected);
        assert!(facts.is_multilingual());
    }

    #[test]
    fn other_formats_are_named_as_such() {
        let others: [&[u8]; 5] =
            [b"", b"GGUF", b"PK\x03\x04", b"{\"__metadata__\":{}}", &[0; 4096]];
        for other in others {
            assert!(matches!(look(other), Err(ModelError::NotGgml)), "{other:?}");
        }
    }

    #[test]
    fn a_file_that_ends_anywhere_is_refused() {
        for part in 1..200 {
            let end = MICRO.len() * part / 200;
            let error = look(&MICRO[..end]).expect_err("a part of a model");
            assert!(matches!(error, ModelError::Truncated), "{end}: {error}");
        }
        for end in [3, 4, 47, 48, 64_000, MICRO.len() - 1] {
            look(&MICRO[..end]).expect_err("a part of a model");
        }
    }

    #[test]
    fn a_damaged_file_is_refused_and_costs_no_memory() {
        // Every number of the header, and lengths in the vocabulary and of tensors.
        let tensor = 575_451;
        for at in (4..48).step_by(4).chain([48, 52, 64_376, tensor, tensor + 4, tensor + 12]) {
            let mut damaged = MICRO.to_vec();
            damaged[at..at + 4].copy_from_slice(&0x7FFF_FFFF_u32.to_le_bytes());
            look(&damaged).expect_err("a damaged model");
        }
        let mut longer = MICRO.to_vec();
        longer.extend_from_slice(&[1; 64]);
        look(&longer).expect_err("something follows the model");
    }
}
