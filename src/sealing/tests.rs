use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::cipher::ChunkCipher;
use super::*;
use crate::domain::id::{PlayableId, RecordedTrackId, SessionId};
use crate::domain::secret::Secret;

const SALT: [u8; SALT_BYTES] = [9; SALT_BYTES];

fn key(byte: u8) -> ContentKey {
    ContentKey::new(Secret::new([byte; 32]))
}

fn session() -> SessionId {
    "0192aaaa-0000-7000-8000-000000000001".parse().expect("an id")
}

fn track() -> RecordedTrackId {
    "3f2b8c1d-5e6f-4a7b-8c9d-0e1f2a3b4c5d".parse().expect("an id")
}

fn file() -> PlayableId {
    "0192aaaa-0000-7000-8000-0000000000f1".parse().expect("an id")
}

fn segment(index: u64) -> Context {
    Context::Segment { session: session(), track: track(), index, epoch: 1 }
}

fn plaintext(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

fn seal(key: &ContentKey, context: &Context, plaintext: &[u8]) -> (Vec<u8>, Sealed) {
    let mut object = Vec::new();
    let mut sealer = Sealer::new(key, context, SALT, &mut object);
    sealer.write(plaintext, &mut object);
    let sealed = sealer.finish(&mut object);
    (object, sealed)
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/sealing.json")).expect("JSON")
}

fn bytes(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().expect("text")).expect("base64url")
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().expect("of that length")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("an unsigned number")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

#[test]
fn keys_and_salts_are_derived_as_frozen() {
    let vectors = vectors();
    let track_key = TrackKey::new(Secret::new(array(&vectors["track_key"])));
    for vector in list(&vectors["segment_keys"]) {
        let key = track_key.segment_key(number(&vector["index"]));
        assert_eq!(key.secret().expose(), &array::<32>(&vector["key"]), "{vector}");
    }
    let events_key = EventsKey::new(Secret::new(array(&vectors["events_key"])));
    for vector in list(&vectors["event_salts"]) {
        let salt = events_key.event_salt(number(&vector["seq"]));
        assert_eq!(salt, array::<32>(&vector["salt"]), "{vector}");
    }
    assert_eq!(events_key.subject_salt(&track()), array::<32>(&vectors["subject_salt"]));
}

#[test]
fn objects_are_sealed_as_frozen() {
    let vectors = vectors();
    let vectors = list(&vectors["objects"]);
    let lengths: Vec<_> = vectors.iter().map(|vector| number(&vector["length"])).collect();
    assert_eq!(lengths, [0, 1, 16_383, 16_384, 16_385, 33_768, 5, 20_000]);
    for vector in vectors {
        let context = match vector.get("part") {
            Some(part) => Context::Part { session: session(), file: file(), part: number(part) },
            None => Context::Segment {
                session: session(),
                track: track(),
                index: number(&vector["index"]),
                epoch: number(&vector["epoch"]).try_into().expect("32 bits"),
            },
        };
        assert_eq!(context.to_cbor(), bytes(&vector["context"]));
        let key = ContentKey::new(Secret::new(array(&vector["key"])));
        let plaintext = plaintext(number(&vector["length"]).try_into().expect("fits"));
        let expected = bytes(&vector["object"]);

        // In pieces as packets come, in pieces that end with a chunk, and all at once.
        for piece in [1_200, 8_192, 16_384, 100_000] {
            let mut object = Vec::new();
            let mut sealer = Sealer::new(&key, &context, array(&vector["salt"]), &mut object);
            for piece in plaintext.chunks(piece) {
                sealer.write(piece, &mut object);
            }
            assert_eq!(sealer.plaintext_bytes(), number(&vector["length"]));
            let sealed = sealer.finish(&mut object);
            assert!(object == expected, "{} bytes in pieces of {piece}", plaintext.len());
            assert_eq!(sealed.size, number(&vector["size"]));
            assert_eq!(sealed.sha256, array::<32>(&vector["sha256"]));
            assert_eq!(sealed.commitment, array::<32>(&vector["commitment"]));
        }
        assert_eq!(Opener::open(&key, &context, &expected), Ok(plaintext));
    }
}

#[test]
fn another_key_or_place_is_refused() {
    let (object, _) = seal(&key(1), &segment(4), b"what was said");
    let other_session = SessionId::from_uuid(track().as_uuid());
    let wrong = [
        (key(2), segment(4)),
        (key(1), segment(5)),
        (key(1), Context::Segment { session: session(), track: track(), index: 4, epoch: 2 }),
        (key(1), Context::Segment { session: other_session, track: track(), index: 4, epoch: 1 }),
        (
            key(1),
            Context::Segment {
                session: session(),
                track: RecordedTrackId::from_uuid(session().as_uuid()),
                index: 4,
                epoch: 1,
            },
        ),
        (key(1), Context::Part { session: session(), file: file(), part: 4 }),
    ];
    for (key, context) in wrong {
        let opened = Opener::open(&key, &context, &object);
        assert_eq!(opened, Err(OpenError::WrongKey), "{context:?}");
    }
    assert_eq!(Opener::open(&key(1), &segment(4), &object), Ok(b"what was said".to_vec()));
}

#[test]
fn the_key_of_one_segment_does_not_open_the_next() {
    let track_key = TrackKey::new(Secret::new([3; 32]));
    let (object, _) = seal(&track_key.segment_key(0), &segment(0), b"one");
    let next = Opener::open(&track_key.segment_key(1), &segment(0), &object);
    assert_eq!(next, Err(OpenError::WrongKey));
}

#[test]
fn a_flipped_bit_is_refused_wherever_it_is() {
    let (object, _) = seal(&key(1), &segment(0), b"short");
    for position in 0..object.len() {
        for bit in 0..8 {
            let mut changed = object.clone();
            changed[position] ^= 1 << bit;
            let expected = if position < HEADER_BYTES {
                OpenError::WrongKey
            } else {
                OpenError::NotAuthentic(0)
            };
            assert_eq!(Opener::open(&key(1), &segment(0), &changed), Err(expected));
        }
    }
    // When the second chunk was changed, the error names it.
    let (mut object, _) = seal(&key(1), &segment(0), &plaintext(40_000));
    object[HEADER_BYTES + CHUNK_BYTES] ^= 1;
    let opened = Opener::open(&key(1), &segment(0), &object);
    assert_eq!(opened, Err(OpenError::NotAuthentic(1)));
}

#[test]
fn a_cut_object_is_refused_wherever_it_is_cut() {
    let (object, _) = seal(&key(1), &segment(0), &plaintext(3 * CHUNK_PLAINTEXT_BYTES));
    assert_eq!(object.len(), HEADER_BYTES + 3 * CHUNK_BYTES + TAG_BYTES);
    for chunks in 0..=3 {
        let boundary = HEADER_BYTES + chunks * CHUNK_BYTES;
        // Truncated at the boundary and just after it, where no last chunk fits.
        for end in boundary..boundary + TAG_BYTES {
            let opened = Opener::open(&key(1), &segment(0), &object[..end]);
            assert_eq!(opened, Err(OpenError::Truncated), "cut at {end}");
        }
        let before = Opener::open(&key(1), &segment(0), &object[..boundary - 1]);
        assert!(before.is_err(), "cut at {}", boundary - 1);
    }
    for end in 0..HEADER_BYTES {
        let opened = Opener::open(&key(1), &segment(0), &object[..end]);
        assert_eq!(opened, Err(OpenError::Truncated));
    }
    // A truncated chunk is not accepted as the last one.
    let end = HEADER_BYTES + CHUNK_BYTES + 500;
    let opened = Opener::open(&key(1), &segment(0), &object[..end]);
    assert_eq!(opened, Err(OpenError::NotAuthentic(1)));
    // Nothing may follow the last chunk.
    let longer = [&object[..], &[0; 7]].concat();
    let opened = Opener::open(&key(1), &segment(0), &longer);
    assert_eq!(opened, Err(OpenError::NotAuthentic(3)));
}

#[test]
fn chunks_can_not_change_places() {
    let (object, _) = seal(&key(1), &segment(0), &vec![7; 2 * CHUNK_PLAINTEXT_BYTES + 10]);
    let (header, chunks) = object.split_at(HEADER_BYTES);
    let (first, rest) = chunks.split_at(CHUNK_BYTES);
    let (second, last) = rest.split_at(CHUNK_BYTES);
    let reordered = [header, second, first, last].concat();
    let repeated = [header, first, first, last].concat();
    let dropped = [header, first, last].concat();
    for (object, chunk) in [(reordered, 0), (repeated, 1), (dropped, 1)] {
        let opened = Opener::open(&key(1), &segment(0), &object);
        assert_eq!(opened, Err(OpenError::NotAuthentic(chunk)));
    }
    let header = header.first_chunk().expect("a header");
    let opener = Opener::new(&key(1), &segment(0), header).expect("the right key");
    let mut out = b"kept".to_vec();
    assert_eq!(opener.open_chunk(0, second, &mut out), Err(OpenError::NotAuthentic(0)));
    assert_eq!(out, b"kept", "a chunk that is not authentic adds nothing");
    let too_long = [first, &[0]].concat();
    for (index, chunk) in [(0, &too_long[..]), (0, &first[..15]), (CHUNKS_MAX, first)] {
        let opened = opener.open_chunk(index, chunk, &mut out);
        assert_eq!(opened, Err(OpenError::NoSuchChunk(index)));
    }
    assert_eq!(opener.open_chunk(1, second, &mut out), Ok(()));
    assert_eq!(out.len(), 4 + CHUNK_PLAINTEXT_BYTES);
}

/// AES-GCM alone would let one ciphertext be authentic under two keys with two plaintexts: the tag
/// is an affine function of the ciphertext for each key, so that a block can be chosen for which
/// both tags are equal.
#[test]
fn an_object_made_for_two_keys_opens_under_one() {
    let ciphers = [1, 2].map(|byte| ChunkCipher::new(&key(byte), &segment(0), &SALT));
    let chunk_of_block = |cipher: &ChunkCipher, block: u128| {
        let mut chunk = Vec::new();
        cipher.seal(0, &[0; 16], &mut chunk);
        let keystream = u128::from_be_bytes(*chunk.first_chunk().expect("a block"));
        chunk.clear();
        cipher.seal(0, &(block ^ keystream).to_be_bytes(), &mut chunk);
        chunk
    };
    let tag_of_block = |cipher: &ChunkCipher, block: u128| {
        let chunk = chunk_of_block(cipher, block);
        u128::from_be_bytes(*chunk.last_chunk().expect("a tag"))
    };
    let difference = |block| tag_of_block(&ciphers[0], block) ^ tag_of_block(&ciphers[1], block);
    let constant = difference(0);
    // Gaussian elimination over bits: which blocks change which bits of the difference between the
    // two tags.
    let mut rows: Vec<(u128, u128)> = Vec::new();
    for bit in 0..128 {
        let (mut effect, mut cause) = (difference(1 << bit) ^ constant, 1_u128 << bit);
        for (other_effect, other_cause) in &rows {
            if effect >> other_effect.ilog2() & 1 == 1 {
                effect ^= other_effect;
                cause ^= other_cause;
            }
        }
        if effect != 0 {
            rows.push((effect, cause));
            rows.sort_unstable_by(|one, other| other.cmp(one));
        }
    }
    let (mut left, mut block) = (constant, 0);
    for (effect, cause) in rows {
        if left >> effect.ilog2() & 1 == 1 {
            left ^= effect;
            block ^= cause;
        }
    }
    assert_eq!(left, 0, "the two tags can be made equal");

    let chunk = chunk_of_block(&ciphers[0], block);
    let mut inside = [Vec::new(), Vec::new()];
    for (cipher, inside) in ciphers.iter().zip(&mut inside) {
        cipher.open(0, &chunk, inside).expect("authentic under both keys");
    }
    assert_ne!(inside[0], inside[1], "one ciphertext has two plaintexts");

    let [first, second] = ciphers.map(|cipher| cipher.commitment);
    for (commitment, opens, refused) in [(first, 1, 2), (second, 2, 1)] {
        let object = [&SALT[..], &commitment, &chunk].concat();
        assert!(Opener::open(&key(opens), &segment(0), &object).is_ok());
        let opened = Opener::open(&key(refused), &segment(0), &object);
        assert_eq!(opened, Err(OpenError::WrongKey));
    }
}

#[test]
fn no_size_between_two_objects_is_one() {
    assert_eq!(sealed_bytes(0), 72);
    for size in [0, 55, 56, 71, 56 + 16_400, 56 + 16_400 + 15] {
        assert_eq!(plaintext_bytes(size), None, "{size}");
    }
    assert_eq!(plaintext_bytes(72), Some(0));
    assert_eq!(plaintext_bytes(56 + 16_400 + 16), Some(16_384));
    assert_eq!(plaintext_bytes(u64::MAX), None);
    assert_eq!(sealed_bytes(u64::MAX), u64::MAX);
    assert_eq!(chunks_of(0..0), 56..56);
    assert_eq!(chunks_of(0..1), 56..16_456);
    assert_eq!(chunks_of(16_383..16_385), 56..56 + 2 * 16_400);
    assert_eq!(chunks_of(16_384..32_768), 16_456..16_456 + 16_400);
}

#[test]
fn random_keys_and_salts_differ() {
    assert_ne!(random_key(), random_key());
    assert_ne!(random_salt(), random_salt());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sizes_can_be_told_from_each_other(plaintext in 0..1_u64 << 50) {
        prop_assert_eq!(plaintext_bytes(sealed_bytes(plaintext)), Some(plaintext));
    }

    #[test]
    fn a_range_opens_by_its_chunks_alone(
        length in 0..70_000_usize,
        from in 0..70_000_usize,
        count in 0..30_000_usize,
    ) {
        let whole = plaintext(length);
        let (object, sealed) = seal(&key(1), &segment(0), &whole);
        prop_assert_eq!(sealed.size, u64::try_from(object.len()).expect("fits"));
        prop_assert_eq!(sealed.sha256, <[u8; 32]>::from(Sha256::digest(&object)));
        let from = from.min(length);
        let to = (from + count).min(length);
        let (start, end) = (u64::try_from(from).expect("fits"), u64::try_from(to).expect("fits"));
        let bytes = chunks_of(start..end);
        let first = usize::try_from(bytes.start).expect("fits");
        let after = usize::try_from(bytes.end).expect("fits").min(object.len());
        let header = object.first_chunk().expect("a header");
        let opener = Opener::new(&key(1), &segment(0), header).expect("the right key");
        let mut opened = Vec::new();
        for (index, chunk) in (chunk_of(start)..).zip(object[first..after].chunks(CHUNK_BYTES)) {
            opener.open_chunk(index, chunk, &mut opened).expect("authentic");
        }
        let skipped = from % CHUNK_PLAINTEXT_BYTES;
        if from < to {
            prop_assert_eq!(&opened[skipped..skipped + to - from], &whole[from..to]);
        } else {
            prop_assert!(opened.is_empty());
        }
    }

    #[test]
    fn whatever_is_no_object_is_refused(object in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Opener::open(&key(1), &segment(0), &object).is_err());
    }
}
