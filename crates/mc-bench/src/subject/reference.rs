//! The reference: what the loops cost without an allocator, and what no allocator can exceed.

use super::{Placement, Pool, Subject};

/// Accepts a request iff it and everything live fit into the pool, as if compaction were free.
#[derive(Clone, Copy, Debug)]
pub struct Oracle {
    capacity_bytes: u64,
    live_bytes: u64,
}

/// Token of the [`Oracle`].
///
/// As wide as the token of the offset allocator, so that the list of live objects spans the same
/// cache lines in the reference as in the runs it is compared with.
#[derive(Clone, Copy, Debug)]
pub struct OracleToken {
    size_bytes: u64,
    _width: [u64; 3],
}

impl Oracle {
    /// Creates an empty pool.
    #[must_use]
    pub fn new(pool: &Pool) -> Self {
        Self {
            capacity_bytes: pool.capacity_bytes,
            live_bytes: 0,
        }
    }
}

impl Subject for Oracle {
    type Token = OracleToken;

    #[inline]
    fn allocate(&mut self, size_bytes: u64) -> Option<OracleToken> {
        if size_bytes > self.capacity_bytes - self.live_bytes {
            return None;
        }
        self.live_bytes += size_bytes;
        Some(OracleToken {
            size_bytes,
            _width: [0; 3],
        })
    }

    #[inline]
    fn free(&mut self, token: OracleToken) {
        self.live_bytes -= token.size_bytes;
    }

    #[inline]
    fn placement(&self, token: &OracleToken) -> Placement {
        Placement {
            offset_bytes: 0,
            size_bytes: token.size_bytes,
        }
    }
}
