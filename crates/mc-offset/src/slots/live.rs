//! Iteration over the live slots, in address order.

use core::iter::FusedIterator;

use super::SlotIndex;
use super::bitmap::Bitmap;
use super::geometry;

/// Iterator over the live slots of a [`SlotAllocator`](crate::SlotAllocator), lowest first.
///
/// Made by [`live_slots`](crate::SlotAllocator::live_slots). It takes each word of the bitmap when it
/// gets there, so that of the slots that come or go during the iteration it may show or miss any; a
/// slot that is live throughout is shown exactly once.
#[derive(Clone, Debug)]
pub struct LiveSlots<'a> {
    bitmap: &'a Bitmap,
    /// Word of level 0 that `bits` belongs to; the words below it have been shown.
    word: usize,
    /// Live slots of `word` that have not been shown.
    bits: u64,
}

impl<'a> LiveSlots<'a> {
    /// Starts before the first slot.
    pub(super) fn new(bitmap: &'a Bitmap) -> Self {
        Self {
            bitmap,
            word: 0,
            bits: live_bits(bitmap, 0),
        }
    }
}

impl Iterator for LiveSlots<'_> {
    type Item = SlotIndex;

    fn next(&mut self) -> Option<SlotIndex> {
        while self.bits == 0 {
            if self.word + 1 == self.bitmap.geometry().level_words(0) {
                return None;
            }
            self.word += 1;
            self.bits = live_bits(self.bitmap, self.word);
        }
        let lowest = self.bits.trailing_zeros();
        self.bits &= self.bits - 1;
        Some(SlotIndex::new(geometry::slot_of(self.word, lowest)))
    }
}

impl FusedIterator for LiveSlots<'_> {}

/// Returns the bits of `word` that stand for live slots.
fn live_bits(bitmap: &Bitmap, word: usize) -> u64 {
    let slots = bitmap.geometry().slots_of(word).len();
    !bitmap.free_bits(word) & geometry::low_bits(slots)
}
