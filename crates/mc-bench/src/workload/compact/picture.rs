//! What a large put does to a pool: who lay where before it, and who does after it.

use std::collections::HashMap;

use mc_segment::{Block, SegmentId, SegmentPool};
use mc_store::ObjectStore;

use crate::moments::Map;
use crate::number::rough;
use crate::page::Made;
use crate::page::chart::{Cell, Drawing};
use crate::record::{Document, record, records};

use super::Compact;

record! {
    /// The pool around the last put that is pictured; null in rows without one.
    #[derive(Default)]
    pub(in crate::workload) struct Picture {
        Decided before_cells: Option<String>; // What the cells of the pool are before the put, a letter each.
        Decided after_cells: Option<String>; // The same after it.
        Decided before_free_bytes: Option<u64>; // Free bytes before the put.
        Decided before_hole_bytes: Option<u64>; // Those of the largest hole.
        Decided put_bytes: Option<u64>; // Bytes of the put, which are one hole before they are written.
        Decided put_evicted_bytes: Option<u64>; // Bytes that left for it.
        Decided put_moved_bytes: Option<u64>; // Bytes that moved for it.
    }
}

/// Cells of a picture.
const CELLS: u64 = 1_024;

/// Blocks that are read at once.
const PAGE_BLOCKS: usize = 1_024;

/// The blocks of a pool of one segment, in address order.
#[derive(Debug)]
pub(super) struct Before(Vec<Block>);

impl Before {
    pub(super) fn of(pool: &SegmentPool, segment: SegmentId) -> Self {
        let mut blocks = Vec::new();
        let mut cursor = None;
        loop {
            let page = pool.blocks(segment, cursor.as_ref(), PAGE_BLOCKS);
            let page = page.expect("the segment is mounted");
            blocks.extend(page.blocks);
            cursor = page.next;
            if cursor.is_none() {
                return Self(blocks);
            }
        }
    }

    /// Pictures what a put of so many bytes has made of it.
    pub(super) fn compare(
        &self,
        store: &ObjectStore,
        segment: SegmentId,
        put_bytes: u64,
    ) -> Picture {
        let after = Self::of(store.pool(), segment);
        // A number may be that of another object by now, but hardly of one as large.
        let places = |blocks: &[Block]| -> HashMap<_, u64> {
            let tagged = blocks.iter().filter(|block| block.owner.is_some());
            tagged
                .map(|block| ((block.owner, block.size), block.address))
                .collect()
        };
        let (was, is) = (places(&self.0), places(&after.0));
        let kind = |others: &HashMap<_, u64>, block: &Block, alone: Cell| match others
            .get(&(block.owner, block.size))
        {
            _ if block.is_hole => Cell::Free,
            Some(address) if *address == block.address => Cell::Stays,
            Some(_) => Cell::Moves,
            None => alone,
        };
        let before_kind = |block: &Block| kind(&is, block, Cell::Leaves);
        let after_kind = |block: &Block| kind(&was, block, Cell::Placed);
        let sum = |of: Cell| {
            let those = self.0.iter().filter(|block| before_kind(block) == of);
            those.map(|block| block.size).sum::<u64>()
        };
        let holes = self.0.iter().filter(|block| block.is_hole);
        Picture {
            before_cells: Some(cells(&self.0, before_kind)),
            after_cells: Some(cells(&after.0, after_kind)),
            before_free_bytes: Some(sum(Cell::Free)),
            before_hole_bytes: holes.map(|hole| hole.size).max(),
            put_bytes: Some(put_bytes),
            put_evicted_bytes: Some(sum(Cell::Leaves)),
            put_moved_bytes: Some(sum(Cell::Moves)),
        }
    }
}

/// Returns the letter of each cell: of that which most of it is.
fn cells(blocks: &[Block], kind: impl Fn(&Block) -> Cell) -> String {
    let start = blocks.first().map_or(0, |block| block.address);
    let bytes = blocks.iter().map(|block| block.size).sum();
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
        let of = |letters: &str| {
            let cell = |letter| Cell::ALL.iter().find(|(_, known, _)| *known == letter);
            letters
                .chars()
                .filter_map(cell)
                .map(|(cell, ..)| *cell)
                .collect()
        };
        let before = format!(
            "Before a put of {}: {} are free, {} of them in the largest hole",
            size(picture.put_bytes?),
            size(picture.before_free_bytes?),
            size(picture.before_hole_bytes?),
        );
        let after = format!(
            "After it: one hole of {}, for which {} left and {} moved",
            size(picture.put_bytes?),
            size(picture.put_evicted_bytes?),
            size(picture.put_moved_bytes?),
        );
        let maps = [
            picture.before_cells.as_deref()?,
            picture.after_cells.as_deref()?,
        ];
        Some(vec![(before, of(maps[0])), (after, of(maps[1]))])
    });
    Ok(Drawing::Pools(pools.unwrap_or_default()))
}

fn size(bytes: u64) -> String {
    const MIB: f64 = (1 << 20) as f64;
    let mib = bytes as f64 / MIB;
    if mib >= 1024.0 {
        format!("{:.2} GiB", mib / 1024.0)
    } else {
        format!("{} MiB", rough(mib))
    }
}
