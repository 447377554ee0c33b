//! Identifies an object. The identity is part of its key derivation, so that one object can't be
//! passed off as another.

use crate::domain::id::{
    CameraSecretId, PlayableId, PublicationId, RecordedTrackId, SessionId, TenantId,
};

/// What an object contains, and where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// A segment of a recorded track.
    Segment {
        /// The session that was recorded.
        session: SessionId,
        /// The track.
        track: RecordedTrackId,
        /// Its number within the track, from 0.
        index: u64,
        /// The epoch of the track's key with which it is sealed.
        epoch: u32,
    },
    /// A part of a playable file.
    Part {
        /// The session that was recorded.
        session: SessionId,
        /// The file.
        file: PlayableId,
        /// Its number within the file, from 0.
        part: u64,
    },
    /// The address of a camera, with its credentials.
    Camera {
        /// Whose camera.
        tenant: TenantId,
        /// This sealing of its address.
        secret: CameraSecretId,
    },
    /// A file of what an edge device published.
    Capture {
        /// Whose device.
        tenant: TenantId,
        /// What was published.
        publication: PublicationId,
        /// The number of the file, from 0.
        number: u64,
    },
    /// A piece of a segment of a camera's recording that is not in the vault yet.
    Piece {
        /// Whose camera.
        tenant: TenantId,
        /// The run of its recording.
        publication: PublicationId,
        /// The number of the segment's file.
        number: u64,
        /// The number of the piece within the segment, from 0.
        piece: u64,
    },
}

impl Context {
    /// The context as an array in deterministic CBOR (RFC 8949 §4.2.1).
    pub(super) fn to_cbor(self) -> Vec<u8> {
        let mut cbor = Vec::with_capacity(64);
        match self {
            Self::Segment { session, track, index, epoch } => {
                cbor.extend([0x85, 1]);
                push_id(&mut cbor, session.as_uuid().as_bytes());
                push_id(&mut cbor, track.as_uuid().as_bytes());
                push_unsigned(&mut cbor, index);
                push_unsigned(&mut cbor, epoch.into());
            }
            Self::Part { session, file, part } => {
                cbor.extend([0x84, 2]);
                push_id(&mut cbor, session.as_uuid().as_bytes());
                push_id(&mut cbor, file.as_uuid().as_bytes());
                push_unsigned(&mut cbor, part);
            }
            Self::Camera { tenant, secret } => {
                cbor.extend([0x83, 3]);
                push_id(&mut cbor, tenant.as_uuid().as_bytes());
                push_id(&mut cbor, secret.as_uuid().as_bytes());
            }
            Self::Capture { tenant, publication, number } => {
                cbor.extend([0x84, 4]);
                push_id(&mut cbor, tenant.as_uuid().as_bytes());
                push_id(&mut cbor, publication.as_uuid().as_bytes());
                push_unsigned(&mut cbor, number);
            }
            Self::Piece { tenant, publication, number, piece } => {
                cbor.extend([0x85, 5]);
                push_id(&mut cbor, tenant.as_uuid().as_bytes());
                push_id(&mut cbor, publication.as_uuid().as_bytes());
                push_unsigned(&mut cbor, number);
                push_unsigned(&mut cbor, piece);
            }
        }
        cbor
    }
}

/// Appends a byte string of 16 bytes.
fn push_id(cbor: &mut Vec<u8>, id: &[u8; 16]) {
    cbor.push(0x50);
    cbor.extend_from_slice(id);
}

/// Appends an unsigned integer in its shortest form.
fn push_unsigned(cbor: &mut Vec<u8>, value: u64) {
    let bytes = value.to_be_bytes();
    let [.., third, second, high, low] = bytes;
    match value {
        0..=23 => cbor.push(low),
        24..=0xFF => cbor.extend([0x18, low]),
        0x100..=0xFFFF => cbor.extend([0x19, high, low]),
        0x1_0000..=0xFFFF_FFFF => cbor.extend([0x1A, third, second, high, low]),
        _ => {
            cbor.push(0x1B);
            cbor.extend(bytes);
        }
    }
}
