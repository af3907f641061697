//! Which hosts a key belongs to.

use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use crate::members::Member;

/// Members that keys are spread over, by weighted rendezvous hashing: each
/// member draws a number for each key, and the key belongs to those that drew
/// the highest.
///
/// A member that comes takes its share from all others, and one that goes leaves
/// its share to all others; no other key changes its owner. Every client that
/// knows the same members finds the same owners: names and weights alone count.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    members: Arc<[Member]>,
    /// Of the names of the members.
    hashes: Box<[u64]>,
}

impl Route {
    /// Makes a route over members.
    #[must_use]
    pub fn new(members: Arc<[Member]>) -> Self {
        let hash = |member: &Member| hash(member.name.as_bytes());
        let hashes = members.iter().map(hash).collect();
        Self { members, hashes }
    }

    /// Returns the members.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Returns the member of a name.
    pub(super) fn find(&self, name: &str) -> Option<&Member> {
        let wanted = hash(name.as_bytes());
        let place = self.hashes.iter().position(|&hash| hash == wanted)?;
        self.members.get(place).filter(|member| member.name == name)
    }

    /// Returns the members that a key belongs to, the first one first: as many
    /// as are asked for, or all. Takes time linear in the members.
    #[must_use]
    pub fn owners(&self, key: &[u8], count: usize) -> Vec<&Member> {
        let key = hash(key);
        let drawn = self.members.iter().zip(&self.hashes);
        let mut drawn: Vec<_> = drawn
            .map(|(member, &hash)| (draw(key, hash, member.weight), member))
            .collect();
        let higher = |a: &(f64, &Member), b: &(f64, &Member)| {
            b.0.total_cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name))
        };
        if count < drawn.len() && count > 0 {
            drawn.select_nth_unstable_by(count - 1, higher);
        }
        drawn.truncate(count);
        drawn.sort_by(higher);
        drawn.into_iter().map(|(_, member)| member).collect()
    }
}

/// Returns a hash that is the same in every version and on every machine.
fn hash(bytes: &[u8]) -> u64 {
    // The digits of pi, as a sign that nothing is behind them.
    let mut hasher = SipHasher13::new_with_keys(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344);
    hasher.write(bytes);
    hasher.finish()
}

/// Draws a member's number for a key: `-w / ln(u)` with `u` evenly between 0
/// and 1 is the highest of all with probability `w` over the sum of weights.
fn draw(key: u64, member: u64, weight: f64) -> f64 {
    // 53 bits are what a number can hold, and half a step keeps it off 0 and 1.
    let bits = mix(key ^ mix(member)) >> 11;
    let even = (bits as f64 + 0.5) / (1_u64 << 53) as f64;
    -weight / libm::log(even)
}

/// Spreads differences of any bits over all bits; the end of `SplitMix64`.
fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const KEYS: u32 = 20_000;

    fn route(members: &[(&str, f64)]) -> Route {
        let member = |&(name, weight): &(&str, f64)| Member {
            weight,
            ..Member::new(name, "")
        };
        Route::new(members.iter().map(member).collect())
    }

    fn owner(route: &Route, key: u32) -> &str {
        &route.owners(&key.to_le_bytes(), 1)[0].name
    }

    #[test]
    fn shares_are_as_the_weights() {
        let route = route(&[("a", 1.0), ("b", 2.0), ("c", 5.0)]);
        let mut shares = BTreeMap::new();
        for key in 0..KEYS {
            *shares.entry(owner(&route, key)).or_insert(0.0) += 8.0 / f64::from(KEYS);
        }
        for (name, weight) in [("a", 1.0), ("b", 2.0), ("c", 5.0)] {
            let share: f64 = shares[name];
            assert!((share / weight - 1.0).abs() < 0.06, "{name}: {share}");
        }
    }

    #[test]
    fn a_member_that_comes_takes_its_share_and_no_other_key_moves() {
        let names: Vec<_> = (0..20).map(|number| format!("host-{number}")).collect();
        let members: Vec<_> = names.iter().map(|name| (name.as_str(), 1.0)).collect();
        let (before, after) = (route(&members[..19]), route(&members));
        let mut moved = 0;
        for key in 0..KEYS {
            let (from, to) = (owner(&before, key), owner(&after, key));
            if from != to {
                assert_eq!(to, "host-19", "key {key} left {from}");
                moved += 1;
            }
        }
        let share = f64::from(moved) / f64::from(KEYS);
        assert!(share <= 1.0 / 20.0 + 0.01 && share > 0.03, "{share}");
    }

    #[test]
    fn the_second_owner_is_the_first_one_without_the_first() {
        let three = route(&[("a", 1.0), ("b", 1.0), ("c", 3.0)]);
        for key in 0_u32..500 {
            let key = key.to_le_bytes();
            let owners = three.owners(&key, 9);
            assert_eq!(owners.len(), 3);
            let rest = owners[1..].iter().map(|&member| member.clone()).collect();
            assert_eq!(Route::new(rest).owners(&key, 1)[0], owners[1]);
            assert_eq!(three.owners(&key, 2), owners[..2]);
        }
    }

    #[test]
    fn owners_are_the_same_in_every_version() {
        let route = route(&[("a", 1.0), ("b", 1.0), ("c", 1.0), ("d", 1.0)]);
        let owners: String = (0..24).map(|key| owner(&route, key)).collect();
        assert_eq!(owners, "aabcbacbddbdbaacccdcbbad");
        assert!(route.owners(b"", 0).is_empty());
    }
}
