//! Everything a call can fail of, and the status of each.

use mc_arena::{BufferError, ConfigError, PoolError};
use mc_offset::{
    AllocError, FreeError, OptionsError, PlaceError, ResizeError, RestoreError, SlotAllocAtError,
    SlotAllocError, SlotFreeError, SlotLayoutError, SnapshotError,
};

use crate::{figures::Figures, kind::Kind, status::Status, store_fault::StoreFault};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("argument {argument} is null")]
    Null { argument: &'static str },
    #[error("argument {argument} is not aligned as its type is")]
    Misaligned { argument: &'static str },
    #[error("{option} is {value}; accepted is {accepted}")]
    Option {
        option: &'static str,
        value: u64,
        accepted: &'static str,
    },
    #[error("{option} is {value}; seconds from 0 to about 1.8e19 are accepted")]
    Seconds { option: &'static str, value: f64 },
    #[error("priority is {priority}; accepted is -128 to 127")]
    Priority { priority: i32 },
    #[error("argument {argument} is not UTF-8")]
    NotText { argument: &'static str },
    #[error("argument {argument} is empty; accepted is a path, or null for none")]
    NoPath { argument: &'static str },
    #[error("the key is not stored")]
    NotStored,
    #[error("the key was stored before")]
    Exists,
    #[error("{id:#x} names no {kind:?}: it is null, destroyed, or a handle of another kind")]
    StaleHandle { kind: Kind, id: u64 },
    #[error("2^24 handles of one kind are in use")]
    TooManyHandles,
    #[error("the token was changed since it was handed out")]
    DamagedToken,
    #[error("base {base:#x} is not a multiple of the alignment of {align} bytes")]
    BaseNotAligned { base: u64, align: u64 },
    #[error("{address:#x} lies below the base {base:#x}")]
    BelowBase { address: u64, base: u64 },
    #[error("entry {entry} ({size} bytes at {address:#x}) lies below the base {base:#x}")]
    EntryBelowBase {
        entry: usize,
        size: u64,
        address: u64,
        base: u64,
    },
    #[error(
        "no restored allocation waits for an owner: node {node}, {size} bytes at offset {offset}"
    )]
    NotClaimable { node: u64, offset: u64, size: u64 },
    #[error("no restored allocation at {address:#x} waits for an owner")]
    NothingToAdopt { address: u64 },
    #[error("the array has room for {given} of {needed} elements")]
    ArrayTooShort { needed: usize, given: usize },
    #[error("no buffer begins at {address:#x}")]
    UnknownBuffer { address: usize },
    #[error(transparent)]
    OtherProcess(#[from] mc_arena::OtherProcess),
    #[error("the kernel cannot tell this process from its children")]
    Process(#[source] std::io::Error),
    #[error(
        "the environment asks for no arena: set {}",
        mc_arena::config::POOL_SIZE_VARIABLE
    )]
    NotConfigured,
    #[error("internal error: {message}")]
    Panic { message: Box<str> },
    #[error(transparent)]
    Options(#[from] OptionsError),
    #[error(transparent)]
    Alloc(#[from] AllocError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Free(#[from] FreeError),
    #[error(transparent)]
    Resize(#[from] ResizeError),
    #[error(transparent)]
    Restore(Box<RestoreError>),
    #[error(transparent)]
    Snapshot(Box<SnapshotError>),
    #[error(transparent)]
    SlotLayout(#[from] SlotLayoutError),
    #[error(transparent)]
    SlotAlloc(#[from] SlotAllocError),
    #[error(transparent)]
    SlotAllocAt(#[from] SlotAllocAtError),
    #[error(transparent)]
    SlotFree(#[from] SlotFreeError),
    #[error(transparent)]
    Pool(Box<PoolError>),
    #[error(transparent)]
    Arena(#[from] mc_arena::ArenaError),
    #[error(transparent)]
    ArenaAlloc(#[from] mc_arena::SliceError),
    #[error(transparent)]
    Config(Box<ConfigError>),
    #[error(transparent)]
    Buffer(Box<BufferError>),
    #[error(transparent)]
    Store(Box<StoreFault>),
}

const _: () = assert!(size_of::<Fault>() <= 48, "the large errors are boxed");

impl From<RestoreError> for Fault {
    fn from(error: RestoreError) -> Self {
        Self::Restore(Box::new(error))
    }
}

impl From<SnapshotError> for Fault {
    fn from(error: SnapshotError) -> Self {
        Self::Snapshot(Box::new(error))
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        Self::Pool(Box::new(error))
    }
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}

impl From<BufferError> for Fault {
    fn from(error: BufferError) -> Self {
        Self::Buffer(Box::new(error))
    }
}

impl<E: Into<StoreFault>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Store(Box::new(error.into()))
    }
}

impl Fault {
    /// Names an option, what was given, and what it may be.
    pub(crate) fn option(
        option: &'static str,
        value: impl Into<u64>,
        accepted: &'static str,
    ) -> Self {
        Self::Option {
            option,
            value: value.into(),
            accepted,
        }
    }

    /// Returns what the caller is told.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Null { .. }
            | Self::Misaligned { .. }
            | Self::Option { .. }
            | Self::Seconds { .. }
            | Self::Priority { .. }
            | Self::NotText { .. }
            | Self::NoPath { .. }
            | Self::BaseNotAligned { .. }
            | Self::BelowBase { .. }
            | Self::SlotLayout(_)
            | Self::Arena(_) => Status::InvalidArgument,
            Self::EntryBelowBase { .. } => Status::InvalidState,
            Self::StaleHandle { .. } => Status::StaleHandle,
            Self::NotStored => Status::NotStored,
            Self::Exists => Status::Exists,
            Self::DamagedToken
            | Self::NotClaimable { .. }
            | Self::NothingToAdopt { .. }
            | Self::UnknownBuffer { .. }
            | Self::SlotFree(_)
            | Self::Free(FreeError::NotLive { .. }) => Status::NotLive,
            Self::TooManyHandles | Self::Free(FreeError::OutOfMemory) => Status::OutOfMemory,
            Self::ArrayTooShort { .. } => Status::ArrayTooShort,
            Self::NotConfigured => Status::NotConfigured,
            Self::OtherProcess(_) => Status::OtherProcess,
            Self::Process(_) => Status::System,
            Self::Config(_) => Status::InvalidEnvironment,
            Self::SlotAlloc(SlotAllocError::Exhausted { .. }) => Status::NoSpace,
            Self::Options(error) => options(error),
            Self::Alloc(error) => alloc(error),
            Self::Place(error) => place(error),
            Self::Resize(error) => resize(error),
            Self::Restore(error) => restore(error),
            Self::Snapshot(error) => snapshot(error),
            Self::SlotAllocAt(error) => slot_alloc_at(error),
            Self::Pool(error) => pool(error),
            Self::ArenaAlloc(error) => arena_alloc(error),
            Self::Buffer(error) => buffer(error),
            Self::Store(error) => error.status(),
            Self::Panic { .. } | Self::Free(_) | Self::SlotAlloc(_) => Status::Internal,
        }
    }

    /// Returns the numbers of a refusal.
    pub(crate) fn figures(&self) -> Figures {
        match *self {
            Self::Alloc(AllocError::NoHole {
                asked,
                free,
                largest_hole,
            })
            | Self::Place(PlaceError::Refused(AllocError::NoHole {
                asked,
                free,
                largest_hole,
            })) => Figures {
                asked,
                free,
                largest_hole,
                ..Figures::default()
            },
            Self::ArenaAlloc(mc_arena::SliceError::Full {
                asked_bytes,
                left_bytes,
                ..
            }) => Figures {
                asked: asked_bytes as u64,
                free: left_bytes,
                largest_hole: left_bytes,
                ..Figures::default()
            },
            Self::Store(ref error) => error.figures(),
            _ => Figures::default(),
        }
    }
}

fn options(error: &OptionsError) -> Status {
    match error {
        OptionsError::OutOfMemory => Status::OutOfMemory,
        _ => Status::InvalidArgument,
    }
}

fn alloc(error: &AllocError) -> Status {
    match error {
        AllocError::ZeroSize | AllocError::AlignNotPowerOfTwo { .. } | AllocError::ZeroExtents => {
            Status::InvalidArgument
        }
        AllocError::TooLarge { .. } => Status::TooLarge,
        AllocError::NoHole { .. } => Status::NoSpace,
        AllocError::LimitReached { .. } => Status::LimitReached,
        AllocError::OutOfMemory => Status::OutOfMemory,
        _ => Status::Internal,
    }
}

fn place(error: &PlaceError) -> Status {
    match error {
        PlaceError::OffGranule { .. } | PlaceError::OutOfRange { .. } => Status::InvalidArgument,
        PlaceError::Occupied { .. } => Status::Occupied,
        PlaceError::Refused(error) => alloc(error),
        _ => Status::Internal,
    }
}

fn resize(error: &ResizeError) -> Status {
    match error {
        ResizeError::ZeroSize => Status::InvalidArgument,
        ResizeError::NoRoom { .. } => Status::NoSpace,
        ResizeError::Refused(FreeError::NotLive { .. }) => Status::NotLive,
        ResizeError::Refused(FreeError::OutOfMemory) => Status::OutOfMemory,
        _ => Status::Internal,
    }
}

fn restore(error: &RestoreError) -> Status {
    match error {
        RestoreError::Options(error) => options(error),
        RestoreError::OutOfMemory => Status::OutOfMemory,
        _ => Status::InvalidState,
    }
}

fn snapshot(error: &SnapshotError) -> Status {
    match error {
        SnapshotError::OutOfMemory | SnapshotError::Contents(RestoreError::OutOfMemory) => {
            Status::OutOfMemory
        }
        _ => Status::InvalidState,
    }
}

fn slot_alloc_at(error: &SlotAllocAtError) -> Status {
    match error {
        SlotAllocAtError::OutOfRange { .. } => Status::InvalidArgument,
        SlotAllocAtError::Live { .. } | SlotAllocAtError::Promised { .. } => Status::Occupied,
        _ => Status::Internal,
    }
}

fn pool(error: &PoolError) -> Status {
    match error {
        PoolError::ZeroSize
        | PoolError::SizeOverflow { .. }
        | PoolError::InvalidAlign { .. }
        | PoolError::InvalidPageSize { .. }
        | PoolError::NoNodes
        | PoolError::NodeWithoutMemory { .. }
        | PoolError::OutOfRange { .. }
        | PoolError::UnknownNode { .. } => Status::InvalidArgument,
        PoolError::OtherProcess(_) => Status::OtherProcess,
        _ => Status::System,
    }
}

fn arena_alloc(error: &mc_arena::SliceError) -> Status {
    use mc_arena::SliceError;
    match error {
        SliceError::ZeroSize | SliceError::InvalidAlign { .. } => Status::InvalidArgument,
        SliceError::Overflow { .. } => Status::TooLarge,
        SliceError::Full { .. } => Status::NoSpace,
        SliceError::OtherProcess(_) => Status::OtherProcess,
        _ => Status::Internal,
    }
}

fn buffer(error: &BufferError) -> Status {
    match error {
        BufferError::Config(_) => Status::InvalidEnvironment,
        BufferError::ArenaPool(error) | BufferError::Direct { source: error, .. } => pool(error),
        BufferError::Arena(_) => Status::InvalidArgument,
        BufferError::ParentWasSettingUp => Status::OtherProcess,
        BufferError::Request(error) => arena_alloc(error),
        _ => Status::Internal,
    }
}
