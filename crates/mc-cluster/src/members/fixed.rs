//! A list of members as text.

use thiserror::Error;

use super::Member;

/// Why a text is not a list of members.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum MembersError {
    /// An entry is not of the form `name=host:port` or `name=host:port*weight`.
    #[error("{entry:?} is no member; write name=host:port or name=host:port*weight")]
    Entry {
        /// The entry, or how it begins.
        entry: String,
    },
    /// A weight is not above zero, or not finite.
    #[error("member {name:?} has the weight {weight}; a finite one above 0 is needed")]
    Weight {
        /// The name of the member.
        name: String,
        /// The weight.
        weight: f64,
    },
    /// Two members have one name.
    #[error("there are several members with the name {name:?}; each needs one of its own")]
    Name {
        /// The name.
        name: String,
    },
    /// Two members have one address, and so are one host.
    #[error("there are several members at {address:?}; each needs a host of its own")]
    Address {
        /// The address.
        address: String,
    },
}

/// Characters of an entry that an error repeats.
const ENTRY_SHOWN: usize = 100;

pub(super) fn parse(text: &str) -> Result<Vec<Member>, MembersError> {
    let entries = text.split(',').map(str::trim);
    let entries = entries.filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            parse_entry(entry).ok_or_else(|| MembersError::Entry {
                entry: entry.chars().take(ENTRY_SHOWN).collect(),
            })
        })
        .collect()
}

fn parse_entry(entry: &str) -> Option<Member> {
    let (name, rest) = entry.split_once('=')?;
    let (address, weight) = match rest.split_once('*') {
        Some((address, weight)) => (address, weight.parse().ok()?),
        None => (rest, 1.0),
    };
    let member = Member {
        weight,
        ..Member::new(name, address)
    };
    (!name.is_empty() && member.has_address()).then_some(member)
}

pub(super) fn check(members: &[Member]) -> Result<(), MembersError> {
    for (index, member) in members.iter().enumerate() {
        let name = || member.name.clone();
        if !member.has_weight() {
            let weight = member.weight;
            return Err(MembersError::Weight {
                name: name(),
                weight,
            });
        }
        if members[..index]
            .iter()
            .any(|other| other.name == member.name)
        {
            return Err(MembersError::Name { name: name() });
        }
        // Two copies of an object would be one.
        if members[..index]
            .iter()
            .any(|other| other.address == member.address)
        {
            let address = member.address.clone();
            return Err(MembersError::Address { address });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::Members, *};

    #[track_caller]
    fn check_text(text: &str, expected: &[(&str, &str, f64)]) {
        let members = Members::parse(text).unwrap().now();
        let members: Vec<_> = members
            .iter()
            .map(|member| (&*member.name, &*member.address, member.weight))
            .collect();
        assert_eq!(members, expected);
    }

    #[test]
    fn names_addresses_and_weights_are_read() {
        check_text("", &[]);
        check_text("a=127.0.0.1:7001", &[("a", "127.0.0.1:7001", 1.0)]);
        check_text(
            " a=[::1]:7001*0.5, b=host:7002 ,",
            &[("a", "[::1]:7001", 0.5), ("b", "host:7002", 1.0)],
        );
    }

    #[test]
    fn what_is_no_list_is_refused_by_its_name() {
        let refused = |text: &str| Members::parse(text).unwrap_err();
        for text in [
            "a",
            "=h:1",
            "a=h",
            "a=:1",
            "a=h:x",
            "a=h:70000",
            "a=h:0",
            "a=h:1*x",
            "a=h h:1",
            "a=h:",
        ] {
            let entry = text.to_owned();
            assert_eq!(refused(text), MembersError::Entry { entry });
        }
        let long = refused(&"a".repeat(1000)).to_string();
        assert!(long.len() < 200, "{long}");
        let name = || "a".to_owned();
        assert_eq!(refused("a=h:1,,a=h:2"), MembersError::Name { name: name() });
        let address = "h:1".to_owned();
        assert_eq!(refused("a=h:1,b=h:1"), MembersError::Address { address });
        let entry = "b".to_owned();
        assert_eq!(refused("a=h:1,,b"), MembersError::Entry { entry });
        let weight = 0.0;
        assert_eq!(
            refused("b=h:2,a=h:1*0"),
            MembersError::Weight {
                name: name(),
                weight
            }
        );
        for text in ["a=h:1*NaN", "a=h:1*inf", "a=h:1*-1"] {
            let weight = refused(text);
            assert!(matches!(weight, MembersError::Weight { .. }), "{text}");
        }
    }
}
