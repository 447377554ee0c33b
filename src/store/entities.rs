//! The entity types of rows, used only in the store.
#![expect(
    unreachable_pub,
    reason = "the derived entities are `pub`, and their parts may not be less"
)]

pub(super) mod evidence_entry;
pub(super) mod evidence_event;
pub(super) mod evidence_head;
pub(super) mod evidence_log;
pub(super) mod playable;
pub(super) mod recorded_gap;
pub(super) mod recorded_segment;
pub(super) mod recorded_track;
pub(super) mod room_event;
pub(super) mod room_part;
pub(super) mod room_record;
pub(super) mod session;
