//! Which hosts a key belongs to.

use std::{collections::BTreeMap, hash::Hasher, sync::Arc};

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
    /// The members by their weights: of equal ones, the higher drawn bits win.
    classes: Box<[Class]>,
}

/// Members of one weight.
#[derive(Clone, Debug, PartialEq)]
struct Class {
    weight: f64,
    /// Their places, and their hashes as they are mixed with keys.
    members: Vec<(u32, u64)>,
}

impl Route {
    /// Makes a route over members.
    #[must_use]
    pub fn new(members: Arc<[Member]>) -> Self {
        let hash = |member: &Member| hash(member.name.as_bytes());
        let hashes: Box<[u64]> = members.iter().map(hash).collect();
        let mut classes: BTreeMap<u64, Class> = BTreeMap::new();
        for ((place, member), hash) in (0..).zip(members.iter()).zip(&hashes) {
            let class = classes.entry(member.weight.to_bits());
            let class = class.or_insert_with(|| Class {
                weight: member.weight,
                members: Vec::new(),
            });
            class.members.push((place, mix(*hash)));
        }
        let classes = classes.into_values().collect();
        Self {
            members,
            hashes,
            classes,
        }
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
        let mut drawn: Vec<(f64, &Member)> = Vec::new();
        for class in &self.classes {
            let best = self.best_of(class, key, count);
            let best = best.into_iter();
            drawn.extend(best.map(|(bits, member)| (draw(bits, class.weight), member)));
        }
        drawn.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
        drawn.truncate(count);
        drawn.into_iter().map(|(_, member)| member).collect()
    }

    /// Returns the members of a class that drew the highest bits, in order.
    fn best_of(&self, class: &Class, key: u64, count: usize) -> Vec<(u64, &Member)> {
        let mut best: Vec<(u64, &Member)> = Vec::new();
        // What has fewer bits than the last of those that suffice is none of them.
        let mut least = 0;
        for &(place, hash) in &class.members {
            let bits = mix(key ^ hash) >> 11;
            if count == 0 || (best.len() == count && bits < least) {
                continue;
            }
            let member = &self.members[place as usize];
            let is_before = |other: &(u64, &Member)| {
                other.0 > bits || (other.0 == bits && other.1.name < member.name)
            };
            let at = best.partition_point(is_before);
            best.insert(at, (bits, member));
            best.truncate(count);
            least = best.last().map_or(0, |last| last.0);
        }
        best
    }
}

/// Returns a hash that is the same in every version and on every machine.
fn hash(bytes: &[u8]) -> u64 {
    // The digits of pi, as a sign that nothing is behind them.
    let mut hasher = SipHasher13::new_with_keys(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344);
    hasher.write(bytes);
    hasher.finish()
}

/// Returns a member's number for the 53 bits that it drew for a key: `-w / ln(u)`
/// with `u` evenly between 0 and 1 is the highest of all with probability `w`
/// over the sum of weights.
fn draw(bits: u64, weight: f64) -> f64 {
    // Half a step keeps it off 0 and 1.
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
    fn all_members_are_in_the_order_of_what_they_drew() {
        let names: Vec<_> = (0..40).map(|number| format!("host-{number}")).collect();
        let weights = [1.0, 0.5, 3.0, 1.0];
        let members = names.iter().zip(weights.into_iter().cycle());
        let members: Vec<_> = members
            .map(|(name, weight)| (name.as_str(), weight))
            .collect();
        let route = route(&members);
        for key in 0_u32..200 {
            let key = key.to_le_bytes();
            let drawn = members.iter().map(|&(name, weight)| {
                let bits = mix(hash(&key) ^ mix(hash(name.as_bytes()))) >> 11;
                (draw(bits, weight), name)
            });
            let mut drawn: Vec<_> = drawn.collect();
            drawn.sort_by(|a, b| b.0.total_cmp(&a.0));
            for count in [1, 2, 3, 39, 40, 99] {
                let owners = route.owners(&key, count);
                let owners = owners.iter().map(|owner| owner.name.as_str());
                let expected = drawn.iter().take(count).map(|(_, name)| *name);
                assert!(owners.eq(expected), "{count}");
            }
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
