//! What the C++ handle is measured against: the workloads of `boundary.cpp`, beside this file, with
//! the handle of Rust.
//!
//! `cargo xtask boundary` runs both in turns.
//!
//! Usage: `boundary uniform-SIZE|random|paired|refusal|get [operations]`.

use std::{env, error::Error, iter, num::NonZeroU64, time::Duration};

use mc_offset::{Handle, SharedAllocator};
use mc_segment::{Segment, SegmentId, SegmentInfo, SegmentPool, SegmentPoolOptions};
use mc_store::{ObjectStore, PutRequest, StoreOptions};
use nix::time::{ClockId, clock_gettime};

/// `SplitMix64`: the same numbers on both sides of the boundary.
struct Generator {
    state: u64,
}

impl Generator {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = self.state;
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(end);
        u64::try_from(product >> 64).expect("the high half of a product")
    }
}

struct Store {
    allocator: SharedAllocator,
    live: Vec<Handle>,
    victims: Generator,
    /// 0 evicts one object per refusal.
    evicted_percent: u64,
    refusals: usize,
}

impl Store {
    fn put(&mut self, size: u64) {
        let handle = loop {
            match self.allocator.allocate(size) {
                Ok(handle) => break handle,
                Err(_) => {
                    self.refusals += 1;
                    self.evict();
                }
            }
        };
        self.live.push(handle);
    }

    fn evict(&mut self) {
        let evicted = self.live.len() as u64 * self.evicted_percent / 100;
        for _ in 0..evicted.max(1) {
            let victim = self.victims.below(self.live.len() as u64);
            drop(
                self.live
                    .swap_remove(usize::try_from(victim).expect("an index")),
            );
        }
    }
}

/// Returns the time that this thread has had on a core: what others do matters less.
fn processor_time() -> Result<Duration, Box<dyn Error>> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

fn run(
    name: &str,
    capacity: u64,
    evicted_percent: u64,
    sizes: &[u64],
    warm_up: usize,
) -> Result<(), Box<dyn Error>> {
    let mut store = Store {
        allocator: SharedAllocator::new(capacity)?,
        live: Vec::with_capacity(warm_up + 1),
        victims: Generator { state: 42 },
        evicted_percent,
        refusals: 0,
    };
    sizes[..warm_up].iter().for_each(|&size| store.put(size));
    store.refusals = 0;
    let start = processor_time()?;
    sizes[warm_up..].iter().for_each(|&size| store.put(size));
    let elapsed = processor_time()? - start;
    let checksum = store.live.iter().fold(0_u64, |sum, handle| {
        sum.wrapping_mul(31).wrapping_add(handle.offset())
    });
    print(
        name,
        elapsed,
        sizes.len() - warm_up,
        store.refusals,
        checksum,
    );
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result of the program")]
fn print(name: &str, elapsed: Duration, operations: usize, refusals: usize, checksum: u64) {
    let each = operations as f64;
    let (nanoseconds, refusals) = (elapsed.as_nanos() as f64 / each, refusals as f64 / each);
    println!("{name} {nanoseconds:.2} {refusals:.4} {checksum:x}");
}

fn uniform(size: u64, operations: usize) -> Result<(), Box<dyn Error>> {
    let capacity = 2 << 30;
    let warm_up = usize::try_from(capacity / size)?;
    let sizes = vec![size; warm_up + operations];
    run(&format!("uniform-{size}"), capacity, 0, &sizes, warm_up)
}

fn random(operations: usize) -> Result<(), Box<dyn Error>> {
    let warm_up = 1000;
    let mut generator = Generator { state: 7 };
    let sizes = (0..warm_up + operations).map(|_| 1024 + generator.below((1 << 26) - 1023));
    run("random", 2 << 30, 0, &sizes.collect::<Vec<_>>(), warm_up)
}

fn paired(operations: usize) -> Result<(), Box<dyn Error>> {
    // Fills 1 TiB once.
    let warm_up = 640_000;
    let mut generator = Generator { state: 7 };
    let mut sizes = Vec::new();
    while sizes.len() < warm_up + operations {
        let pairs = usize::try_from(1 + generator.below(128))?;
        sizes.extend(iter::repeat_n(3_274_752, pairs));
        sizes.extend(iter::repeat_n(658_432, pairs));
    }
    run("paired", 1 << 40, 5, &sizes, warm_up)
}

/// What each of the others has per eviction: a request that a full range refuses.
fn refusal(operations: usize) -> Result<(), Box<dyn Error>> {
    let allocator = SharedAllocator::new(1 << 30)?;
    let all = allocator.allocate(1 << 30)?;
    let start = processor_time()?;
    let refused = (0..operations).filter(|_| allocator.allocate(4096).is_err());
    let refused = refused.count();
    let elapsed = processor_time()? - start;
    print("refusal", elapsed, operations, refused, all.size());
    Ok(())
}

/// A get and its release, of objects that are all stored.
fn get(operations: usize) -> Result<(), Box<dyn Error>> {
    const OBJECTS: u64 = 10_000;
    let pool = SegmentPool::new(SegmentPoolOptions::default());
    let info = SegmentInfo::new(SegmentId(1), "1", 0, OBJECTS << 12);
    pool.mount(Segment::remote(info))?;
    let store = ObjectStore::new(pool, StoreOptions::default())?;
    let keys: Vec<String> = (0..OBJECTS).map(|at| format!("key/{at:08}")).collect();
    for key in &keys {
        store
            .put(key.as_bytes(), &PutRequest::new(4096))?
            .commit()?;
    }
    let mut generator = Generator { state: 7 };
    let mut found = 0;
    let start = processor_time()?;
    for _ in 0..operations {
        let key = &keys[usize::try_from(generator.below(OBJECTS))?];
        found += u64::from(store.get(key.as_bytes()).is_some());
    }
    let elapsed = processor_time()? - start;
    print("get", elapsed, operations, 0, found);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let workload = arguments.next().unwrap_or_default();
    let operations = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    match workload.as_str() {
        "random" => random(operations),
        "paired" => paired(operations),
        "refusal" => refusal(operations),
        "get" => get(operations),
        other => {
            let size = other.strip_prefix("uniform-");
            let size = size.and_then(|size| size.parse::<NonZeroU64>().ok());
            let size = size.ok_or_else(|| format!("there is no workload {other:?}"))?;
            uniform(size.get(), operations)
        }
    }
}
