//! Contract of memory that was mapped elsewhere, and of ranges that a device has.

use std::{
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use mc_arena::{
    Arena, ClaimError, Contents, PagePolicy, Pool, PoolBytes, PoolError, PoolOptions, Tier,
};

use crate::support::exit_code_of_child;

/// Memory of another library, which notes when it is given back.
struct Pinned {
    bytes: Box<[u8]>,
    is_released: Arc<AtomicBool>,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.is_released.store(true, Ordering::Relaxed);
    }
}

#[expect(unsafe_code, reason = "what the constructor is for")]
fn pinned(len: usize) -> (Result<Pool, PoolError>, Arc<AtomicBool>) {
    let is_released = Arc::new(AtomicBool::new(false));
    let mut owner = Pinned {
        bytes: vec![9; len].into_boxed_slice(),
        is_released: Arc::clone(&is_released),
    };
    let base = NonNull::from(&mut *owner.bytes).cast();
    // SAFETY: (1) the bytes are those of the box, which the owner keeps and does not touch; it moves, and
    // they do not.
    let pool = unsafe { Pool::from_foreign(base, len, owner) };
    (pool, is_released)
}

#[test]
fn the_owner_is_dropped_last() {
    let (pool, is_released) = pinned(100_000);
    let bytes = PoolBytes::new(pool.unwrap());
    assert_eq!(bytes.pool().tier(), Tier::Foreign);
    assert_eq!(bytes.pool().contents(), Contents::Foreign);
    let reader = bytes.read(10..20).unwrap();
    assert_eq!(*reader, [9; 10]);
    bytes.write(20..30).unwrap().fill(1);
    drop(bytes);
    assert!(
        !is_released.load(Ordering::Relaxed),
        "a guard still needs it"
    );
    drop(reader);
    assert!(is_released.load(Ordering::Relaxed));
}

#[test]
fn an_arena_over_foreign_memory_begins_with_zeros() {
    let (pool, is_released) = pinned(100_000);
    let mut arena = Arena::new(pool.unwrap()).unwrap();
    for _ in 0..2 {
        let slice = arena.allocate(5000).unwrap();
        assert!(slice.iter().all(|&byte| byte == 0));
        slice.fill(1);
        arena.reset();
    }
    drop(arena);
    assert!(is_released.load(Ordering::Relaxed));
}

#[test]
fn no_bytes_are_no_pool() {
    let (pool, is_released) = pinned(0);
    assert!(matches!(pool, Err(PoolError::ZeroSize)));
    assert!(is_released.load(Ordering::Relaxed));
}

#[test]
fn a_child_does_not_release_what_its_parent_owns() {
    let (pool, is_released) = pinned(4096);
    let mut pool = Some(pool.unwrap());
    let code = exit_code_of_child(|| {
        drop(pool.take());
        i32::from(is_released.load(Ordering::Relaxed))
    });
    assert_eq!(code, 0);
}

#[test]
fn what_a_device_has_never_becomes_a_slice() {
    let bytes = PoolBytes::new(PoolOptions::new(8192).pages(PagePolicy::Off).map().unwrap());
    let reader = bytes.read(0..100).unwrap();
    assert!(matches!(
        bytes.lend_to_device(50..200),
        Err(ClaimError::InUse { .. })
    ));
    drop(reader);
    let device = bytes.lend_to_device(50..200).unwrap();
    assert_eq!((device.len(), device.is_empty()), (150, false));
    assert_eq!(
        device.as_mut_ptr().addr(),
        bytes.pool().as_ptr().addr() + 50
    );
    for refused in [
        bytes.read(0..51).map(drop),
        bytes.write(199..300).map(drop),
        bytes.lend_to_device(100..101).map(drop),
    ] {
        assert!(
            matches!(&refused, Err(ClaimError::OfDevice { registered, .. }) if *registered == (50..200)),
            "{refused:?}"
        );
    }
    bytes.write(0..50).unwrap();
    drop(device);
    bytes.write(0..300).unwrap();
}

#[test]
fn the_whole_pool_is_reached_before_it_is_shared() {
    let mut pool = PoolOptions::new(8192).pages(PagePolicy::Off).map().unwrap();
    pool.as_mut_slice()[8191] = 5;
    assert_eq!(pool.as_mut_ptr().cast_const(), pool.as_ptr());
    assert_eq!(PoolBytes::new(pool).read(8191..8192).unwrap()[0], 5);
}
