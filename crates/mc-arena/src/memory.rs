//! How much memory this process can still have, and who gets it when several ask at once.
//!
//! Key types: [`Room`], the file with the least room, and [`Admission`], through which a population takes
//! its memory step by step. The machine has a limit, and so has every control group from that of the
//! process up to the root.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{
    cgroup::{self, Cgroup, Hierarchy},
    discovery::SystemRoot,
    error::PoolError,
    mapping::OwnFile,
    procfs::{self, MissingLine},
};

/// Whoever waits for its turn looks this often whether it has come, or is not wanted any more.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// The least that any limit leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) available_bytes: u64,
    /// The file that says so.
    pub(crate) limited_by: PathBuf,
}

impl Room {
    /// Reads the limits as they are now. Files of control groups that are not there limit nothing.
    pub(crate) fn read(root: &SystemRoot) -> Result<Self, MissingLine> {
        const MEMINFO: &str = "/proc/meminfo";
        let machine = Self {
            available_bytes: procfs::meminfo_bytes(&root.text(MEMINFO), "MemAvailable")?,
            limited_by: root.path(MEMINFO),
        };
        let groups = cgroup::groups_of(
            "memory",
            &root.text("/proc/self/cgroup"),
            &root.text("/proc/self/mountinfo"),
        );
        let limits = groups.iter().flat_map(|group| of_group(root, group));
        Ok(limits.fold(machine, |least, room| {
            if room.available_bytes < least.available_bytes {
                room
            } else {
                least
            }
        }))
    }
}

/// Returns what each limit of a group, and of those above it, leaves.
fn of_group(root: &SystemRoot, group: &Cgroup) -> Vec<Room> {
    let (usage, limits): (_, &[&str]) = match group.hierarchy {
        // Above `memory.high`, a process is slowed down until it hardly moves.
        Hierarchy::Unified => ("memory.current", &["memory.max", "memory.high"]),
        Hierarchy::Older => ("memory.usage_in_bytes", &["memory.limit_in_bytes"]),
    };
    let rooms = group.directories().flat_map(|directory| {
        let path = |name: &str| format!("{directory}/{name}");
        let limited = limits.iter().filter_map(move |limit| {
            let file = path(limit);
            Some((cgroup::limit_bytes(&root.text(&file))?, root.path(&file)))
        });
        let limited: Vec<_> = limited.collect();
        // Most groups have no limit; then there is nothing more to read.
        let used_bytes = (!limited.is_empty()).then(|| {
            let used_bytes = root.text(&format!("{directory}/{usage}"));
            let stat = root.text(&format!("{directory}/memory.stat"));
            let reclaimable_bytes = cgroup::reclaimable_bytes(&stat, group.hierarchy);
            let used_bytes = used_bytes.trim().parse::<u64>().unwrap_or(0);
            used_bytes.saturating_sub(reclaimable_bytes)
        });
        limited
            .into_iter()
            .map(move |(limit_bytes, limited_by)| Room {
                available_bytes: limit_bytes.saturating_sub(used_bytes.unwrap_or(0)),
                limited_by,
            })
    });
    rooms.collect()
}

/// A population that takes its memory in steps, each only if all that is still to come has room.
///
/// Others take memory meanwhile, and several that each found enough at first must not overrun together.
/// So the limits are read again between steps, and where what is left is less than twice what is still
/// to come, populations take turns: the one that waits finds too little when its turn comes, and gives
/// everything back, instead of both of them. Where there is plenty, nobody waits.
#[derive(Debug)]
pub(crate) struct Admission {
    root: SystemRoot,
    total_bytes: u64,
    admitted_bytes: u64,
    /// How long to wait for the turn, and until when that is.
    limit: Option<(Duration, Instant)>,
    /// The limits are read again when so much has been admitted.
    next_look_bytes: u64,
    /// The lock on the limiting file, held from the first tight step to the end.
    turn: Option<Turn>,
}

/// The turn of one population; ends with it, and with its process, whatever children that has.
#[derive(Debug)]
struct Turn(
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "it is locked while it is there")
    )]
    Option<OwnFile>,
);

impl Turn {
    /// Waits for the others that the same file limits, until `is_over`. Where files cannot be locked,
    /// there are no turns.
    fn wait(limit: &Path, is_over: impl Fn() -> bool) -> Self {
        let file = File::open(limit).and_then(|file| Ok(OwnFile::new(file)?));
        let locked = file.and_then(|file| {
            loop {
                match file.file().try_lock() {
                    Err(TryLockError::WouldBlock) if !is_over() => thread::sleep(LOOK_INTERVAL),
                    locked => return locked.map(|()| file).map_err(Into::into),
                }
            }
        });
        if let Err(error) = &locked {
            tracing::debug!(%error, limit = %limit.display(), "populations do not take turns");
        }
        Self(locked.ok())
    }
}

impl Admission {
    /// Returns the admission of `total_bytes`, none of which has been admitted, if all of them have room.
    ///
    /// It waits for its turn no longer than `time_limit`.
    pub(crate) fn of(
        root: &SystemRoot,
        total_bytes: u64,
        time_limit: Option<Duration>,
    ) -> Result<Self, PoolError> {
        let mut admission = Self {
            root: root.clone(),
            total_bytes,
            admitted_bytes: 0,
            limit: time_limit.and_then(|limit| Some((limit, Instant::now().checked_add(limit)?))),
            next_look_bytes: 0,
            turn: None,
        };
        admission.look(|| false)?;
        Ok(admission)
    }

    /// Admits the next step, waiting for the turn of this population if memory is tight, unless the
    /// population `is_over`.
    pub(crate) fn admit(
        &mut self,
        step_bytes: u64,
        is_over: impl Fn() -> bool,
    ) -> Result<(), PoolError> {
        if self.admitted_bytes >= self.next_look_bytes {
            self.look(is_over)?;
        }
        self.admitted_bytes = self.admitted_bytes.saturating_add(step_bytes);
        Ok(())
    }

    fn look(&mut self, is_over: impl Fn() -> bool) -> Result<(), PoolError> {
        let wanted_bytes = self.total_bytes.saturating_sub(self.admitted_bytes);
        let mut room = self.read()?;
        if self.turn.is_none() && room.available_bytes / 2 < wanted_bytes {
            let limit = self.limit;
            let is_late = move || limit.is_some_and(|(_, until)| Instant::now() > until);
            self.turn = Some(Turn::wait(&room.limited_by, || is_over() || is_late()));
            if let (true, Some((limit, _))) = (is_late(), limit) {
                return Err(PoolError::TimeLimit {
                    populated_bytes: self.admitted_bytes,
                    asked_bytes: self.total_bytes,
                    limit,
                });
            }
            room = self.read()?;
        }
        if room.available_bytes < wanted_bytes {
            return Err(PoolError::ExceedsMemory {
                asked_bytes: wanted_bytes,
                available_bytes: room.available_bytes,
                limited_by: room.limited_by,
            });
        }
        // Sixteen others that are as quick as this one could not have used up the rest before the next
        // look.
        let spare_bytes = room.available_bytes - wanted_bytes;
        self.next_look_bytes = self.admitted_bytes.saturating_add(spare_bytes / 16);
        Ok(())
    }

    fn read(&self) -> Result<Room, PoolError> {
        Ok(Room::read(&self.root)?)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::{
        fs,
        io::{Read, Write},
    };

    use nix::sys::{
        signal::{self, Signal},
        wait::waitpid,
    };

    use super::*;

    const MIB: u64 = 1 << 20;

    struct Files(tempfile::TempDir);

    impl Files {
        /// A machine with 880 GiB, whose process is in these groups.
        fn new(cgroup: &str, mountinfo: &str) -> Self {
            let files = Self(tempfile::tempdir().unwrap());
            files.write("/proc/meminfo", "MemAvailable:   922746880 kB\n");
            files.write("/proc/self/cgroup", cgroup);
            files.write("/proc/self/mountinfo", mountinfo);
            files
        }

        fn unified() -> Self {
            Self::new("0::/pod/job\n", "24 1 0:22 / /cg rw - cgroup2 cgroup2 rw\n")
        }

        fn write(&self, path: &str, text: impl ToString) {
            let path = self.0.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text.to_string()).unwrap();
        }

        fn root(&self) -> SystemRoot {
            SystemRoot::at(self.0.path())
        }

        #[track_caller]
        fn check(&self, available_bytes: u64, limited_by: &str) {
            let expected = Room {
                available_bytes,
                limited_by: self.0.path().join(limited_by.trim_start_matches('/')),
            };
            assert_eq!(Room::read(&self.root()), Ok(expected));
        }
    }

    #[test]
    fn without_groups_the_machine_is_the_limit() {
        Files::new("", "").check(880 << 30, "/proc/meminfo");
        Files::unified().check(880 << 30, "/proc/meminfo");
    }

    #[test]
    fn the_unified_hierarchy_limits_by_max_and_high() {
        let files = Files::unified();
        files.write("/cg/pod/job/memory.max", "67108864\n");
        files.write("/cg/pod/job/memory.current", "45088768\n");
        files.check(67_108_864 - 45_088_768, "/cg/pod/job/memory.max");
        files.write(
            "/cg/pod/job/memory.stat",
            "anon 1\ninactive_file 33554432\nactive_file 0\n",
        );
        files.check(67_108_864 - 11_534_336, "/cg/pod/job/memory.max");
        files.write("/cg/pod/job/memory.high", 48 * MIB);
        files.check(48 * MIB - 11_534_336, "/cg/pod/job/memory.high");
        files.write("/cg/pod/job/memory.high", "max\n");
        files.write("/cg/pod/job/memory.max", "max\n");
        files.check(880 << 30, "/proc/meminfo");
    }

    #[test]
    fn the_least_of_nested_groups_counts() {
        let files = Files::unified();
        files.write("/cg/pod/job/memory.max", 100 * MIB);
        files.write("/cg/pod/memory.max", 120 * MIB);
        files.write("/cg/pod/memory.current", 90 * MIB);
        files.check(30 * MIB, "/cg/pod/memory.max");
        files.write("/cg/memory.max", 10 * MIB);
        files.check(10 * MIB, "/cg/memory.max");
    }

    #[test]
    fn the_older_hierarchy_counts_the_groups_below() {
        let files = Files::new(
            "7:cpu:/x\n4:memory:/docker/ab\n0::/x\n",
            "31 24 0:28 /docker/ab /cg/memory rw - cgroup cgroup rw,memory\n\
             32 24 0:29 / /cg/unified rw - cgroup2 cgroup2 rw\n",
        );
        files.write("/cg/memory/memory.limit_in_bytes", 64 * MIB);
        files.write("/cg/memory/memory.usage_in_bytes", 60 * MIB);
        let stat = format!("inactive_file 0\ntotal_inactive_file {}\n", 10 * MIB);
        files.write("/cg/memory/memory.stat", stat);
        files.check(14 * MIB, "/cg/memory/memory.limit_in_bytes");
        files.write("/cg/memory/memory.limit_in_bytes", "9223372036854771712\n");
        files.check(880 << 30, "/proc/meminfo");
    }

    #[test]
    fn mount_points_with_blanks_are_read() {
        let files = Files::new("0::/\n", "24 1 0:22 / /my\\040cg rw - cgroup2 cgroup2 rw\n");
        files.write("/my cg/memory.max", MIB);
        files.check(MIB, "/my cg/memory.max");
    }

    #[test]
    fn a_step_is_refused_when_the_rest_does_not_fit_any_more() {
        let files = Files::unified();
        files.write("/cg/pod/memory.max", 8 * MIB);
        let mut admission = Admission::of(&files.root(), 6 * MIB, None).unwrap();
        admission.admit(MIB, || false).unwrap();
        assert!(admission.turn.is_some(), "less than twice as much is left");
        files.write("/cg/pod/memory.current", 4 * MIB);
        let error = admission.admit(MIB, || false).unwrap_err();
        let PoolError::ExceedsMemory {
            asked_bytes,
            available_bytes,
            ..
        } = error
        else {
            panic!("{error:?}")
        };
        assert_eq!((asked_bytes, available_bytes), (5 * MIB, 4 * MIB));
        drop(admission);

        files.write("/cg/pod/memory.max", 1000 * MIB);
        let mut admission = Admission::of(&files.root(), 6 * MIB, None).unwrap();
        admission.admit(MIB, || false).unwrap();
        assert!(admission.turn.is_none(), "there is plenty");
        files.write("/cg/pod/memory.max", 0);
        admission.admit(MIB, || false).unwrap();
        assert!(
            admission.next_look_bytes > 6 * MIB,
            "and nobody looks again"
        );
    }

    #[test]
    fn who_waits_for_its_turn_gives_up_when_its_time_is_up_or_nobody_wants_it() {
        let files = Files::unified();
        files.write("/cg/pod/memory.max", 8 * MIB);
        let first = Admission::of(&files.root(), 6 * MIB, None).unwrap();
        assert!(first.turn.is_some());
        let limit = Duration::from_millis(20);
        let error = Admission::of(&files.root(), 6 * MIB, Some(limit)).unwrap_err();
        let is_late = matches!(
            error,
            PoolError::TimeLimit {
                populated_bytes: 0,
                ..
            }
        );
        assert!(is_late, "{error:?}");
        let limit = files.0.path().join("cg/pod/memory.max");
        assert!(Turn::wait(&limit, || true).0.is_none());
        drop(first);
        assert!(Turn::wait(&limit, || true).0.is_some());
    }

    /// A population that is killed while it has its turn, and its child goes on.
    #[test]
    fn a_child_of_a_killed_population_does_not_keep_its_turn() {
        let files = Files::unified();
        files.write("/cg/pod/memory.max", 8 * MIB);
        let (mut ready, tell) = std::io::pipe().unwrap();
        let (wait, release) = std::io::pipe().unwrap();
        let root = files.root();
        let population = in_child(|| {
            let admission = Admission::of(&root, 6 * MIB, None).unwrap();
            assert!(admission.turn.is_some());
            in_child(|| {
                (&tell).write_all(b"x").unwrap();
                let _ = (&wait).read(&mut [0]);
            });
            thread::park();
        });
        ready.read_exact(&mut [0]).unwrap();
        signal::kill(population, Signal::SIGKILL).unwrap();
        waitpid(population, None).unwrap();
        let limit = Some(Duration::from_secs(5));
        let next = Admission::of(&files.root(), 6 * MIB, limit);
        // The child ends before anything can fail.
        (&release).write_all(b"x").unwrap();
        next.unwrap();
    }

    #[expect(
        unsafe_code,
        reason = "what a child inherits shows only in a forked child"
    )]
    fn in_child(body: impl FnOnce()) -> nix::unistd::Pid {
        // SAFETY: (1) the child runs `body`, which reads files and waits, and leaves by `_exit`.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Parent { child } => child,
            nix::unistd::ForkResult::Child => {
                let body = std::panic::AssertUnwindSafe(body);
                let is_done = std::panic::catch_unwind(body).is_ok();
                // SAFETY: (1) `_exit` takes no pointer and runs no handlers of the parent.
                unsafe { nix::libc::_exit(i32::from(!is_done)) }
            }
        }
    }
}
