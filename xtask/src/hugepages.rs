//! Huge pages for the tests and benchmarks that need some: reserved while a guard lives, given back
//! after.

use std::fs;

/// The system-wide number of huge pages of the default size.
const POOL: &str = "/proc/sys/vm/nr_hugepages";

/// Pages for the tests: a pool of a few pages, twice, beside what others hold.
pub(crate) const PAGES_TESTS: u64 = 16;

/// Pages for the benchmarks: a pool of 1 GiB, beside a few pages for threads or others.
pub(crate) const PAGES_BENCHMARKS: u64 = 512 + 16;

/// The only size that is reserved here; larger pages can rarely be found on a running system.
const PAGE_KIB: &str = "2048 kB";

/// Reserved huge pages; restores the former number when dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    pages_before: u64,
}

/// Reserves `wanted` huge pages, or returns in one line why there are none.
pub(crate) fn reserve(wanted: u64) -> Result<Reserved, String> {
    let meminfo = fs::read_to_string("/proc/meminfo").map_err(|error| error.to_string())?;
    let size = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("Hugepagesize:"));
    if size.map(str::trim) != Some(PAGE_KIB) {
        return Err("the default huge page is not 2 MiB".to_owned());
    }
    let pages_before = pages()?;
    let reserved = Reserved { pages_before };
    fs::write(POOL, (pages_before + wanted).to_string())
        .map_err(|error| format!("cannot write {POOL}: {error}"))?;
    // The kernel takes the number as a wish: fragmented memory yields fewer pages.
    let obtained = pages()?.saturating_sub(pages_before);
    if obtained < wanted {
        return Err(format!(
            "the kernel found {obtained} of {wanted} free huge pages"
        ));
    }
    Ok(reserved)
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // Nothing can be done about a refusal, and it harms nobody but idle memory.
        let _ = fs::write(POOL, self.pages_before.to_string());
    }
}

fn pages() -> Result<u64, String> {
    let text = fs::read_to_string(POOL).map_err(|error| format!("cannot read {POOL}: {error}"))?;
    text.trim()
        .parse()
        .map_err(|error| format!("{POOL} holds no number: {error}"))
}
