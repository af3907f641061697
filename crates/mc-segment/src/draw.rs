//! Random numbers and walks over the segments in random order.

/// A stream of random numbers, fixed by its seed.
///
/// The generator is `SplitMix64` (Steele, Lea, Flood: "Fast splittable
/// pseudorandom number generators", OOPSLA 2014): one addition and a mixing of
/// bits, so that every request can have a stream of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw(u64);

/// 2^64 divided by the golden ratio, odd.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Draw {
    /// Returns the stream of the request with the number `ticket`.
    #[inline]
    pub(crate) fn new(seed: u64, ticket: u64) -> Self {
        Self(mix(seed.wrapping_add(ticket.wrapping_mul(GOLDEN))))
    }

    /// Returns the next number.
    #[inline]
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Returns a number below `end`, which is not 0; the chances differ by less
    /// than `end` in 2^64.
    #[inline]
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        let product = u128::from(self.number()) * u128::from(end);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// Returns a number below a sum that may exceed a word; of so large a sum
    /// the lowest bits are not drawn.
    #[inline]
    pub(crate) fn below_wide(&mut self, end: u128) -> u128 {
        let shift = (u128::BITS - end.leading_zeros()).saturating_sub(u64::BITS);
        let end = u64::try_from(end >> shift).unwrap_or(u64::MAX);
        u128::from(self.below(end)) << shift
    }

    /// Returns a place in a list of `len`, or 0 if that is 0.
    #[inline]
    pub(crate) fn place(&mut self, len: usize) -> usize {
        if len <= 1 {
            return 0;
        }
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }
}

#[inline]
fn mix(bits: u64) -> u64 {
    let bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

/// All places of a list, each once, from a random start in random strides.
///
/// Neighbors in the list, which share a host or a name, are thus not visited
/// one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    len: usize,
    next: usize,
    /// Without a divisor in common with the length, so that every place is
    /// visited; 0 until the second step, as most walks end with the first.
    stride: usize,
    left: usize,
    draw: Draw,
}

impl Walk {
    #[inline]
    pub(crate) fn new(len: usize, draw: &mut Draw) -> Self {
        Self {
            len,
            next: draw.place(len),
            stride: 0,
            left: len,
            // Of its own, so that what is drawn next does not follow from strides.
            draw: Draw(draw.number()),
        }
    }

    /// Draws a stride for a list of at least two places.
    fn stride(&mut self) -> usize {
        loop {
            let stride = 1 + self.draw.place(self.len - 1);
            if gcd(stride, self.len) == 1 {
                return stride;
            }
        }
    }
}

impl Iterator for Walk {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        if self.left + 1 < self.len {
            if self.stride == 0 {
                self.stride = self.stride();
            }
            self.next += self.stride;
            if self.next >= self.len {
                self.next -= self.len;
            }
        }
        Some(self.next)
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_visits_every_number_once() {
        for len in 0..200 {
            for ticket in 0..20 {
                let mut visited: Vec<_> = Walk::new(len, &mut Draw::new(7, ticket)).collect();
                visited.sort_unstable();
                assert!(visited.iter().copied().eq(0..len), "{len}: {visited:?}");
            }
        }
    }

    #[test]
    fn walks_begin_everywhere_and_go_on_anywhere() {
        let mut seconds = [0_u32; 10];
        for ticket in 0..10_000 {
            let mut walk = Walk::new(10, &mut Draw::new(1, ticket));
            let first = walk.next().unwrap();
            if first == 3 {
                seconds[walk.next().unwrap()] += 1;
            }
        }
        // Strides without a divisor in common with 10: 1, 3, 7 and 9.
        let reached: Vec<_> = (0..10).filter(|&at| seconds[at] > 150).collect();
        assert_eq!(reached, [0, 2, 4, 6], "{seconds:?}");
        assert!((800..1200).contains(&seconds.iter().sum::<u32>()));
    }

    #[test]
    fn wide_sums_are_drawn_from_their_first_to_their_last_part() {
        for end in [1, 1000, u128::from(u64::MAX), 3 << 70] {
            let (mut least, mut most) = (end, 0);
            for ticket in 0..10_000 {
                let drawn = Draw::new(3, ticket).below_wide(end);
                assert!(drawn < end);
                (least, most) = (least.min(drawn), most.max(drawn));
            }
            assert!(least <= end / 1000 && most >= end - 1 - end / 1000, "{end}");
        }
    }
}
