//! Pure readers of the kernel's text files: meminfo, smaps, `numa_maps` and lists.
//!
//! No function here opens a file; each takes the text, so that tests feed literal text. What a file
//! lacks is an error that names the file and the missing line, never a default.

use std::{collections::BTreeMap, ops::Range};

/// A kernel text file without something it should contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} has no usable `{wanted}` line; mount the kernel's own file there")]
#[non_exhaustive]
pub struct MissingLine {
    /// The file, by its path under the system root.
    pub file: &'static str,
    /// The field that was looked for.
    pub wanted: &'static str,
}

/// What smaps says about a range of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RangeFacts {
    /// Size of the pages the kernel maps the range with; the smallest, if it is mapped in parts.
    pub(crate) kernel_page_bytes: u64,
    /// Bytes backed by memory, reserved huge pages included.
    pub(crate) resident_bytes: u64,
    /// Bytes of `resident_bytes` in transparent huge pages.
    pub(crate) transparent_bytes: u64,
}

/// Returns the value of a `Name:  123 kB` line of meminfo, in bytes.
pub(crate) fn meminfo_bytes(text: &str, name: &'static str) -> Result<u64, MissingLine> {
    let missing = MissingLine {
        file: "/proc/meminfo",
        wanted: name,
    };
    text.lines()
        .find_map(|line| field_bytes(line, name))
        .ok_or(missing)
}

/// Returns what smaps says about `range`, summed over the mappings that overlap it.
///
/// The kernel merges neighbours of equal kind, so a mapping may reach beyond `range`; sums are
/// therefore capped by the length of the range.
pub(crate) fn smaps_range(text: &str, range: &Range<usize>) -> Result<RangeFacts, MissingLine> {
    const FILE: &str = "/proc/self/smaps";
    let mut facts = RangeFacts {
        kernel_page_bytes: u64::MAX,
        ..RangeFacts::default()
    };
    let mut is_inside = false;
    let mut mappings = 0;
    let mut page_lines = 0;
    for line in text.lines() {
        if let Some(mapped) = mapping_header(line) {
            is_inside = mapped.start < range.end && range.start < mapped.end;
            mappings += usize::from(is_inside);
            continue;
        }
        if !is_inside {
            continue;
        }
        if let Some(bytes) = field_bytes(line, "KernelPageSize") {
            facts.kernel_page_bytes = facts.kernel_page_bytes.min(bytes);
            page_lines += 1;
        }
        for name in ["Rss", "Private_Hugetlb", "Shared_Hugetlb"] {
            facts.resident_bytes += field_bytes(line, name).unwrap_or(0);
        }
        for name in ["AnonHugePages", "ShmemPmdMapped"] {
            facts.transparent_bytes += field_bytes(line, name).unwrap_or(0);
        }
    }
    if mappings == 0 {
        return Err(MissingLine {
            file: FILE,
            wanted: "start-end of the pool",
        });
    }
    if page_lines < mappings {
        return Err(MissingLine {
            file: FILE,
            wanted: "KernelPageSize",
        });
    }
    let len = range.len() as u64;
    facts.resident_bytes = facts.resident_bytes.min(len);
    facts.transparent_bytes = facts.transparent_bytes.min(len);
    Ok(facts)
}

/// Returns the bytes of the mappings starting in `range` that each node holds, from `numa_maps`.
///
/// A mapping of a pool touches no other, so that none reaches beyond the range. Lines without a page
/// size, of kernels that do not write it, count pages of `base_page_bytes`.
pub(crate) fn numa_maps_range(
    text: &str,
    range: &Range<usize>,
    base_page_bytes: u64,
) -> BTreeMap<u32, u64> {
    let mut nodes = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let start = words
            .next()
            .and_then(|word| usize::from_str_radix(word, 16).ok());
        if start.is_none_or(|start| !range.contains(&start)) {
            continue;
        }
        let page_kib = words
            .clone()
            .find_map(|word| word.strip_prefix("kernelpagesize_kB=")?.parse::<u64>().ok());
        let page_bytes = page_kib.map_or(base_page_bytes, |kib| kib << 10);
        for word in words {
            let Some((node, pages)) = word.strip_prefix('N').and_then(|word| word.split_once('='))
            else {
                continue;
            };
            if let (Ok(node), Ok(pages)) = (node.parse(), pages.parse::<u64>()) {
                *nodes.entry(node).or_insert(0) += pages * page_bytes;
            }
        }
    }
    nodes
}

/// Says whether maps has a file mapped for writing, named by the major and minor number of its device and
/// its inode.
pub(crate) fn maps_has_writable(text: &str, (major, minor): (u64, u64), inode: u64) -> bool {
    let device = format!("{major:02x}:{minor:02x}");
    let inode = inode.to_string();
    text.lines().any(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let access = words.next().unwrap_or_default();
        let mut words = words.skip(1);
        access.contains('w') && words.next() == Some(&device) && words.next() == Some(&inode)
    })
}

/// Longer ranges are no list of nodes or CPUs, of which Linux counts at most 8192.
const LIST_LEN_MAX: u32 = 1 << 16;

/// Returns the numbers of a kernel list such as `0-3,8`; `None` if it is malformed.
pub(crate) fn number_list(text: &str) -> Option<Vec<u32>> {
    let mut numbers = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        if last.checked_sub(first)? >= LIST_LEN_MAX {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

fn field_bytes(line: &str, name: &str) -> Option<u64> {
    let mut words = line
        .strip_prefix(name)?
        .strip_prefix(':')?
        .split_ascii_whitespace();
    let kib = words.next()?.parse::<u64>().ok()?;
    (words.next() == Some("kB"))
        .then(|| kib.checked_mul(1024))
        .flatten()
}

fn mapping_header(line: &str) -> Option<Range<usize>> {
    let (start, end) = line.split_ascii_whitespace().next()?.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    const MEMINFO: &str =
        "MemTotal:       24611840 kB\nMemAvailable:   23068672 kB\nHugepagesize:       2048 kB\n";

    const SMAPS: &str = "\
7f0000000000-7f0000400000 rw-p 00000000 00:00 0
Size:               4096 kB
KernelPageSize:        4 kB
MMUPageSize:           4 kB
Rss:                4096 kB
AnonHugePages:      2048 kB
VmFlags: rd wr mr mw me dc dd hg
7f0000400000-7f0000600000 rw-p 00000000 00:10 77 /anon_hugepage (deleted)
KernelPageSize:     2048 kB
Rss:                   0 kB
AnonHugePages:         0 kB
Private_Hugetlb:    2048 kB
7f0000700000-7f0000800000 r--p 00000000 00:00 0
Rss:                   4 kB
";

    #[test]
    fn meminfo_is_read_in_bytes() {
        assert_eq!(meminfo_bytes(MEMINFO, "Hugepagesize"), Ok(2 << 20));
        assert_eq!(meminfo_bytes(MEMINFO, "MemTotal"), Ok(24_611_840 << 10));
    }

    #[test]
    fn meminfo_without_the_line_is_an_error() {
        let expected = MissingLine {
            file: "/proc/meminfo",
            wanted: "Hugepagesize",
        };
        for text in [
            "",
            "MemTotal: 1 kB",
            "Hugepagesize:",
            "Hugepagesize: many kB",
            "Hugepagesize: 2 MB",
        ] {
            assert_eq!(
                meminfo_bytes(text, "Hugepagesize"),
                Err(expected),
                "{text:?}"
            );
        }
    }

    #[test]
    fn smaps_is_summed_over_the_range() {
        let transparent = smaps_range(SMAPS, &(0x7f00_0000_0000..0x7f00_0040_0000)).unwrap();
        assert_eq!(transparent.kernel_page_bytes, 4096);
        assert_eq!(
            (transparent.resident_bytes, transparent.transparent_bytes),
            (4 << 20, 2 << 20)
        );
        let reserved = smaps_range(SMAPS, &(0x7f00_0040_0000..0x7f00_0060_0000)).unwrap();
        assert_eq!(
            (reserved.kernel_page_bytes, reserved.resident_bytes),
            (2 << 20, 2 << 20)
        );
    }

    #[test]
    fn smaps_of_a_merged_neighbour_is_capped() {
        let half = smaps_range(SMAPS, &(0x7f00_0000_0000..0x7f00_0010_0000)).unwrap();
        assert_eq!(
            (half.resident_bytes, half.transparent_bytes),
            (1 << 20, 1 << 20)
        );
    }

    #[test]
    fn smaps_without_the_expected_lines_is_an_error() {
        let missing = smaps_range(SMAPS, &(0x1000..0x2000)).unwrap_err();
        assert_eq!(missing.wanted, "start-end of the pool");
        let missing = smaps_range(SMAPS, &(0x7f00_0070_0000..0x7f00_0080_0000)).unwrap_err();
        assert_eq!(missing.wanted, "KernelPageSize");
        assert!(smaps_range("", &(0x1000..0x2000)).is_err());
    }

    #[test]
    fn numa_maps_is_summed_by_node() {
        let text = "7f0000000000 bind:0 anon=3 dirty=3 N0=1 N1=2 kernelpagesize_kB=2048\n\
                    7f0000600000 default anon=5 N1=5 kernelpagesize_kB=4\n\
                    7f0000800000 default anon=9 N0=9 kernelpagesize_kB=4\n";
        let nodes = numa_maps_range(text, &(0x7f00_0000_0000..0x7f00_0080_0000), 4096);
        assert_eq!(
            nodes,
            BTreeMap::from([(0, 2 << 20), (1, (4 << 20) + (20 << 10))])
        );
        let unsized_pages = "7f0000000000 default anon=3 N0=3\n";
        let nodes = numa_maps_range(unsized_pages, &(0x7f00_0000_0000..0x7f00_0080_0000), 65536);
        assert_eq!(nodes, BTreeMap::from([(0, 3 << 16)]));
    }

    #[test]
    fn a_writable_mapping_is_found_by_its_file() {
        let text = "7f00a000-7f00b000 r--s 00000000 00:01 2050 /memfd:mc-arena (deleted)\n\
                    7f00b000-7f00c000 rw-s 00001000 fd:1a 77 /w\n\
                    7f00c000-7f00d000 rw-p 00000000 00:00 0\n";
        assert!(maps_has_writable(text, (0xfd, 0x1a), 77));
        for (device, inode) in [((0, 1), 2050), ((0xfd, 0x1a), 7), ((0xfd, 1), 77)] {
            assert!(!maps_has_writable(text, device, inode), "{inode}");
        }
    }

    #[test]
    fn lists_are_expanded() {
        assert_eq!(number_list("0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(number_list("\n"), Some(vec![]));
        assert_eq!(number_list("0-x"), None);
        assert_eq!(number_list("3-1,0"), None);
    }
}
