//! Things in groups that are neither many nor large.

/// Bytes of objects that are moved with one call, unless one object has more: what one call has moved
/// stays where the next one fails, and each has its time.
pub(crate) const CALL_BYTES: u64 = 16 << 20;

/// Groups things in their order: at most so many, and so many bytes unless one thing has more.
pub(crate) fn groups<T>(
    things: Vec<T>,
    things_max: usize,
    bytes_max: u64,
    bytes_of: impl Fn(&T) -> u64,
) -> impl Iterator<Item = Vec<T>> {
    let mut things = things.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut group = Vec::from_iter(things.next());
        let mut bytes = bytes_of(group.first()?);
        let mut fits = |thing: &T| {
            bytes = bytes.saturating_add(bytes_of(thing));
            bytes <= bytes_max
        };
        while group.len() < things_max
            && let Some(thing) = things.next_if(&mut fits)
        {
            group.push(thing);
        }
        Some(group)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(things: &[u64], things_max: usize, expected: &[&[u64]]) {
        let groups: Vec<_> = groups(things.to_vec(), things_max, 10, |&bytes| bytes).collect();
        assert_eq!(groups, expected);
    }

    #[test]
    fn groups_have_few_things_and_bytes_and_one_thing_at_least() {
        check(&[], 3, &[]);
        check(&[1, 2, 3, 4], 3, &[&[1, 2, 3], &[4]]);
        check(&[4, 6, 1], 3, &[&[4, 6], &[1]]);
        check(
            &[99, 5, 6, u64::MAX, 1],
            3,
            &[&[99], &[5], &[6], &[u64::MAX], &[1]],
        );
        check(&[1, 1], 0, &[&[1], &[1]]);
    }
}
