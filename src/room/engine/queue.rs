#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! What has changed in the waiting list, told as a difference.

use std::collections::BTreeSet;

use crate::domain::id::RequestId;
use crate::domain::time::Timestamp;
use crate::room::engine::RoomEngine;
use crate::room::event::{Event, PlacedView};

/// The waiting list as members know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueueTold {
    pub(super) order: Vec<RequestId>,
    pub(super) is_open: bool,
}

impl Default for QueueTold {
    fn default() -> Self {
        Self { order: Vec::new(), is_open: true }
    }
}

impl RoomEngine {
    /// Tells what has changed in the waiting list since it was last told.
    pub(super) fn tell_queue(&mut self, now: Timestamp) {
        let order: Vec<RequestId> = self.floor.waiting().map(|entry| entry.request_id).collect();
        let open = self.floor.is_queue_open();
        if order == self.queue_told.order && open == self.queue_told.is_open {
            return;
        }
        let (removed, placed) = difference(&self.queue_told.order, &order);
        let known: BTreeSet<RequestId> = self.queue_told.order.iter().copied().collect();
        let views = self.floor.waiting().map(|entry| (entry.request_id, entry));
        let entries: std::collections::BTreeMap<_, _> = views.collect();
        let placed = placed
            .into_iter()
            .map(|(id, after)| PlacedView {
                request_id: id.to_string(),
                after: after.map(|after| after.to_string()),
                request: entries
                    .get(&id)
                    .filter(|_| !known.contains(&id))
                    .map(|entry| self.request_view(entry)),
            })
            .collect();
        let removed = removed.iter().map(RequestId::to_string).collect();
        self.tell(Event::QueueUpdated { removed, placed, open }, now);
        *self.queue_told.edit() = QueueTold { order, is_open: open };
    }

    /// What members are shown in a welcome counts as told.
    pub(super) fn queue_is_told(&mut self) {
        let order = self.floor.waiting().map(|entry| entry.request_id).collect();
        let is_open = self.floor.is_queue_open();
        *self.queue_told.edit() = QueueTold { order, is_open };
    }
}

/// Which entries are gone, and which stand behind which other entry now; `None`
/// is the first place. Applied in order, they make `after` of `before`. Few when
/// one entry came or moved.
fn difference(
    before: &[RequestId],
    after: &[RequestId],
) -> (Vec<RequestId>, Vec<(RequestId, Option<RequestId>)>) {
    let now: BTreeSet<RequestId> = after.iter().copied().collect();
    let (left, removed): (Vec<RequestId>, Vec<RequestId>) =
        before.iter().partition(|id| now.contains(*id));
    let mut standing = left.into_iter().peekable();
    // Entries that are placed anew where they are met in `after`.
    let mut moved = BTreeSet::new();
    let mut placed = Vec::new();
    for (index, id) in after.iter().enumerate() {
        while standing.next_if(|stands| moved.contains(stands)).is_some() {}
        if standing.peek() == Some(id) {
            standing.next();
            continue;
        }
        // If what stands here follows later than the next one, it moved back.
        let mut ahead = standing.clone();
        let back = ahead.next();
        if !moved.contains(id)
            && let Some(back) = back
            && ahead.find(|stands| !moved.contains(stands)) == Some(*id)
        {
            moved.insert(back);
            standing.next();
            standing.next_if_eq(id);
            continue;
        }
        moved.insert(*id);
        placed.push((*id, index.checked_sub(1).map(|index| after[index])));
    }
    (removed, placed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[u128]) -> Vec<RequestId> {
        numbers.iter().map(|number| RequestId::from_uuid(uuid::Uuid::from_u128(*number))).collect()
    }

    /// As a client applies it.
    fn applied(before: &[RequestId], after: &[RequestId]) -> (Vec<RequestId>, usize) {
        let (removed, placed) = difference(before, after);
        let moves = placed.len();
        let is_moved = |id: &RequestId| placed.iter().any(|(moved, _)| moved == id);
        let mut list: Vec<RequestId> =
            before.iter().filter(|id| !removed.contains(id) && !is_moved(id)).copied().collect();
        for (id, after) in placed {
            let at = after.map_or(0, |after| {
                1 + list.iter().position(|other| *other == after).expect("placed before")
            });
            list.insert(at, id);
        }
        (list, moves)
    }

    #[test]
    fn a_difference_makes_the_list_and_is_small_for_one_move() {
        let before = ids(&[1, 2, 3, 4, 5]);
        for (after, moves) in [
            (&[1, 2, 3, 4, 5][..], 0),
            (&[1, 2, 4, 5], 0),
            (&[6, 1, 2, 3, 4, 5], 1),
            (&[1, 2, 3, 6, 4, 5], 1),
            (&[5, 1, 2, 3, 4], 1),
            (&[2, 3, 4, 5, 1], 1),
            (&[1, 3, 4, 2, 5], 1),
            (&[1, 4, 2, 3, 5], 1),
            (&[], 0),
        ] {
            assert_eq!(applied(&before, &ids(after)), (ids(after), moves), "{after:?}");
        }
    }

    #[test]
    fn every_order_of_five_and_every_part_of_it_is_reached() {
        let before = ids(&[1, 2, 3, 4, 5]);
        let mut orders = vec![Vec::new()];
        for _ in 0..5 {
            let longer = orders.iter().flat_map(|order: &Vec<u128>| {
                (1..=7).filter(|number| !order.contains(number)).map(|number| {
                    let mut order = order.clone();
                    order.push(number);
                    order
                })
            });
            let longer: Vec<Vec<u128>> = longer.collect();
            for order in &longer {
                assert_eq!(applied(&before, &ids(order)).0, ids(order), "{order:?}");
            }
            orders = longer;
        }
    }
}
