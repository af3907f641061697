//! What a put that only moves made a hole for does to a pool: who lay where before it, and who does after it.

use std::collections::HashMap;

use mc_segment::{Block, SegmentId};
use mc_store::{ObjectStore, StoreStats};

use crate::moments::Map;
use crate::number::rough;
use crate::page::Made;
use crate::page::chart::{Cell, Drawing};
use crate::record::{Document, record, records};

use super::Compact;

record! {
    /// The pool around a put; null in rows without a picture.
    #[derive(Default)]
    pub(in crate::workload) struct Picture {
        Decided before_cells: Option<String>; // What the cells of the pool are before the put, a letter each.
        Decided after_cells: Option<String>; // The same after it.
        Decided before_free_bytes: Option<u64>; // Free bytes before the put.
        Decided before_hole_bytes: Option<u64>; // Those of the largest hole.
        Decided put_bytes: Option<u64>; // Bytes of the put.
        Decided put_moved_bytes: Option<u64>; // Bytes that moved for it.
    }
}

/// Cells of a picture.
const CELLS: u64 = 1_024;

/// A store before a put.
pub(super) struct Before<'a> {
    store: &'a ObjectStore,
    segment: SegmentId,
    stats: StoreStats,
    blocks: Vec<Block>,
}

impl Picture {
    /// Becomes the picture of another put if moves made more of its hole.
    pub(super) fn improve(&mut self, other: Option<Self>) {
        if let Some(other) = other.filter(|other| other.gained_bytes() > self.gained_bytes()) {
            *self = other;
        }
    }

    /// Returns how many bytes of its hole were none of the largest one.
    fn gained_bytes(&self) -> Option<u64> {
        Some(self.put_bytes?.saturating_sub(self.before_hole_bytes?))
    }
}

impl<'a> Before<'a> {
    pub(super) fn of(store: &'a ObjectStore, segment: SegmentId) -> Self {
        let page = store.pool().blocks(segment, None, usize::MAX);
        Self {
            store,
            segment,
            stats: store.stats(),
            blocks: page.expect("the segment is mounted").blocks,
        }
    }

    /// Pictures what a put of so many bytes has made of it, if something moved and nobody left.
    pub(super) fn compare(self, put_bytes: u64) -> Option<Picture> {
        let after = Self::of(self.store, self.segment);
        let moved_bytes = after.stats.moved.bytes - self.stats.moved.bytes;
        if moved_bytes == 0 || after.stats.on_demand != self.stats.on_demand {
            return None;
        }
        let (was, is) = (places(&self.blocks), places(&after.blocks));
        let kind = |others: &Places, block: &Block| match others.get(&block.owner) {
            _ if block.is_hole => Cell::Free,
            Some(address) if *address == block.address => Cell::Stays,
            Some(_) => Cell::Moves,
            None => Cell::Placed,
        };
        let holes = self.blocks.iter().filter(|block| block.is_hole);
        let holes = holes.map(|hole| hole.size);
        Some(Picture {
            before_cells: Some(cells(&self.blocks, |block| kind(&is, block))),
            after_cells: Some(cells(&after.blocks, |block| kind(&was, block))),
            before_free_bytes: Some(holes.clone().sum()),
            before_hole_bytes: holes.max(),
            put_bytes: Some(put_bytes),
            put_moved_bytes: Some(moved_bytes),
        })
    }
}

/// The address of each object, by its number.
type Places = HashMap<Option<std::num::NonZeroU32>, u64>;

fn places(blocks: &[Block]) -> Places {
    let tagged = blocks.iter().filter(|block| block.owner.is_some());
    tagged.map(|block| (block.owner, block.address)).collect()
}

/// Returns the letter of each cell: of that which most of it is.
fn cells(blocks: &[Block], kind: impl Fn(&Block) -> Cell) -> String {
    let start = blocks.first().map_or(0, |block| block.address);
    let bytes: u64 = blocks.iter().map(|block| block.size).sum();
    let shares = Cell::ALL.map(|(of, ..)| {
        let mut map = Map::new(bytes, CELLS);
        let those = blocks.iter().filter(|block| kind(block) == of);
        those.for_each(|block| map.add(block.address - start, block.size));
        map.shares()
    });
    let letter = |cell: usize| {
        let most = (0..shares.len()).max_by(|&a, &b| shares[a][cell].total_cmp(&shares[b][cell]));
        Cell::ALL[most.unwrap_or_default()].1
    };
    (0..shares[0].len()).map(letter).collect()
}

pub(super) fn draw(document: &Document) -> Made<Drawing> {
    let rows: Vec<Compact> = records(&document.runs)?;
    let pools = rows.iter().find_map(|row| {
        let picture = &row.picture;
        let of = |letters: &str| -> Vec<Cell> {
            let cell = |letter| Cell::ALL.iter().find(|(_, known, _)| *known == letter);
            letters
                .chars()
                .filter_map(cell)
                .map(|(cell, ..)| *cell)
                .collect()
        };
        let mib = |bytes: u64| rough(bytes as f64 / f64::from(1 << 20));
        let put = mib(picture.put_bytes?);
        let before = format!(
            "Before a put of {put} MiB: {} MiB are free, {} MiB of them in the largest hole",
            mib(picture.before_free_bytes?),
            mib(picture.before_hole_bytes?),
        );
        let after = format!(
            "After it: {} MiB moved to make one hole of {put} MiB, and nobody left",
            mib(picture.put_moved_bytes?),
        );
        let maps = [
            picture.before_cells.as_deref()?,
            picture.after_cells.as_deref()?,
        ];
        Some(vec![(before, of(maps[0])), (after, of(maps[1]))])
    });
    Ok(Drawing::Pools(pools.unwrap_or_default()))
}
