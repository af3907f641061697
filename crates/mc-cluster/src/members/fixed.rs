//! A list of members as text.

use thiserror::Error;

use super::Member;

/// Why a text is not a list of members.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum MembersError {
    /// An entry is not of the form `name=host:port` or `name=host:port*weight`.
    #[error(
        "member {position} of the list is not written as name=host:port or name=host:port*weight"
    )]
    Entry {
        /// Which of the entries, from 1 on.
        position: usize,
    },
    /// A weight is not above zero, or not finite.
    #[error(
        "member {position} of the list has the weight {weight}; a finite one above 0 is needed"
    )]
    Weight {
        /// Which of the entries, from 1 on.
        position: usize,
        /// The weight.
        weight: f64,
    },
    /// Two members have one name.
    #[error("member {position} of the list has the name of one before it")]
    Name {
        /// Which of the entries, from 1 on.
        position: usize,
    },
}

pub(super) fn parse(text: &str) -> Result<Vec<Member>, MembersError> {
    let entries = text.split(',').map(str::trim);
    let entries = entries.filter(|entry| !entry.is_empty());
    entries
        .enumerate()
        .map(|(index, entry)| {
            let position = index + 1;
            parse_entry(entry).ok_or(MembersError::Entry { position })
        })
        .collect()
}

fn parse_entry(entry: &str) -> Option<Member> {
    let (name, rest) = entry.split_once('=')?;
    let (address, weight) = match rest.split_once('*') {
        Some((address, weight)) => (address, weight.parse().ok()?),
        None => (rest, 1.0),
    };
    let (host, port) = address.rsplit_once(':')?;
    let is_whole = !name.is_empty() && !host.is_empty() && port.parse::<u16>().is_ok();
    is_whole.then(|| Member {
        weight,
        ..Member::new(name, address)
    })
}

pub(super) fn check(members: &[Member]) -> Result<(), MembersError> {
    for (index, member) in members.iter().enumerate() {
        let position = index + 1;
        if !member.has_weight() {
            let weight = member.weight;
            return Err(MembersError::Weight { position, weight });
        }
        if members[..index]
            .iter()
            .any(|other| other.name == member.name)
        {
            return Err(MembersError::Name { position });
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
    fn what_is_no_list_is_refused_with_its_position() {
        let refused = |text| Members::parse(text).unwrap_err();
        for text in ["a", "=h:1", "a=h", "a=:1", "a=h:x", "a=h:70000", "a=h:1*x"] {
            assert_eq!(refused(text), MembersError::Entry { position: 1 }, "{text}");
        }
        assert_eq!(refused("a=h:1,a=h:2"), MembersError::Name { position: 2 });
        // What is empty is no entry, whatever is wrong with the next one.
        assert_eq!(refused("a=h:1,,a=h:2"), MembersError::Name { position: 2 });
        assert_eq!(refused("a=h:1,,b"), MembersError::Entry { position: 2 });
        let weight = 0.0;
        let position = 2;
        assert_eq!(
            refused("a=h:1,b=h:2*0"),
            MembersError::Weight { position, weight }
        );
        for text in ["a=h:1*NaN", "a=h:1*inf", "a=h:1*-1"] {
            let weight = refused(text);
            assert!(matches!(weight, MembersError::Weight { .. }), "{text}");
        }
    }
}
