//! Prints what each call takes at a thousand to a million holes or nodes, on the
//! input known to be the worst for it, in processor time of the thread.
//!
//! `cargo run --release -p mc-offset --example growth`; with a number as
//! argument, up to so many holes.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::{error::Error, hint::black_box};

use mc_offset::{Allocation, BlockCost, HoleOptions, OffsetAllocator, Options};
use nix::time::{ClockId, clock_gettime};

/// Calls of each kind that are measured.
const CALLS: usize = 200;

/// Bytes from one hole of a comb to the next.
const PITCH: u64 = 2048;

fn main() -> Result<(), Box<dyn Error>> {
    let most: u64 = match std::env::args().nth(1) {
        Some(most) => most.parse()?,
        None => 1_000_000,
    };
    println!(
        "{:>9}  {:<38} {:>9} {:>9}",
        "holes", "call", "p50 ns", "max ns"
    );
    let mut holes = 1_000;
    while holes <= most {
        measure(holes)?;
        holes *= 10;
    }
    Ok(())
}

/// Measures every call at so many holes.
fn measure(holes: u64) -> Result<(), Box<dyn Error>> {
    in_the_highest_bin(holes)?;
    aligned(holes)?;
    at_an_offset(holes)?;
    in_pieces(holes)?;
    planned(holes)
}

/// Returns an allocator of holes between allocations, and those.
fn comb(
    holes: u64,
    size: impl Fn(u64) -> u64,
) -> Result<(OffsetAllocator, Vec<Allocation>), Box<dyn Error>> {
    let walls = (0..holes).map(|hole| {
        let size = size(hole);
        (hole * PITCH + size, PITCH - size)
    });
    let options = Options::new(holes * PITCH);
    Ok(OffsetAllocator::restore_from(options, walls)?)
}

/// A request that one hole of the fullest bin fits, the free of what it got, and
/// a request that none fits.
fn in_the_highest_bin(holes: u64) -> Result<(), Box<dyn Error>> {
    let (mut allocator, walls) = comb(holes, |hole| {
        if hole == holes / 2 {
            1087
        } else {
            1056 + hole % 10
        }
    })?;
    let mut times = [const { Times::new() }; 4];
    let [allocating, freeing, refusing, resizing] = &mut times;
    for call in 0..CALLS {
        let token = allocating.of(|| allocator.allocate(1080))?;
        let token = resizing.of(|| allocator.resize_in_place(token, 1070))?;
        let wall = walls[(call * 7919) % walls.len()];
        freeing.of(|| allocator.free(token))?;
        freeing.of(|| allocator.free(wall))?;
        refusing.of(|| black_box(allocator.allocate(PITCH * holes / 2).is_err()));
        let _ = allocator.allocate_at(wall.offset(), wall.size())?;
    }
    allocating.print(holes, "allocate, last of the highest bin");
    freeing.print(holes, "free");
    refusing.print(holes, "allocate, refused");
    resizing.print(holes, "resize_in_place");
    Ok(())
}

/// Aligned requests that hardly any hole serves, and that none does.
fn aligned(holes: u64) -> Result<(), Box<dyn Error>> {
    let (mut allocator, walls) = comb(holes, |hole| if hole == holes / 2 { 1030 } else { 1033 })?;
    let mut first = Times::new();
    first.of(|| black_box(allocator.allocate_aligned(1030, 1 << 30).is_err()));
    first.print(holes, "allocate_aligned, first of an alignment");
    let (mut refusing, mut freeing) = (Times::new(), Times::new());
    for call in 0..CALLS {
        refusing.of(|| black_box(allocator.allocate_aligned(5000, 1 << 30).is_err()));
        let wall = walls[(call * 7919) % walls.len()];
        freeing.of(|| allocator.free(wall))?;
        refusing.of(|| black_box(allocator.allocate_aligned(1030, 1 << 30).is_err()));
        let _ = allocator.allocate_at(wall.offset(), wall.size())?;
    }
    refusing.print(holes, "allocate_aligned, refused after a free");
    freeing.print(holes, "free, an alignment followed");
    Ok(())
}

/// Requests for an offset that is free and for one that is not.
fn at_an_offset(holes: u64) -> Result<(), Box<dyn Error>> {
    let (mut allocator, _) = comb(holes, |_| 1000)?;
    let (mut placing, mut refusing) = (Times::new(), Times::new());
    for call in 0..CALLS as u64 {
        let hole = call * 7919 % holes * PITCH;
        let token = placing.of(|| allocator.allocate_at(hole + 10, 20))?;
        refusing.of(|| black_box(allocator.allocate_at(hole + 1500, 20).is_err()));
        allocator.free(token)?;
    }
    placing.print(holes, "allocate_at");
    refusing.print(holes, "allocate_at, occupied");
    Ok(())
}

/// An object in a tenth as many pieces as there are holes, by the piece.
fn in_pieces(holes: u64) -> Result<(), Box<dyn Error>> {
    let (mut allocator, _) = comb(holes, |hole| 1000 + hole % 24)?;
    let mut times = Times::new();
    let start = now();
    let object = allocator.allocate_extents(holes / 10 * 1000, u32::MAX, 1)?;
    let pieces = object.pieces().len() as u64;
    times.0.push((now() - start) / pieces);
    times.print(holes, "allocate_extents, by the piece");
    Ok(())
}

/// A hole of twenty times the mean, of which three quarters may be moved.
fn planned(holes: u64) -> Result<(), Box<dyn Error>> {
    let (allocator, _) = comb(holes, |hole| 400 + hole * 7919 % 1601)?;
    let mut times = Times::new();
    for call in 0..CALLS as u64 {
        let size = 4000 + call;
        let options = HoleOptions {
            moved_bytes_max: size,
            nodes_visited_max: 64,
            ..HoleOptions::new(size)
        };
        times.of(|| {
            black_box(
                allocator
                    .plan_hole(&options, |_| BlockCost::movable())
                    .is_some(),
            )
        });
    }
    times.print(holes, "plan_hole, 64 nodes visited");
    Ok(())
}

/// Nanoseconds that calls of one kind took.
struct Times(Vec<u64>);

impl Times {
    const fn new() -> Self {
        Self(Vec::new())
    }

    fn of<R>(&mut self, call: impl FnOnce() -> R) -> R {
        let start = now();
        let result = call();
        self.0.push(now() - start);
        result
    }

    fn print(&mut self, holes: u64, call: &str) {
        self.0.sort_unstable();
        let (middle, last) = (self.0[self.0.len() / 2], self.0[self.0.len() - 1]);
        println!("{holes:>9}  {call:<38} {middle:>9} {last:>9}");
    }
}

/// Returns the processor time of the thread in nanoseconds.
fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    let time = time.expect("Linux has a clock for every thread");
    (time.tv_sec() * 1_000_000_000 + time.tv_nsec()).unsigned_abs()
}
