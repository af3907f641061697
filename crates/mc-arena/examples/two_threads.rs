//! A pool from the environment, two threads writing into slices of their own, statistics printed.
//!
//! `MC_MMAP_ARENA_POOL_SIZE=1gb MC_STORE_USE_HUGEPAGE=1 cargo run --example two_threads`

use std::{error::Error, thread};

use mc_arena::{Arena, ArenaConfig};

#[expect(clippy::print_stdout, reason = "an example shows what it found")]
fn main() -> Result<(), Box<dyn Error>> {
    // Nothing is mapped unless the operator asks for an arena and has not switched it off.
    let Some(options) = ArenaConfig::from_env()?.pool_options() else {
        println!("no arena: set MC_MMAP_ARENA_POOL_SIZE");
        return Ok(());
    };
    let arena = Arena::new(options.map()?)?;

    thread::scope(|scope| {
        for byte in [0xa1, 0xb2] {
            let arena = &arena;
            scope.spawn(move || {
                while let Ok(page) = arena.allocate(256 << 10) {
                    page.fill(byte);
                }
            });
        }
    });

    println!("{} bytes in {}", arena.pool().len(), arena.pool().tier());
    println!("{:?}", arena.stats());
    Ok(())
}
