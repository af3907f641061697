//! Control groups: where the limits of this process are, and what they leave.
//!
//! No function here opens a file; each takes the text. A controller is looked for in both hierarchies,
//! since systems in between have some controllers in the older one and some in the unified one.

use std::path::Path;

/// Where a controller keeps the limits of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cgroup {
    pub(crate) hierarchy: Hierarchy,
    /// Where the hierarchy is mounted.
    mount: String,
    /// The group of this process, below the mount point.
    path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hierarchy {
    /// One for all controllers.
    Unified,
    /// One of the controller's own, or of a few.
    Older,
}

impl Cgroup {
    /// Returns the directories of the group of this process and of all above it that are mounted, as
    /// absolute paths, the innermost first.
    pub(crate) fn directories(&self) -> impl Iterator<Item = String> + '_ {
        Path::new(&self.path)
            .ancestors()
            .map(|path| match path.to_str() {
                Some(path) if !path.is_empty() => format!("{}/{path}", self.mount),
                _ => self.mount.clone(),
            })
    }
}

/// Returns the places to look for the limits of a controller, from `/proc/self/{cgroup,mountinfo}`.
pub(crate) fn groups_of(controller: &str, cgroup: &str, mountinfo: &str) -> Vec<Cgroup> {
    let has_controller = |list: &str| list.split(',').any(|name| name == controller);
    let group = |line: &str| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        if number == "0" && controllers.is_empty() {
            let (mount, path) = mount_of(mountinfo, path, |kind, _| kind == "cgroup2")?;
            return Some(Cgroup {
                hierarchy: Hierarchy::Unified,
                mount,
                path,
            });
        }
        let is_older = |kind: &str, options: &str| kind == "cgroup" && has_controller(options);
        let (mount, path) = has_controller(controllers)
            .then(|| mount_of(mountinfo, path, is_older))
            .flatten()?;
        Some(Cgroup {
            hierarchy: Hierarchy::Older,
            mount,
            path,
        })
    };
    cgroup.lines().filter_map(group).collect()
}

/// Returns the limit that a text states; `None` for none.
///
/// `max` is the unified hierarchy's word for no limit; the older one writes the largest page multiple
/// of a signed 64-bit number, which no machine reaches.
pub(crate) fn limit_bytes(text: &str) -> Option<u64> {
    const OLDER_UNLIMITED_FROM: u64 = 1 << 62;
    let limit = text.trim().parse::<u64>().ok()?;
    (limit < OLDER_UNLIMITED_FROM).then_some(limit)
}

/// Returns the bytes that a limit leaves; `None` without one.
pub(crate) fn left_bytes(limit: &str, usage: &str) -> Option<u64> {
    Some(limit_bytes(limit)?.saturating_sub(usage.trim().parse().unwrap_or(0)))
}

/// Returns the bytes of a group that the kernel takes back when it needs them, from its `memory.stat`:
/// what files left in memory, without what is shared memory, and its own tables.
///
/// The older hierarchy counts the groups below in lines of their own (`total_`), which are what a limit
/// is compared with.
pub(crate) fn reclaimable_bytes(stat: &str, hierarchy: Hierarchy) -> u64 {
    let prefix = match hierarchy {
        Hierarchy::Unified => "",
        Hierarchy::Older => "total_",
    };
    let line = |name: &str| {
        let value = |wanted: &str| {
            stat.lines().find_map(|line| {
                let (name, value) = line.split_once(' ')?;
                (name == wanted)
                    .then(|| value.trim().parse::<u64>().ok())
                    .flatten()
            })
        };
        value(&format!("{prefix}{name}")).or_else(|| value(name))
    };
    let of_files = match (line("active_file"), line("inactive_file")) {
        (None, None) => {
            let all = line("file").or_else(|| line("cache")).unwrap_or(0);
            all.saturating_sub(line("shmem").unwrap_or(0))
        }
        (active, inactive) => active.unwrap_or(0).saturating_add(inactive.unwrap_or(0)),
    };
    of_files.saturating_add(line("slab_reclaimable").unwrap_or(0))
}

/// Returns how the hugetlb controller spells a page size in its file names: `2MB`, `1GB`, `64KB`.
pub(crate) fn page_name(page_bytes: u64) -> String {
    match page_bytes {
        0..0x10_0000 => format!("{}KB", page_bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{}MB", page_bytes >> 20),
        _ => format!("{}GB", page_bytes >> 30),
    }
}

/// Returns the mount point of the hierarchy and the group's path below it, of the mounts that
/// `is_wanted` accepts: one that shows the group if there is one, otherwise any, whose root is then the
/// nearest to the group that can be seen.
fn mount_of(
    mountinfo: &str,
    group: &str,
    is_wanted: impl Fn(&str, &str) -> bool,
) -> Option<(String, String)> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut file_system = file_system.split(' ');
        let (kind, _, options) = (
            file_system.next()?,
            file_system.next()?,
            file_system.next()?,
        );
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (unescape(mount.next()?), unescape(mount.next()?));
        is_wanted(kind, options).then_some((point, root))
    });
    let mut any = None;
    for (point, root) in mounts {
        if let Ok(below) = Path::new(group).strip_prefix(&root) {
            return Some((point, below.to_str()?.to_owned()));
        }
        any.get_or_insert((point, String::new()));
    }
    any
}

/// Returns a path of mountinfo as it is: blanks, tabs, line ends and backslashes are written there as
/// three octal digits behind a backslash.
fn unescape(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = behind.get(..3).filter(|_| first == b'\\');
        let octal = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[3..];
            }
            None => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[track_caller]
    fn check(controller: &str, cgroup: &str, mountinfo: &str, expected: &[&[&str]]) {
        let groups = groups_of(controller, cgroup, mountinfo);
        let directories: Vec<Vec<String>> = groups
            .iter()
            .map(|group| group.directories().collect())
            .collect();
        assert_eq!(directories, expected);
    }

    #[test]
    fn controllers_are_found_in_both_hierarchies() {
        let mountinfo = "24 1 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n\
                         31 24 0:28 /docker/ab /cg/hugetlb rw - cgroup cgroup rw,hugetlb\n";
        let cgroup = "9:name=systemd:/x\n4:cpu,hugetlb:/docker/ab/job\n0::/user.slice/job\n";
        let unified: &[&str] = &[
            "/sys/fs/cgroup/user.slice/job",
            "/sys/fs/cgroup/user.slice",
            "/sys/fs/cgroup",
        ];
        let older: &[&str] = &["/cg/hugetlb/job", "/cg/hugetlb"];
        check("hugetlb", cgroup, mountinfo, &[older, unified]);
        check("memory", cgroup, mountinfo, &[unified]);
        check("memory", "", "", &[]);
    }

    #[test]
    fn a_mount_that_does_not_show_the_group_is_looked_at_from_its_root() {
        // The path is the host's, the mount a container's.
        let mountinfo = "31 24 0:28 /docker/ab /cg/memory ro - cgroup cgroup rw,memory\n";
        check(
            "memory",
            "4:memory:/docker/abc\n",
            mountinfo,
            &[&["/cg/memory"]],
        );
        let unified = "31 24 0:28 / /cg rw - cgroup2 none rw\n";
        check("memory", "0::/\n", unified, &[&["/cg"]]);
    }

    #[test]
    fn escaped_mount_points_are_read() {
        let mountinfo = "31 24 0:28 /a\\040b /mnt/my\\040cgroups\\134x rw - cgroup2 none rw\n";
        check(
            "memory",
            "0::/a b/c\n",
            mountinfo,
            &[&["/mnt/my cgroups\\x/c", "/mnt/my cgroups\\x"]],
        );
        for (field, expected) in [
            ("/plain", "/plain"),
            ("\\011\\012", "\t\n"),
            ("\\04", "\\04"),
            ("\\999", "\\999"),
            ("caf\\303\\251", "café"),
        ] {
            assert_eq!(unescape(field), expected);
        }
    }

    #[test]
    fn limits_are_what_is_left() {
        assert_eq!(left_bytes("max\n", "0\n"), None);
        assert_eq!(left_bytes("9223372036854771712", "0"), None);
        assert_eq!(left_bytes("", ""), None);
        assert_eq!(left_bytes("8388608\n", "2097152\n"), Some(6 << 20));
        assert_eq!(left_bytes("1", "2"), Some(0));
        assert_eq!(page_name(2 << 20), "2MB");
        assert_eq!(page_name(1 << 30), "1GB");
        assert_eq!(page_name(64 << 10), "64KB");
    }

    #[test]
    fn what_files_left_in_memory_can_be_taken_back() {
        let unified =
            "anon 100\nfile 90\nshmem 20\ninactive_file 30\nactive_file 35\nslab_reclaimable 7\n";
        assert_eq!(reclaimable_bytes(unified, Hierarchy::Unified), 72);
        let older = "cache 5\ninactive_file 1\nactive_file 1\ntotal_cache 90\ntotal_shmem 20\n\
                     total_inactive_file 30\ntotal_active_file 35\n";
        assert_eq!(reclaimable_bytes(older, Hierarchy::Older), 65);
        assert_eq!(
            reclaimable_bytes("file 90\nshmem 20\n", Hierarchy::Unified),
            70
        );
        assert_eq!(reclaimable_bytes("cache 90\n", Hierarchy::Older), 90);
        assert_eq!(reclaimable_bytes("", Hierarchy::Unified), 0);
    }
}
