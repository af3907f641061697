//! Names, signatures, fields and traits, stamped over this crate and the
//! original: what compiles here compiles there.

use std::{
    fmt::Debug,
    panic::{RefUnwindSafe, UnwindSafe},
};

const fn is_plain<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + 'static>() {}
const fn is_copy<T: Copy + Clone>() {}
const fn is_debug<T: Debug>() {}
const fn is_default<T: Default>() {}

macro_rules! interface {
    ($library:ident) => {
        mod $library {
            use ::$library::{
                Allocation, Allocator, NodeIndex, NodeIndexNonMax, StorageReport,
                StorageReportFull, StorageReportFullRegion, ext,
            };
            use nonmax::{NonMaxU8, NonMaxU16, NonMaxU32};

            use super::{is_copy, is_debug, is_default, is_plain};

            const _: () = {
                is_plain::<Allocator>();
                is_plain::<Allocator<u16>>();
                is_plain::<Allocation>();
                is_plain::<Allocation<u16>>();
                is_plain::<StorageReport>();
                is_plain::<StorageReportFull>();
                is_copy::<Allocation>();
                is_copy::<Allocation<u16>>();
                is_copy::<StorageReportFullRegion>();
                is_debug::<Allocator>();
                is_debug::<Allocator<u16>>();
                is_debug::<StorageReport>();
                is_debug::<StorageReportFull>();
                is_debug::<StorageReportFullRegion>();
                is_default::<StorageReportFull>();
                is_default::<StorageReportFullRegion>();
            };

            /// Names every function by its type.
            struct Functions<NI: NodeIndex> {
                new: fn(u32) -> Allocator<NI>,
                with_max_allocs: fn(u32, u32) -> Allocator<NI>,
                reset: fn(&mut Allocator<NI>),
                allocate: fn(&mut Allocator<NI>, u32) -> Option<Allocation<NI>>,
                free: fn(&mut Allocator<NI>, Allocation<NI>),
                allocation_size: fn(&Allocator<NI>, Allocation<NI>) -> u32,
                storage_report: fn(&Allocator<NI>) -> StorageReport,
                storage_report_full: fn(&Allocator<NI>) -> StorageReportFull,
                min_allocator_size: fn(u32) -> u32,
            }

            impl<NI: NodeIndex> Functions<NI> {
                const ALL: Self = Self {
                    new: Allocator::new,
                    with_max_allocs: Allocator::with_max_allocs,
                    reset: Allocator::reset,
                    allocate: Allocator::allocate,
                    free: Allocator::free,
                    allocation_size: Allocator::allocation_size,
                    storage_report: Allocator::storage_report,
                    storage_report_full: Allocator::storage_report_full,
                    min_allocator_size: ext::min_allocator_size,
                };
            }

            #[test]
            fn functions_have_these_types() {
                let all = Functions::<u32>::ALL;
                let mut allocator = (all.new)((all.min_allocator_size)(1000));
                let block = (all.allocate)(&mut allocator, 1000).unwrap();
                assert_eq!((all.allocation_size)(&allocator, block), 1000);
                (all.free)(&mut allocator, block);
                (all.reset)(&mut allocator);
                let StorageReport {
                    total_free_space,
                    largest_free_region,
                } = (all.storage_report)(&allocator);
                assert_eq!((total_free_space, largest_free_region), (1024, 1024));
                let StorageReportFull { free_regions } = (all.storage_report_full)(&allocator);
                let regions: [StorageReportFullRegion; 256] = free_regions;
                let StorageReportFullRegion { size, count } = regions[64];
                assert_eq!((size, count), (1024, 1));
                drop((Functions::<u16>::ALL.with_max_allocs)(1024, 65_533));
            }

            /// Goes through a [`NodeIndex`] and back.
            fn check_index<NI: NodeIndex>(max: u32)
            where
                <NI::NonMax as TryFrom<NI>>::Error: std::fmt::Debug,
            {
                assert_eq!(NI::MAX, max);
                assert_eq!(NI::default().to_usize(), 0);
                assert_eq!(NI::from_u32(300).to_usize(), 300);
                assert!(NI::NonMax::try_from(NI::from_u32(max)).is_err());
                let below = NI::NonMax::try_from(NI::from_u32(max - 1)).unwrap();
                assert_eq!(below.to_usize(), max as usize - 1);
                assert_eq!(below.to_string(), (max - 1).to_string());
                let back: NI = below.into();
                assert_eq!(back.to_usize(), max as usize - 1);
            }

            #[test]
            fn index_types_convert_and_leave_out_the_largest() {
                check_index::<u16>(65_535);
                check_index::<u32>(u32::MAX);
                let _same: (NonMaxU16, NonMaxU32) = (
                    <u16 as NodeIndex>::NonMax::default(),
                    <u32 as NodeIndex>::NonMax::default(),
                );
            }

            /// An index type of the program's own.
            #[derive(Clone, Copy, Default)]
            struct Byte(u8);

            #[derive(Clone, Copy, PartialEq, Default, Debug)]
            struct NonMaxByte(NonMaxU8);

            impl std::fmt::Display for NonMaxByte {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    write!(f, "{}", self.0)
                }
            }

            impl TryFrom<Byte> for NonMaxByte {
                type Error = ();

                fn try_from(byte: Byte) -> Result<Self, ()> {
                    NonMaxU8::new(byte.0).map(Self).ok_or(())
                }
            }

            impl From<NonMaxByte> for Byte {
                fn from(byte: NonMaxByte) -> Self {
                    Self(byte.0.get())
                }
            }

            impl NodeIndexNonMax for NonMaxByte {
                fn to_usize(self) -> usize {
                    self.0.get().into()
                }
            }

            impl NodeIndex for Byte {
                type NonMax = NonMaxByte;
                const MAX: u32 = 255;

                fn from_u32(val: u32) -> Self {
                    Self(val.to_le_bytes()[0])
                }

                fn to_usize(self) -> usize {
                    self.0.into()
                }
            }

            #[test]
            fn a_program_may_bring_its_own_index_type() {
                let mut allocator: Allocator<Byte> = Allocator::with_max_allocs(255, 253);
                let blocks: Vec<_> = std::iter::from_fn(|| allocator.allocate(1)).collect();
                assert_eq!(blocks.len(), 251);
                assert_eq!(blocks[250].offset.0, 250);
                blocks.into_iter().for_each(|block| allocator.free(block));
                assert_eq!(allocator.storage_report().total_free_space, 255);
            }
        }
    };
}

interface!(offset_allocator);
interface!(original);
