//! The crate `buddy_system_allocator`, which rounds every size up to a power of two.

use ::buddy_system_allocator::FrameAllocator;

use super::{Placement, Pool, Subject};

/// Number of block sizes: the largest block is 2^(ORDERS − 1) bytes, more than any pool here.
const ORDERS: usize = 48;

/// The frame allocator with frames of one byte.
pub(super) struct Frames(FrameAllocator<ORDERS>);

/// The first frame and the requested size; the crate wants both back.
pub(super) struct Token {
    start: usize,
    size_bytes: usize,
}

impl Frames {
    pub(super) fn new(pool: &Pool) -> Self {
        let capacity = usize::try_from(pool.capacity_bytes).expect("a 64-bit machine");
        assert!(
            capacity < 1 << (ORDERS - 1),
            "the pool exceeds the largest block"
        );
        let mut frames = FrameAllocator::new();
        frames.add_frame(0, capacity);
        Self(frames)
    }
}

impl Subject for Frames {
    type Token = Token;

    #[inline]
    fn allocate(&mut self, size_bytes: u64) -> Option<Token> {
        let size_bytes = usize::try_from(size_bytes).ok()?;
        let start = self.0.alloc(size_bytes)?;
        Some(Token { start, size_bytes })
    }

    #[inline]
    fn free(&mut self, token: Token) {
        self.0.dealloc(token.start, token.size_bytes);
    }

    #[inline]
    fn placement(&self, token: &Token) -> Placement {
        Placement {
            offset_bytes: token.start as u64,
            size_bytes: token.size_bytes as u64,
        }
    }
}
