//! Mounting again, overlaps, adopting and restoring.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use crate::common::{info, mount_sizes, pool};
use mc_segment::{
    AdoptCause, AdoptError, BufferDescriptor, ExactError, Extent, Fit, Memory, MountError,
    Mounting, PlaceRequest, PlacedBuffer, PoolRestoreError, PoolSnapshot, RegistrationLimit,
    Segment, SegmentField, SegmentId, SegmentInfo, SegmentPool, SegmentState, Strategy,
};

fn whole_info() -> SegmentInfo {
    let mut info = info(1, 1 << 20);
    info.host = "host".to_owned();
    info.endpoint = "10.0.0.1:9000".to_owned();
    info.protocol = "rdma".to_owned();
    info.options.granule = 64;
    info.options.fit = Fit::GOOD;
    info.options.max_allocations = Some(1000);
    info.options.registration = Some(RegistrationLimit {
        max_bytes: 1 << 18,
        align: 4096,
    });
    info
}

#[test]
fn mounting_again_compares_every_field_and_names_the_one_that_differs() {
    let pool = pool(Strategy::Random, 0);
    let id = SegmentId(1);
    assert_eq!(
        pool.mount(Segment::remote(whole_info())),
        Ok(Mounting::Mounted)
    );
    let again = Mounting::AlreadyMounted(SegmentState::Ok);
    assert_eq!(pool.mount(Segment::remote(whole_info())), Ok(again));
    pool.drain(id).unwrap();
    let again = Mounting::AlreadyMounted(SegmentState::Draining);
    assert_eq!(pool.mount(Segment::remote(whole_info())), Ok(again));

    type Change = fn(&mut SegmentInfo);
    let changes: [(SegmentField, Change); 10] = [
        (SegmentField::Name, |info| info.name.push('x')),
        (SegmentField::Host, |info| info.host.clear()),
        (SegmentField::Endpoint, |info| info.endpoint.push('1')),
        (SegmentField::Protocol, |info| {
            info.protocol = "tcp".to_owned();
        }),
        (SegmentField::Base, |info| info.base += 4096),
        (SegmentField::Size, |info| info.size -= 4096),
        (SegmentField::Granule, |info| info.options.granule = 1),
        (SegmentField::Fit, |info| info.options.fit = Fit::Adaptive),
        (SegmentField::MaxAllocations, |info| {
            info.options.max_allocations = None;
        }),
        (SegmentField::Registration, |info| {
            info.options.registration = None;
        }),
    ];
    for (field, change) in changes {
        let mut info = whole_info();
        change(&mut info);
        let refused = pool.mount(Segment::remote(info));
        assert_eq!(refused, Err(MountError::Differs { id, field }));
    }
    assert_eq!(pool.state(id), Some(SegmentState::Draining));
}

#[test]
fn ranges_on_one_endpoint_may_touch_and_not_overlap() {
    let pool = pool(Strategy::Random, 0);
    let at = |id, base, size, endpoint: &str| {
        Segment::remote(SegmentInfo {
            endpoint: endpoint.to_owned(),
            ..SegmentInfo::new(SegmentId(id), "one", base, size)
        })
    };
    assert!(pool.mount(at(1, 1000, 100, "a")).is_ok());
    for (base, size) in [(1000, 100), (900, 101), (1099, 1), (1050, 10), (0, 5000)] {
        assert_eq!(
            pool.mount(at(2, base, size, "a")),
            Err(MountError::Overlap {
                id: SegmentId(2),
                base,
                size,
                other: SegmentId(1),
                other_base: 1000,
                other_size: 100
            })
        );
    }
    assert!(pool.mount(at(2, 1100, 10, "a")).is_ok());
    assert!(pool.mount(at(3, 900, 100, "a")).is_ok());
    assert!(pool.mount(at(4, 1000, 100, "b")).is_ok());
    assert_eq!(pool.segments().len(), 4, "one name, four segments");
    // The range is taken until the unmount is finished.
    pool.begin_unmount(SegmentId(1)).unwrap();
    assert!(pool.mount(at(5, 1000, 1, "a")).is_err());
    pool.finish_unmount(SegmentId(1)).unwrap();
    assert!(pool.mount(at(5, 1000, 1, "a")).is_ok());
}

#[test]
fn what_cannot_be_mounted_is_refused_with_the_values() {
    let pool = pool(Strategy::Random, 0);
    let refused = |change: fn(&mut SegmentInfo)| {
        let mut info = whole_info();
        change(&mut info);
        let error = pool.mount(Segment::remote(info)).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
    };
    let id = "segment 00000000000000000000000000000001";
    assert_eq!(
        refused(|info| info.base = u64::MAX - 63),
        format!("{id}: 1048576 bytes at 18446744073709551552 pass the end of the address space")
    );
    assert_eq!(
        refused(|info| info.base = 100),
        format!("{id}: base 100 is not a multiple of the granule of 64 bytes")
    );
    // Each part that is registered by itself has a granule's multiple of bytes.
    assert_eq!(
        refused(|info| info.options.granule = 3),
        format!(
            "{id}: no allocator fits the options: the capacity of 262144 bytes is not a multiple of the granule of 3"
        )
    );
    assert_eq!(
        refused(|info| {
            info.size = 0;
            info.options.registration = None;
        }),
        format!(
            "{id}: no allocator fits the options: the capacity is 0 bytes; at least one granule is needed"
        )
    );
    assert_eq!(
        refused(|info| {
            let limit = info.options.registration.as_mut();
            limit.unwrap().max_bytes = 100;
        }),
        format!(
            "{id}: the limit cuts it into no registrations: \
             a registration limit of 100 bytes is below the alignment of 4096"
        )
    );
    assert!(pool.segments().is_empty());
}

/// Fills a pool and frees every third buffer.
fn fragmented(pool: &SegmentPool) -> Vec<PlacedBuffer> {
    let mut buffers = Vec::new();
    for size in (1..).map(|round| 1 + round * 7919 % 5000) {
        let request = PlaceRequest {
            max_extents: 3,
            ..PlaceRequest::new(size)
        };
        match pool.place(&request) {
            Ok(placed) => buffers.extend(placed),
            Err(_) => break,
        }
    }
    let mut count = 0;
    buffers.retain(|_| {
        count += 1;
        count % 3 != 0
    });
    buffers
}

fn two_segments() -> SegmentPool {
    let pool = pool(Strategy::Random, 7);
    pool.mount(Segment::remote(whole_info())).unwrap();
    pool.mount(Segment::remote(info(2, 300_000))).unwrap();
    pool
}

#[test]
fn descriptors_are_adopted_in_any_order_after_a_restore() {
    let pool = two_segments();
    let buffers = fragmented(&pool);
    pool.drain(SegmentId(2)).unwrap();
    let mut descriptors: Vec<_> = buffers.iter().map(PlacedBuffer::descriptor).collect();
    descriptors.reverse();
    descriptors.rotate_left(13);
    let text = serde_json::to_string(&(pool.snapshot(), &descriptors)).unwrap();

    let (snapshot, read): (PoolSnapshot, Vec<BufferDescriptor>) =
        serde_json::from_str(&text).unwrap();
    assert_eq!(read, descriptors);
    let restored = SegmentPool::restore(&snapshot, |_| Memory::Remote).unwrap();
    assert_eq!(restored.snapshot(), pool.snapshot());
    assert_eq!(restored.state(SegmentId(2)), Some(SegmentState::Draining));
    let adopted = restored.adopt(&read).unwrap();
    assert_eq!(adopted.len(), descriptors.len());
    for (buffer, descriptor) in adopted.iter().zip(&descriptors) {
        assert_eq!(buffer.descriptor(), *descriptor);
    }
    let (before, after) = (pool.stats().total, restored.stats().total);
    assert_eq!(
        (before.live_bytes, before.free_bytes, before.holes),
        (after.live_bytes, after.free_bytes, after.holes)
    );
    drop(adopted);
    let empty = restored.stats().total;
    assert_eq!(empty.free_bytes, empty.capacity, "no filler is left");
}

#[test]
fn a_descriptor_that_does_not_fit_is_named_and_none_is_adopted() {
    let pool = two_segments();
    let buffers = fragmented(&pool);
    let good: Vec<_> = buffers.iter().map(PlacedBuffer::descriptor).collect();
    drop(buffers);
    let refused = |change: &dyn Fn(&mut BufferDescriptor)| {
        let mut descriptors = good.clone();
        let position = descriptors.len() / 2;
        change(&mut descriptors[position]);
        let error = pool.adopt(&descriptors).unwrap_err();
        assert_eq!(error.position, position);
        let total = pool.stats().total;
        assert_eq!(total.free_bytes, total.capacity, "{error:?}");
        error.cause
    };
    let id = SegmentId(9);
    assert_eq!(
        refused(&|one| one.segment = id),
        AdoptCause::Extent(ExactError::NotMounted { id })
    );
    assert!(matches!(
        refused(&|one| one.protocol.push('x')),
        AdoptCause::Differs {
            field: SegmentField::Protocol,
            ..
        }
    ));
    assert!(matches!(
        refused(&|one| one.endpoint.push('x')),
        AdoptCause::Differs {
            field: SegmentField::Endpoint,
            ..
        }
    ));
    assert_eq!(refused(&|one| one.extents.clear()), AdoptCause::NoExtents);
    assert!(matches!(
        refused(&|one| one.address += 64),
        AdoptCause::AddressMismatch { .. }
    ));
    assert!(matches!(
        refused(&|one| one.size += 1),
        AdoptCause::SizeMismatch { .. }
    ));
    let other = good[0].clone();
    assert!(matches!(
        refused(&|one| *one = other.clone()),
        AdoptCause::Extent(ExactError::Occupied { .. })
    ));
    assert_eq!(
        pool.adopt(&[good[0].clone()]).unwrap().len(),
        1,
        "the others are well"
    );
}

/// A buffer of one piece in the first segment of [`two_segments`].
fn descriptor(address: u64, size: u64) -> BufferDescriptor {
    BufferDescriptor {
        segment: SegmentId(1),
        epoch: 0,
        protocol: "rdma".to_owned(),
        endpoint: "10.0.0.1:9000".to_owned(),
        address,
        size,
        extents: Vec::from([Extent { address, size }]),
    }
}

#[test]
fn descriptors_outside_the_segment_are_refused() {
    let pool = two_segments();
    let base = whole_info().base;
    let end = base + (1 << 20);
    for (address, size) in [(base - 64, 64), (end - 64, 65), (end, 64), (base, u64::MAX)] {
        let refused = pool.adopt(&[descriptor(address, size)]).unwrap_err();
        assert_eq!(
            refused.cause,
            AdoptCause::Extent(ExactError::OutOfSegment {
                id: SegmentId(1),
                address,
                size,
                base,
                segment_size: 1 << 20
            })
        );
    }
    assert!(pool.adopt(&[descriptor(end - 64, 64)]).is_ok());
}

#[test]
fn extents_stay_within_a_registration() {
    let pool = two_segments();
    let border = whole_info().base + (1 << 18);
    let refused = pool.place_at(SegmentId(1), border - 64, 128);
    assert_eq!(
        refused.unwrap_err(),
        ExactError::Straddles {
            address: border - 64,
            size: 128,
            border
        }
    );
    let piece = |address| Extent { address, size: 64 };
    let scattered = BufferDescriptor {
        extents: Vec::from([piece(border - 64), piece(border)]),
        ..descriptor(border - 64, 128)
    };
    assert_eq!(
        pool.adopt(&[scattered]).unwrap_err(),
        AdoptError {
            position: 0,
            cause: AdoptCause::Scattered {
                address: border - 64,
                other_address: border
            }
        }
    );
    let off_granule = pool.place_at(SegmentId(1), border + 1, 64).unwrap_err();
    assert_eq!(
        off_granule,
        ExactError::OffGranule {
            address: border + 1,
            granule_bytes: 64
        }
    );
    let _held = pool.place_at(SegmentId(1), border, 64).unwrap();
    assert_eq!(
        pool.place_at(SegmentId(1), border, 128).unwrap_err(),
        ExactError::Occupied {
            address: border,
            size: 128,
            other_address: border,
            other_size: 64
        }
    );
}

#[test]
fn a_segment_is_mounted_with_its_buffers_or_not_at_all() {
    let old = two_segments();
    let buffers = fragmented(&old);
    let in_first = buffers
        .iter()
        .filter(|one| one.segment_id() == SegmentId(1));
    let descriptors: Vec<_> = in_first.map(PlacedBuffer::descriptor).collect();

    let pool = pool(Strategy::Random, 0);
    mount_sizes(&pool, &[]);
    let mut broken = descriptors.clone();
    broken[5].segment = SegmentId(2);
    let refused = pool
        .mount_with(Segment::remote(whole_info()), &broken)
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the buffers of the segment cannot be adopted"
    );
    assert!(pool.segments().is_empty());

    let (mounting, adopted) = pool
        .mount_with(Segment::remote(whole_info()), &descriptors)
        .unwrap();
    assert_eq!(mounting, Mounting::Mounted);
    assert_eq!(adopted.len(), descriptors.len());
    for (buffer, descriptor) in adopted.iter().zip(&descriptors) {
        assert_eq!(buffer.descriptor(), *descriptor);
    }
    assert!(
        pool.mount_with(Segment::remote(whole_info()), &[]).is_err(),
        "it is mounted"
    );
    assert_eq!(pool.segments().len(), 1);
}

#[test]
fn snapshots_that_describe_no_pool_are_refused() {
    let snapshot = two_segments().snapshot();
    let restore = |snapshot: &PoolSnapshot| {
        SegmentPool::restore(snapshot, |_| Memory::Remote).map(|pool| pool.snapshot())
    };
    assert_eq!(restore(&snapshot).unwrap(), snapshot);
    let newer = PoolSnapshot {
        version: 2,
        ..snapshot.clone()
    };
    assert_eq!(
        restore(&newer).unwrap_err(),
        PoolRestoreError::UnknownVersion {
            version: 2,
            supported: 1
        }
    );
    let mut twice = snapshot.clone();
    twice.segments.push(twice.segments[0].clone());
    assert_eq!(
        restore(&twice).unwrap_err(),
        PoolRestoreError::Duplicate {
            position: 2,
            id: SegmentId(1)
        }
    );
    let mut overlapping = snapshot.clone();
    overlapping.segments[1].info = SegmentInfo {
        id: SegmentId(3),
        ..whole_info()
    };
    assert!(matches!(
        restore(&overlapping).unwrap_err(),
        PoolRestoreError::Segment {
            position: 1,
            source: MountError::Overlap { .. }
        }
    ));
    let text = serde_json::to_string(&snapshot).unwrap();
    for cut in 0..text.len() {
        assert!(serde_json::from_str::<PoolSnapshot>(&text[..cut]).is_err());
    }
}

proptest::proptest! {
    #[test]
    fn registrations_cover_every_byte_within_the_limit(
        base in 0..1_u64 << 40,
        size in 1..1_u64 << 30,
        align_log2 in 0..22_u32,
        factor in 1..1000_u64,
        excess in 0..4096_u64,
    ) {
        let align = 1 << align_log2;
        let max_bytes = align * factor + excess % align;
        let limit = RegistrationLimit { max_bytes, align };
        let Ok(chunks) = mc_segment::registration_chunks(base, size, limit) else {
            proptest::prop_assert!(size / (max_bytes - max_bytes % align) > 1 << 16);
            return Ok(());
        };
        proptest::prop_assert_eq!(chunks[0].start, base);
        proptest::prop_assert_eq!(chunks[chunks.len() - 1].end, base + size);
        for pair in chunks.windows(2) {
            proptest::prop_assert_eq!(pair[0].end, pair[1].start);
            proptest::prop_assert_eq!(pair[0].end % align, 0);
        }
        for chunk in &chunks {
            proptest::prop_assert!(!chunk.is_empty() && chunk.end - chunk.start <= max_bytes);
        }
        // No fewer would do: two neighbors never fit into one, but at the ends.
        let least = size.div_ceil(max_bytes);
        proptest::prop_assert!(chunks.len() as u64 >= least);
    }
}
