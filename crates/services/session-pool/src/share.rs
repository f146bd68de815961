//! Shares the free requests of a replica between tenants: each goes to the tenant that has fewest. Pure.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
};

use barid_domain::{SessionId, TenantId};

/// What a session could take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub session: SessionId,
    pub tenant: TenantId,
    pub most: u32,
}

/// Shares `free` requests between wishes that come in the order of their rank, given what the tenants hold already. Where tenants have the
/// same, the one with the better rank comes first; within a tenant its sessions take turns.
pub(crate) fn share(wishes: &[Wish], held: &HashMap<TenantId, u32>, free: u32) -> Vec<(SessionId, u32)> {
    let mut tenants: HashMap<TenantId, VecDeque<usize>> = HashMap::new();
    let mut order = Vec::new();
    for (index, wish) in wishes.iter().enumerate().filter(|(_, wish)| wish.most > 0) {
        let waiting = tenants.entry(wish.tenant).or_default();
        if waiting.is_empty() {
            order.push(wish.tenant);
        }
        waiting.push_back(index);
    }
    let holds = |tenant: &TenantId| held.get(tenant).copied().unwrap_or_default();
    let mut heap: BinaryHeap<_> = order.iter().enumerate().map(|(rank, tenant)| Reverse((holds(tenant), rank))).collect();
    let mut granted = vec![0; wishes.len()];
    for _ in 0..free {
        let Some(Reverse((holds, rank))) = heap.pop() else { break };
        let Some(waiting) = tenants.get_mut(&order[rank]) else { break };
        let Some(index) = waiting.pop_front() else { break };
        granted[index] += 1;
        if granted[index] < wishes[index].most {
            waiting.push_back(index);
        }
        if !waiting.is_empty() {
            heap.push(Reverse((holds + 1, rank)));
        }
    }
    wishes.iter().zip(granted).filter(|(_, granted)| *granted > 0).map(|(wish, granted)| (wish.session, granted)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    fn wish(session: u128, of: u128, most: u32) -> Wish {
        Wish { session: SessionId::from_uuid(Uuid::from_u128(session)), tenant: tenant(of), most }
    }

    fn numbers(granted: Vec<(SessionId, u32)>) -> Vec<(u128, u32)> {
        granted.into_iter().map(|(session, count)| (session.uuid().as_u128(), count)).collect()
    }

    #[test]
    fn a_crowd_of_one_tenant_does_not_keep_another_waiting() {
        let wishes = [wish(1, 1, 1000), wish(2, 1, 1000), wish(3, 2, 5), wish(4, 3, 1000)];
        assert_eq!(numbers(share(&wishes, &HashMap::new(), 35)), [(1, 8), (2, 7), (3, 5), (4, 15)]);
    }

    #[test]
    fn who_holds_much_already_comes_last() {
        let held = HashMap::from([(tenant(1), 10)]);
        assert_eq!(numbers(share(&[wish(1, 1, 9), wish(2, 2, 9)], &held, 8)), [(2, 8)]);
        assert_eq!(numbers(share(&[wish(1, 1, 9)], &held, 8)), [(1, 8)], "alone it gets all");
    }

    #[test]
    fn rank_decides_when_there_is_less_than_one_for_each() {
        assert_eq!(numbers(share(&[wish(7, 7, 3), wish(1, 1, 3), wish(2, 2, 3)], &HashMap::new(), 2)), [(7, 1), (1, 1)]);
    }

    proptest! {
        #[test]
        fn all_of_it_is_used_and_nobody_gets_more_than_wished(
            wishes in proptest::collection::vec((0u128..6, 0u32..20), 0..30), free in 0u32..200,
        ) {
            let wishes: Vec<Wish> = wishes.into_iter().enumerate().map(|(index, (of, most))| wish(index as u128, of, most)).collect();
            let granted = share(&wishes, &HashMap::new(), free);
            let total: u32 = granted.iter().map(|(_, count)| count).sum();
            prop_assert_eq!(total, free.min(wishes.iter().map(|wish| wish.most).sum()));
            let mut tenants: HashMap<TenantId, (u32, u32)> = HashMap::new();
            for wish in &wishes {
                let count = granted.iter().find(|(session, _)| *session == wish.session).map_or(0, |(_, count)| *count);
                prop_assert!(count <= wish.most);
                let sums = tenants.entry(wish.tenant).or_default();
                *sums = (sums.0 + count, sums.1 + wish.most);
            }
            // A tenant that did not get all it wished for has as much as anybody, but for the last request.
            let most = tenants.values().map(|(got, _)| *got).max().unwrap_or_default();
            prop_assert!(tenants.values().all(|(got, wished)| got == wished || got + 1 >= most));
        }
    }
}
