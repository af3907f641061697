//! What programs rely on, stamped over this crate and the original: each claim
//! holds for both.

/// Units of the range in most tests.
const RANGE: u32 = 256 << 20;

macro_rules! claims {
    ($library:ident) => {
        mod $library {
            use std::panic::{AssertUnwindSafe, catch_unwind};

            use super::RANGE;
            use ::$library::{Allocation, Allocator, StorageReportFull, ext};

            /// Checks that no trace of earlier allocations is left.
            #[track_caller]
            fn check_whole(allocator: &mut Allocator<u32>) {
                let report = allocator.storage_report();
                assert_eq!(report.total_free_space, RANGE);
                assert_eq!(report.largest_free_region, RANGE);
                let all = allocator.allocate(RANGE).unwrap();
                assert_eq!(all.offset, 0);
                allocator.free(all);
            }

            #[test]
            fn the_index_type_follows_from_use() {
                let mut allocator = Allocator::new(RANGE);
                let block = allocator.allocate(1337).unwrap();
                let offset: u32 = block.offset;
                assert_eq!(offset, 0);
                allocator.free(block);
                let mut by_default: Allocator = allocator;
                check_whole(&mut by_default);
            }

            #[test]
            fn blocks_follow_each_other_and_merge_in_any_order() {
                let mut allocator = Allocator::new(RANGE);
                let sizes = [0, 1, 123, 1234];
                let blocks = sizes.map(|size| allocator.allocate(size).unwrap());
                assert_eq!(blocks.map(|block| block.offset), [0, 0, 1, 124]);
                for index in [2, 0, 3, 1] {
                    allocator.free(blocks[index]);
                }
                check_whole(&mut allocator);
            }

            #[test]
            fn a_freed_place_is_used_again() {
                let mut allocator = Allocator::new(RANGE);
                for _ in 0..2 {
                    let block = allocator.allocate(1337).unwrap();
                    assert_eq!(block.offset, 0);
                    allocator.free(block);
                }
                let first = allocator.allocate(1024).unwrap();
                let second = allocator.allocate(3456).unwrap();
                assert_eq!(second.offset, 1024);
                allocator.free(first);
                let first = allocator.allocate(1024).unwrap();
                assert_eq!(first.offset, 0);
                allocator.free(first);
                allocator.free(second);
                check_whole(&mut allocator);
            }

            #[test]
            fn a_hole_takes_what_fits_and_is_passed_over_by_the_rest() {
                let mut allocator = Allocator::new(RANGE);
                let hole = allocator.allocate(1024).unwrap();
                let wall = allocator.allocate(3456).unwrap();
                allocator.free(hole);
                let blocks = [2345, 456, 512].map(|size| allocator.allocate(size).unwrap());
                assert_eq!(blocks.map(|block| block.offset), [1024 + 3456, 0, 456]);
                let report = allocator.storage_report();
                assert_eq!(report.total_free_space, RANGE - 3456 - 2345 - 456 - 512);
                assert!(report.largest_free_region < report.total_free_space);
                for block in [blocks[0], blocks[1], wall, blocks[2]] {
                    allocator.free(block);
                }
                check_whole(&mut allocator);
            }

            #[test]
            fn equal_blocks_fill_the_range_and_leave_no_fragments() {
                let mut allocator = Allocator::new(RANGE);
                let mut blocks: Vec<_> = (0..256).map(|_| allocator.allocate(1 << 20)).collect();
                for (block, index) in blocks.iter().zip(0..) {
                    assert_eq!(block.unwrap().offset, index << 20);
                }
                let full = allocator.storage_report();
                assert_eq!((full.total_free_space, full.largest_free_region), (0, 0));
                assert!(allocator.allocate(1).is_none());

                // Four scattered places are refilled, four in a row become one.
                let scattered = [243, 5, 123, 95];
                let row = [151, 152, 153, 154];
                for index in scattered.into_iter().chain(row) {
                    allocator.free(blocks[index].take().unwrap());
                }
                for index in scattered {
                    blocks[index] = allocator.allocate(1 << 20);
                    assert!(blocks[index].is_some());
                }
                blocks[row[0]] = allocator.allocate(4 << 20);
                assert_eq!(blocks[row[0]].unwrap().offset, 151 << 20);
                for block in blocks.into_iter().flatten() {
                    allocator.free(block);
                }
                check_whole(&mut allocator);
            }

            #[test]
            fn the_full_report_has_256_sizes_and_counts_each_region_once() {
                let mut allocator: Allocator = Allocator::new(RANGE);
                let blocks = [1000, 50, 1000, 50, 7, 50].map(|size| allocator.allocate(size));
                for index in [0, 2, 4] {
                    allocator.free(blocks[index].unwrap());
                }
                let report: StorageReportFull = allocator.storage_report_full();
                let regions = report.free_regions;
                assert_eq!(regions.len(), 256);
                let counted = regions.iter().filter(|region| region.count > 0);
                let counted: Vec<_> = counted.map(|region| (region.size, region.count)).collect();
                // What lies behind the blocks is filed below its size.
                assert_eq!(counted, [(7, 1), (960, 2), (251_658_240, 1)]);
                assert_eq!(regions[239].size, 15 << 28);
                let empty = StorageReportFull::default();
                assert!(empty.free_regions.iter().all(|region| region.count == 0));
            }

            #[test]
            fn reports_print_their_fields() {
                let mut allocator: Allocator = Allocator::new(1024);
                assert!(allocator.allocate(1000).is_some());
                let report = "StorageReport { total_free_space: 24, largest_free_region: 24 }";
                assert_eq!(format!("{allocator:?}"), report);
                assert_eq!(format!("{:?}", allocator.storage_report()), report);
                let full = format!("{:?}", allocator.storage_report_full());
                let begin = "StorageReportFull { free_regions: [StorageReportFullRegion { size: 0,";
                assert!(full.starts_with(begin), "{full}");
            }

            #[test]
            fn copies_of_an_allocation_are_the_allocation() {
                let mut allocator: Allocator = Allocator::new(1024);
                let mut copy: Allocation = allocator.allocate(10).unwrap();
                // The field is the program's to change.
                copy.offset += 4096;
                assert_eq!(allocator.allocation_size(copy), 10);
                allocator.free(copy);
                assert_eq!(allocator.storage_report().total_free_space, 1024);
            }

            #[test]
            fn freeing_twice_panics() {
                let mut allocator: Allocator = Allocator::new(1024);
                let block = allocator.allocate(10).unwrap();
                allocator.free(block);
                let again = catch_unwind(AssertUnwindSafe(|| allocator.free(block)));
                assert!(again.is_err());
            }

            #[test]
            fn reset_frees_everything() {
                let mut allocator = Allocator::with_max_allocs(RANGE, 10);
                while allocator.allocate(1).is_some() {}
                allocator.reset();
                check_whole(&mut allocator);
                assert_eq!((0..20).map_while(|_| allocator.allocate(1)).count(), 8);
            }

            #[test]
            fn the_limit_is_two_below_max_allocs() {
                for max_allocs in [2, 3, 4, 8, 100, 65_533] {
                    let mut allocator: Allocator = Allocator::with_max_allocs(RANGE, max_allocs);
                    let blocks: Vec<_> = std::iter::from_fn(|| allocator.allocate(1)).collect();
                    assert_eq!(blocks.len(), max_allocs as usize - 2);
                    let report = allocator.storage_report();
                    assert_eq!(
                        (report.total_free_space, report.largest_free_region),
                        (0, 0)
                    );
                    // Freeing the last merges it with the space behind, so that a node is left.
                    if let Some(&block) = blocks.last() {
                        allocator.free(block);
                        assert!(allocator.allocate(7).is_some());
                        assert!(allocator.allocate(7).is_none());
                    }
                }
            }

            #[test]
            fn u16_admits_65_531_allocations() {
                let mut allocator: Allocator<u16> = Allocator::with_max_allocs(65_535, 65_533);
                let blocks: Vec<_> = std::iter::from_fn(|| allocator.allocate(1)).collect();
                assert_eq!(blocks.len(), 65_531);
                assert_eq!(blocks[65_530].offset, 65_530);
                blocks.into_iter().for_each(|block| allocator.free(block));
                assert_eq!(allocator.storage_report().total_free_space, 65_535);
            }

            #[test]
            fn limits_that_the_index_type_cannot_number_panic() {
                for max_allocs in [0, 1, 65_534, u32::MAX] {
                    let made = catch_unwind(|| Allocator::<u16>::with_max_allocs(1, max_allocs));
                    assert!(made.is_err(), "{max_allocs}");
                }
                for max_allocs in [0, 1, u32::MAX - 1, u32::MAX] {
                    let made = catch_unwind(|| Allocator::<u32>::with_max_allocs(1, max_allocs));
                    assert!(made.is_err(), "{max_allocs}");
                }
            }

            #[test]
            fn u16_cuts_offsets_to_sixteen_bits() {
                let mut allocator: Allocator<u16> = Allocator::with_max_allocs(1 << 20, 100);
                let blocks = [65_536 + 7, 10].map(|size| allocator.allocate(size).unwrap());
                assert_eq!(blocks[1].offset, 7);
                for block in blocks {
                    allocator.free(block);
                }
                assert_eq!(allocator.storage_report().total_free_space, 1 << 20);
            }

            #[test]
            fn a_range_of_nothing_holds_nothing() {
                let mut allocator: Allocator = Allocator::new(0);
                assert!(allocator.allocate(1).is_none());
                let empty = allocator.allocate(0).unwrap();
                assert_eq!((empty.offset, allocator.allocation_size(empty)), (0, 0));
                allocator.free(empty);
                let report = allocator.storage_report();
                assert_eq!(
                    (report.total_free_space, report.largest_free_region),
                    (0, 0)
                );
            }

            #[test]
            fn allocations_of_nothing_count_and_free_once() {
                let mut allocator: Allocator = Allocator::with_max_allocs(1024, 12);
                let empties: Vec<_> = std::iter::from_fn(|| allocator.allocate(0)).collect();
                assert_eq!(empties.len(), 10);
                assert!(allocator.allocate(8).is_none());
                empties.iter().for_each(|&empty| allocator.free(empty));
                assert_eq!(allocator.storage_report().total_free_space, 1024);
                let again = catch_unwind(AssertUnwindSafe(|| allocator.free(empties[0])));
                assert!(again.is_err());
            }

            #[test]
            fn an_allocator_of_the_minimal_size_holds_the_object() {
                let powers = (0..32).map(|bit| 1u32 << bit);
                let around = powers.flat_map(|size| [size - 1, size, size + 1, size / 3 * 4]);
                for size in around.filter(|&size| size <= 15 << 28) {
                    let mut allocator: Allocator = Allocator::new(ext::min_allocator_size(size));
                    assert!(allocator.allocate(size).is_some(), "{size}");
                }
            }
        }
    };
}

claims!(offset_allocator);
claims!(original);
