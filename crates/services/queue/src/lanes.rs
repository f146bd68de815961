//! How a claim is shared between lanes: weighted, so that invoices by the thousand do not keep an order confirmation waiting, nor the
//! other way round. Pure.

/// The lanes. The numbers are those of the API and of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    Immediate = 1,
    Batch = 2,
    Retry = 3,
}

impl Lane {
    /// In the order in which they are served.
    pub const ALL: [Self; 3] = [Self::Immediate, Self::Retry, Self::Batch];

    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| *lane as i16 == number)
    }

    /// The word for it in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Batch => "batch",
            Self::Retry => "retry",
        }
    }

    /// Messages of this lane in a round of ten.
    const fn weight(self) -> usize {
        match self {
            Self::Immediate => 7,
            Self::Retry => 1,
            Self::Batch => 2,
        }
    }
}

/// Picks at most `max` of the candidates, which come with their lane in the order of their lanes; gives back their indexes.
pub fn pick(candidates: &[Lane], max: usize) -> Vec<usize> {
    let mut waiting = Lane::ALL.map(|lane| {
        let indexes: Vec<usize> = (0..candidates.len()).filter(|index| candidates[*index] == lane).collect();
        (lane.weight(), indexes.into_iter())
    });
    let mut picked = Vec::with_capacity(max.min(candidates.len()));
    while picked.len() < max.min(candidates.len()) {
        for (weight, lane) in &mut waiting {
            let room = max - picked.len();
            picked.extend(lane.by_ref().take((*weight).min(room)));
        }
    }
    picked
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_claim_is_full_when_enough_wait_and_takes_nothing_twice(lanes in proptest::collection::vec(0usize..3, 0..60), max in 0usize..80) {
            let candidates: Vec<Lane> = lanes.into_iter().map(|lane| Lane::ALL[lane]).collect();
            let mut picked = pick(&candidates, max);
            prop_assert_eq!(picked.len(), max.min(candidates.len()));
            for lane in Lane::ALL {
                let of_lane: Vec<usize> = picked.iter().copied().filter(|index| candidates[*index] == lane).collect();
                prop_assert!(of_lane.is_sorted(), "a lane keeps its order");
            }
            picked.sort_unstable();
            picked.dedup();
            prop_assert_eq!(picked.len(), max.min(candidates.len()));
        }
    }

    #[test]
    fn no_lane_starves() {
        let crowd: Vec<Lane> = Lane::ALL.into_iter().flat_map(|lane| std::iter::repeat_n(lane, 100)).collect();
        let picked = pick(&crowd, 20);
        let count = |lane| picked.iter().filter(|index| crowd[**index] == lane).count();
        assert_eq!((count(Lane::Immediate), count(Lane::Batch), count(Lane::Retry)), (14, 4, 2));
    }
}
