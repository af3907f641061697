//! Huge pages for the tests and benchmarks that need some: reserved while a guard lives, given back
//! after, also if this process is interrupted or killed.

use std::io;
use std::process::{Child, Command, Stdio};
use std::{fs, mem};

/// The system-wide number of huge pages of the default size.
const POOL: &str = "/proc/sys/vm/nr_hugepages";

/// Pages for the tests: a pool of a few pages, twice, beside what others hold.
pub(crate) const PAGES_TESTS: u64 = 16;

/// Pages for the benchmarks: a pool of 1 GiB, beside a few pages for threads or others.
pub(crate) const PAGES_BENCHMARKS: u64 = 512 + 16;

/// The only size that is reserved here; larger pages can rarely be found on a running system.
const PAGE_KIB: &str = "2048 kB";

/// Waits for the end of its input, which it gets whatever becomes of who holds the other end, and writes
/// the second argument to the first. What Ctrl-C sends to all of a terminal it does not mind.
const KEEPER: &str = r#"trap '' HUP INT TERM; read -r _; echo "$2" > "$1""#;

/// Reserved huge pages; restores the former number when dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    /// Restores it, once its input ends.
    keeper: Child,
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
    let keeper = restore_at_end(POOL, pages_before);
    let keeper = keeper.map_err(|error| format!("there is no shell to give them back: {error}"))?;
    let reserved = Reserved { keeper };
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
        drop(mem::take(&mut self.keeper.stdin));
        // Nothing can be done about a refusal, and it harms nobody but idle memory.
        let _ = self.keeper.wait();
    }
}

/// Has a process write a number to a file when this one ends, or lets go of it.
fn restore_at_end(file: &str, number: u64) -> io::Result<Child> {
    let mut keeper = Command::new("sh");
    keeper.args(["-c", KEEPER, "sh", file, &number.to_string()]);
    keeper.stdin(Stdio::piped()).stderr(Stdio::null()).spawn()
}

fn pages() -> Result<u64, String> {
    let text = fs::read_to_string(POOL).map_err(|error| format!("cannot read {POOL}: {error}"))?;
    text.trim()
        .parse()
        .map_err(|error| format!("{POOL} holds no number: {error}"))
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;
    use crate::workspace::shell;

    #[test]
    fn the_number_is_restored_by_a_drop_and_after_an_interruption() {
        let directory = shell().unwrap().create_temp_dir().unwrap();
        let file = directory.path().join("pages");
        for signals in [&[][..], &["-INT", "-TERM", "-HUP"]] {
            fs::write(&file, "528").unwrap();
            let keeper = restore_at_end(file.to_str().unwrap(), 7).unwrap();
            // Until the shell has come to its trap.
            sleep(Duration::from_millis(200));
            for signal in signals {
                let mut kill = Command::new("kill");
                let kill = kill.args([signal, &*keeper.id().to_string()]);
                assert!(kill.status().unwrap().success());
            }
            assert_eq!(fs::read_to_string(&file).unwrap(), "528");
            drop(Reserved { keeper });
            assert_eq!(fs::read_to_string(&file).unwrap(), "7\n");
        }
    }
}
