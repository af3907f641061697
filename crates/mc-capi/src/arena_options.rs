//! Options of an arena, as numbers that C can give.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and one field is an array"
)]

use mc_arena::{
    ALIGN_DEFAULT, MemoryLock, NumaPolicy, PagePolicy, PageSize, PoolOptions, Population,
};

use crate::{fault::Fault, raw};

/// Reserved huge pages, else transparent ones, else base pages.
pub const MC_PAGES_PREFER: u32 = 0;
/// Reserved huge pages or an error.
pub const MC_PAGES_REQUIRED: u32 = 1;
/// Transparent huge pages, else base pages.
pub const MC_PAGES_TRANSPARENT: u32 = 2;
/// Base pages.
pub const MC_PAGES_OFF: u32 = 3;

/// All memory is there when the arena is made.
pub const MC_POPULATE_EAGER: u32 = 0;
/// Each page comes at its first touch.
pub const MC_POPULATE_LAZY: u32 = 1;
/// Memory comes by itself while the arena is in use already, from its start on.
pub const MC_POPULATE_BACKGROUND: u32 = 2;

/// Memory may be swapped.
pub const MC_LOCK_OFF: u32 = 0;
/// Memory stays in main memory.
pub const MC_LOCK_ON: u32 = 1;

/// Nodes as the policy of the process says.
pub const MC_NUMA_SYSTEM: u32 = 0;
/// On the listed nodes only.
pub const MC_NUMA_BIND: u32 = 1;
/// On the one listed node while it has memory, then elsewhere.
pub const MC_NUMA_PREFER: u32 = 2;
/// Page by page in turn over the listed nodes.
pub const MC_NUMA_INTERLEAVE: u32 = 3;
/// One contiguous segment per listed node.
pub const MC_NUMA_SEGMENTED: u32 = 4;

/// How to make an arena. `mc_arena_options_default` fills in all fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct ArenaOptions {
    /// Bytes to map, rounded up to whole pages; above 0.
    pub pool_bytes: u64,
    /// Alignment of every slice in bytes, a power of two; 64 at least.
    pub align: u64,
    /// Bytes of a huge page, a power of two; 0 chooses from what the system offers.
    pub page_bytes: u64,
    /// One of the `MC_PAGES_` constants.
    pub pages: u32,
    /// One of the `MC_POPULATE_` constants.
    pub population: u32,
    /// One of the `MC_LOCK_` constants.
    pub lock: u32,
    /// One of the `MC_NUMA_` constants.
    pub numa: u32,
    /// `numa_node_count` node numbers; null for `MC_NUMA_SYSTEM`.
    pub numa_nodes: *const u32,
    /// Nodes in the list.
    pub numa_node_count: usize,
}

/// Returns the defaults for a pool of `pool_bytes`: alignment 64, huge pages preferred, populated
/// at once, placed by the system.
///
/// Any thread may call this.
#[unsafe(no_mangle)]
pub extern "C" fn mc_arena_options_default(pool_bytes: u64) -> ArenaOptions {
    ArenaOptions {
        pool_bytes,
        align: ALIGN_DEFAULT as u64,
        page_bytes: 0,
        pages: MC_PAGES_PREFER,
        population: MC_POPULATE_EAGER,
        lock: MC_LOCK_OFF,
        numa: MC_NUMA_SYSTEM,
        numa_nodes: std::ptr::null(),
        numa_node_count: 0,
    }
}

impl ArenaOptions {
    /// Returns the options of the pool and the alignment of the arena, which checks the numbers.
    ///
    /// # Safety
    ///
    /// Unless `numa_nodes` is null, `numa_node_count` numbers begin there, and nobody writes them
    /// during the call.
    pub(crate) unsafe fn pool(&self) -> Result<(PoolOptions, usize), Fault> {
        // SAFETY: the caller's clause.
        let nodes = unsafe { raw::array(self.numa_nodes, self.numa_node_count, "numa_nodes") }?;
        let align = usize::try_from(self.align).map_err(|_| {
            let accepted = "a power of two that fits the address space";
            Fault::option("align", self.align, accepted)
        })?;
        let options = PoolOptions::new(self.pool_bytes)
            .pages(self.pages()?)
            .population(self.population()?)
            .lock(self.lock()?)
            .numa(self.numa(nodes)?)
            // A greater alignment would leave the beginning of the pool unused.
            .align(align);
        Ok((options, align))
    }

    fn pages(&self) -> Result<PagePolicy, Fault> {
        let size = match self.page_bytes {
            0 => PageSize::Auto,
            bytes => PageSize::Bytes(bytes),
        };
        match self.pages {
            MC_PAGES_PREFER => Ok(PagePolicy::Prefer(size)),
            MC_PAGES_REQUIRED => Ok(PagePolicy::Required(size)),
            MC_PAGES_TRANSPARENT => Ok(PagePolicy::Transparent),
            MC_PAGES_OFF => Ok(PagePolicy::Off),
            other => Err(Fault::option(
                "pages",
                other,
                "one of the MC_PAGES_ constants",
            )),
        }
    }

    fn population(&self) -> Result<Population, Fault> {
        match self.population {
            MC_POPULATE_EAGER => Ok(Population::EAGER),
            MC_POPULATE_LAZY => Ok(Population::Lazy),
            MC_POPULATE_BACKGROUND => Ok(Population::Background { workers: None }),
            other => Err(Fault::option(
                "population",
                other,
                "one of the MC_POPULATE_ constants",
            )),
        }
    }

    fn lock(&self) -> Result<MemoryLock, Fault> {
        match self.lock {
            MC_LOCK_OFF => Ok(MemoryLock::Swappable),
            MC_LOCK_ON => Ok(MemoryLock::Locked),
            other => Err(Fault::option(
                "lock",
                other,
                "one of the MC_LOCK_ constants",
            )),
        }
    }

    fn numa(&self, nodes: &[u32]) -> Result<NumaPolicy, Fault> {
        let node_count = |accepted| Fault::option("numa_node_count", nodes.len() as u64, accepted);
        match (self.numa, nodes) {
            (MC_NUMA_SYSTEM, []) => Ok(NumaPolicy::System),
            (MC_NUMA_SYSTEM, _) => Err(node_count("0 under MC_NUMA_SYSTEM")),
            (MC_NUMA_BIND, _) => Ok(NumaPolicy::Bind(nodes.to_vec())),
            (MC_NUMA_PREFER, &[node]) => Ok(NumaPolicy::Prefer(node)),
            (MC_NUMA_PREFER, _) => Err(node_count("1 under MC_NUMA_PREFER")),
            (MC_NUMA_INTERLEAVE, _) => Ok(NumaPolicy::Interleave(nodes.to_vec())),
            (MC_NUMA_SEGMENTED, _) => Ok(NumaPolicy::Segmented(nodes.to_vec())),
            (other, _) => Err(Fault::option(
                "numa",
                other,
                "one of the MC_NUMA_ constants",
            )),
        }
    }
}
