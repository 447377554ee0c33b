//! Rows. They never leave the store.
#![expect(
    unreachable_pub,
    reason = "the derived entities are `pub`, and their parts may not be less"
)]

pub(super) mod room_event;
pub(super) mod room_record;
pub(super) mod session;
