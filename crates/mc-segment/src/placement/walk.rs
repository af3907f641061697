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

/// The numbers below a length, as places that walks visit.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// For each number, whether it has no divisor in common with the length:
    /// strides of so many visit every place.
    is_stride: Box<[bool]>,
}

/// All places of a [`Ring`], each once, from a random start in random strides.
///
/// Neighbors in the table, which share a host or a name, are thus not visited
/// one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Walk<'a> {
    ring: &'a Ring,
    next: usize,
    /// 0 until the second step, as most walks end with the first.
    stride: usize,
    left: usize,
    draw: Draw,
}

impl Ring {
    pub(crate) fn new(len: usize) -> Self {
        let is_stride = (0..len).map(|number| gcd(number, len) == 1);
        Self {
            is_stride: is_stride.collect(),
        }
    }

    #[inline]
    pub(crate) fn walk(&self, draw: &mut Draw) -> Walk<'_> {
        Walk {
            ring: self,
            next: draw.place(self.is_stride.len()),
            stride: 0,
            left: self.is_stride.len(),
            // Of its own, so that what is drawn next does not follow from strides.
            draw: Draw(draw.number()),
        }
    }

    /// Draws a stride for a ring of at least two places.
    #[inline]
    fn stride(&self, draw: &mut Draw) -> usize {
        loop {
            let stride = 1 + draw.place(self.is_stride.len() - 1);
            if self.is_stride[stride] {
                return stride;
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let len = self.ring.is_stride.len();
        if self.left + 1 < len {
            if self.stride == 0 {
                self.stride = self.ring.stride(&mut self.draw);
            }
            self.next += self.stride;
            if self.next >= len {
                self.next -= len;
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
                let ring = Ring::new(len);
                let mut visited: Vec<_> = ring.walk(&mut Draw::new(7, ticket)).collect();
                visited.sort_unstable();
                assert!(visited.iter().copied().eq(0..len), "{len}: {visited:?}");
            }
        }
    }

    #[test]
    fn walks_begin_everywhere_and_go_on_anywhere() {
        let ring = Ring::new(10);
        let mut seconds = [0_u32; 10];
        for ticket in 0..10_000 {
            let mut walk = ring.walk(&mut Draw::new(1, ticket));
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
}
