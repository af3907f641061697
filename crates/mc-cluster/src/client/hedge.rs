//! A second try beside a first one that takes long.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use tokio::time::timeout;

/// What came of the tries, in the order in which they ended.
pub(super) struct Hedged<A> {
    pub(super) results: Vec<A>,
    pub(super) second: Second,
}

/// What the second try was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Second {
    /// It was not begun.
    NotBegun,
    /// It was begun, and the first one ended before it.
    Late,
    /// It was enough before the first one ended.
    Won,
}

/// Waits for the first try, and from the delay on also for the second, which is
/// not begun before; neither is waited for once the other is enough.
pub(super) async fn hedge<A>(
    delay: Duration,
    first: impl Future<Output = A>,
    second: impl Future<Output = A>,
    is_enough: impl Fn(&A) -> bool,
) -> Hedged<A> {
    let (mut first, second) = (pin!(first), pin!(second));
    if let Ok(result) = timeout(delay, &mut first).await {
        return Hedged {
            results: vec![result],
            second: Second::NotBegun,
        };
    }
    let (mut results, mut won) = (Vec::with_capacity(2), Second::Late);
    match select(first, second).await {
        Either::Left((result, _)) if is_enough(&result) => results.push(result),
        Either::Left((result, second)) => results.extend([result, second.await]),
        Either::Right((result, first)) => {
            let is_enough = is_enough(&result);
            results.push(result);
            match is_enough {
                true => won = Second::Won,
                false => results.push(first.await),
            }
        }
    }
    Hedged {
        results,
        second: won,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::sleep;

    use super::*;

    const DELAY: Duration = Duration::from_millis(10);

    async fn after(millis: u64, result: u32) -> u32 {
        sleep(Duration::from_millis(millis)).await;
        result
    }

    #[track_caller]
    fn check(
        first: impl Future<Output = u32>,
        second: impl Future<Output = u32>,
        results: &[u32],
        won: Second,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let hedged = hedge(DELAY, first, second, |&result| result > 0);
        let hedged = runtime.unwrap().block_on(hedged);
        assert_eq!((&*hedged.results, hedged.second), (results, won));
    }

    #[test]
    fn a_second_try_is_begun_late_and_ends_the_wait_if_it_is_enough() {
        // What is no good ends it as well if it comes before the delay.
        check(ready(0), pending(), &[0], Second::NotBegun);
        check(pending(), ready(2), &[2], Second::Won);
        check(after(30, 1), pending(), &[1], Second::Late);
        check(after(30, 1), ready(0), &[0, 1], Second::Late);
        check(after(30, 0), after(60, 2), &[0, 2], Second::Late);
    }
}
