//! Types without values: a program compiles with them, and learns at run time that it gets none.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    env::consts::{ARCH, OS},
    ops::{Deref, DerefMut, Range},
    ptr::NonNull,
};

use crate::{
    error::{PoolError, ReleaseError},
    numa::NodeSegment,
    options::PoolOptions,
    pages::Tier,
    unsupported::{claims::ClaimError, contents::Contents, process::Process},
};

/// An owned region of memory, which there is none of on this system.
#[derive(Debug)]
pub struct Pool(Infallible);

/// What the kernel says about the memory behind a pool.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Residency {
    /// Size of the pages the kernel maps the pool with.
    pub kernel_page_bytes: u64,
    /// Bytes backed by memory.
    pub resident_bytes: u64,
    /// Bytes in huge pages.
    pub huge_bytes: u64,
    /// Bytes per NUMA node.
    pub node_bytes: BTreeMap<u32, u64>,
}

/// Whether a new pool reads back what it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    Skipped,
}

/// The bytes of a pool.
#[derive(Clone, Debug)]
pub struct PoolBytes(Infallible);

/// Bytes of a pool that nobody writes meanwhile.
#[derive(Debug)]
pub struct ReadBytes(Infallible);

/// Bytes of a pool that nobody else reads or writes meanwhile.
#[derive(Debug)]
pub struct WriteBytes(Infallible);

/// Bytes of a pool that a device has.
#[derive(Debug)]
pub struct DeviceBytes(Infallible);

/// A read-only view of a shared pool that another process owns.
#[derive(Debug)]
pub struct SharedView(Infallible);

/// Why a descriptor could not be mapped as a view of another process's pool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// There are no shared pools on this system.
    #[error("memory pools need Linux on a 64-bit machine")]
    Unsupported,
}

#[derive(Debug)]
pub(crate) struct OwnedBytes(Infallible);

fn unsupported() -> PoolError {
    PoolError::Unsupported { os: OS, arch: ARCH }
}

impl PoolOptions {
    /// Refuses: pools need Linux on a 64-bit machine.
    ///
    /// # Errors
    ///
    /// [`PoolError::Unsupported`].
    pub fn map(&self) -> Result<Pool, PoolError> {
        Err(unsupported())
    }
}

/// Declares methods that nobody can call, because there is no value to call them on.
macro_rules! none {
    ($type:ident { $($(#[$doc:meta])* $visibility:vis fn $name:ident(
        &$this:ident $(, $argument:ident: $kind:ty)*) $(-> $result:ty)?;)* }) => {
        #[expect(
            clippy::missing_errors_doc,
            clippy::len_without_is_empty,
            clippy::must_use_candidate,
            reason = "nobody calls these"
        )]
        impl $type {
            $($(#[$doc])*
            $visibility fn $name(&$this $(, $argument: $kind)*) $(-> $result)? {
                $(let _ = $argument;)*
                match $this.0 {}
            })*
        }
    };
}

none! { Pool {
    #[doc = "Length in bytes."]
    pub fn len(&self) -> usize;
    #[doc = "Address of the first byte."]
    pub fn as_ptr(&self) -> *const u8;
    #[doc = "Address of the first byte."]
    pub fn as_mut_ptr(&self) -> *mut u8;
    #[doc = "Whether an address lies inside the pool."]
    pub fn owns(&self, address: *const u8) -> bool;
    #[doc = "The process that has the pool."]
    pub fn process(&self) -> &Process;
    #[doc = "Incarnation of the bytes."]
    pub fn epoch(&self) -> Option<u64>;
    #[doc = "What the pool held when it was made."]
    pub fn contents(&self) -> Contents;
    #[doc = "Whether the bytes are there."]
    pub fn check(&self) -> Result<(), ClaimError>;
    #[doc = "The pages obtained."]
    pub fn tier(&self) -> Tier;
    #[doc = "Bytes of a page."]
    pub fn page_bytes(&self) -> usize;
    #[doc = "What the kernel said about the pool."]
    pub fn residency(&self) -> Option<&Residency>;
    #[doc = "What backs the pool now."]
    pub fn read_residency(&self) -> Result<Residency, PoolError>;
    #[doc = "Bytes that have their memory."]
    pub fn ready_bytes(&self) -> usize;
    #[doc = "Waits for the population."]
    pub fn wait_populated(&self) -> Result<(), PoolError>;
    #[doc = "Backs a range with memory."]
    pub fn populate(&self, range: Range<usize>) -> Result<(), PoolError>;
    #[doc = "The node of each part."]
    pub fn segments(&self) -> &[NodeSegment];
    #[doc = "Why better pages were not to be had."]
    pub fn degradations(&self) -> &[PoolError];
} }

impl Pool {
    /// All bytes.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        match self.0 {}
    }

    pub(crate) fn zero_prefix(&mut self, len: usize) {
        let _ = len;
        match self.0 {}
    }

    /// Refuses, and drops `owner`.
    ///
    /// # Errors
    ///
    /// [`PoolError::Unsupported`].
    ///
    /// # Safety
    ///
    /// None is needed.
    #[expect(unsafe_code, reason = "the signature of the systems that have pools")]
    pub unsafe fn from_foreign(
        base: NonNull<u8>,
        len: usize,
        owner: impl Send + Sync + 'static,
    ) -> Result<Self, PoolError> {
        let _ = (base, len, owner);
        Err(unsupported())
    }

    pub(crate) fn map_tiers(_: &PoolOptions, _: Verification) -> Result<Self, PoolError> {
        Err(unsupported())
    }

    pub(crate) fn into_bytes(self) -> OwnedBytes {
        match self.0 {}
    }
}

none! { PoolBytes {
    #[doc = "Lends a range to a reader."]
    pub fn read(&self, range: Range<usize>) -> Result<ReadBytes, ClaimError>;
    #[doc = "Lends a range to a writer."]
    pub fn write(&self, range: Range<usize>) -> Result<WriteBytes, ClaimError>;
    #[doc = "Lends a range to a device."]
    pub fn lend_to_device(&self, range: Range<usize>) -> Result<DeviceBytes, ClaimError>;
    #[doc = "Gives memory back to the system."]
    pub fn release(&self, range: Range<usize>) -> Result<usize, ReleaseError>;
    #[doc = "Length in bytes."]
    pub fn len(&self) -> usize;
    #[doc = "Bytes of a page."]
    pub fn page_bytes(&self) -> usize;
    #[doc = "The pool."]
    pub fn pool(&self) -> &Pool;
} }

impl PoolBytes {
    /// Takes over a pool.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        match pool.0 {}
    }
}

none! { DeviceBytes {
    #[doc = "Address of the first byte."]
    pub fn as_mut_ptr(&self) -> *mut u8;
    #[doc = "Length in bytes."]
    pub fn len(&self) -> usize;
    #[doc = "Whether there are no bytes."]
    pub fn is_empty(&self) -> bool;
} }

none! { SharedView {
    #[doc = "Length in bytes."]
    pub fn len(&self) -> usize;
    #[doc = "Address of the first byte."]
    pub fn as_ptr(&self) -> *const u8;
    #[doc = "Copies bytes out."]
    pub fn read_at(&self, offset: usize, into: &mut [u8]);
} }

none! { OwnedBytes {
    pub(crate) fn as_slice(&self) -> &[u8];
} }

impl OwnedBytes {
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        match self.0 {}
    }
}

impl Deref for ReadBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self.0 {}
    }
}

impl Deref for WriteBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self.0 {}
    }
}

impl DerefMut for WriteBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self.0 {}
    }
}

#[cfg(unix)]
impl Pool {
    /// There is no descriptor.
    #[must_use]
    pub fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        match self.0 {}
    }
}

#[cfg(unix)]
impl SharedView {
    /// Refuses.
    ///
    /// # Errors
    ///
    /// [`ViewError::Unsupported`].
    pub fn open(descriptor: impl std::os::fd::AsFd) -> Result<Self, ViewError> {
        let _ = descriptor;
        Err(ViewError::Unsupported)
    }
}
