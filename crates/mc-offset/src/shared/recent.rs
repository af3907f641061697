//! The last few sizes that no magazine had.

/// Requests that are looked back for a size to come again.
const LEN: usize = super::magazine::SIZES;

/// The sizes asked for in the last few requests that reached the core.
#[derive(Debug)]
pub(super) struct RecentSizes {
    /// Bytes; 0 where there was no request yet.
    sizes: [u64; LEN],
    next: usize,
}

impl RecentSizes {
    pub(super) const fn new() -> Self {
        Self {
            sizes: [0; LEN],
            next: 0,
        }
    }

    /// Takes note of a size; returns whether it has come within the last few
    /// requests and deserves a shelf.
    #[inline]
    pub(super) fn comes_again(&mut self, size: u64) -> bool {
        let comes_again = self.sizes.contains(&size);
        if !comes_again {
            self.sizes[self.next % LEN] = size;
            self.next = (self.next + 1) % LEN;
        }
        comes_again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_comes_again_within_four_others() {
        let mut recent = RecentSizes::new();
        for size in [1, 2, 3, 4] {
            assert!(!recent.comes_again(size));
        }
        for size in [4, 1, 3] {
            assert!(recent.comes_again(size));
        }
        assert!(!recent.comes_again(5));
        assert!(!recent.comes_again(1), "five was the fourth other");
        assert!(recent.comes_again(5));
    }
}
