//! The record of calls that lets others on the same target count this process's calls: a later run, also one after
//! `kill -9`, and one that is under way at the same time, as when a run is verified while the nightly one works.
//!
//! Each process keeps its own chunks, and those of the others as they were when it looked last. It looks whenever it
//! reserves a chunk, under a lock that is held for as long as reading and writing the file takes; a chunk that would
//! exceed the quota together with what the others have reserved is not given. So the quota holds for all together,
//! and nobody has to wait for another to end.
//!
//! Calls are reserved ahead in chunks of a hundredth of the quota, written before they are used, and a chunk may be
//! used only for a hundredth of the window. So the file is never behind, and a killed run costs its successor at most
//! one chunk. Writes are a temporary file and a rename, without fsync: this survives the process, and a power cut
//! takes longer than most windows. Times are wall clock, and on Linux also the time since boot: the reading that makes
//! a call *younger* holds, so a clock that jumped cannot free permits early.
//!
//! A write that fails is tried again with the next chunk; the run goes on (a full disk stops it at the ledger).

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::settings::Quota;

const HEAD: &str = "idshift calls 2";
/// Without owners: of versions that let nobody else in.
const OLD_HEAD: &str = "idshift calls 1";
/// A call is at the server within this time after it departed, but where a new connection is slow: its own process
/// knows when it was answered, and only others count it from here.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// A moment, on each clock that we can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    wall_ms: i64,
    /// Since boot, suspend included.
    boot_ms: Option<i64>,
}

/// Calls that departed at this moment at the latest.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    until: Stamp,
    calls: u32,
    /// The process that made them.
    owner: u64,
}

/// How long from now so many permits are still taken by others.
pub(super) type Taken = Vec<(Duration, u32)>;

/// Whether a call may depart.
#[derive(Debug)]
pub(super) struct Departure {
    /// It is on record, and may.
    pub(super) granted: bool,
    /// What the others have taken, where that was looked at.
    pub(super) others: Option<Taken>,
}

/// The chunk that is being used.
#[derive(Debug)]
struct Open {
    since: Stamp,
    left: u32,
}

/// The file and what is in it.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    boot_id: String,
    owner: u64,
    quota: u32,
    window_ms: i64,
    valid_ms: i64,
    chunk: u32,
    /// This process's own.
    chunks: VecDeque<Chunk>,
    /// All others, as they were when the file was read last.
    others: VecDeque<Chunk>,
    open: Option<Open>,
}

impl Record {
    /// Opens or begins the record, and says which permits are taken: `(free in, calls)`.
    pub(super) fn open(path: PathBuf, quota: Quota) -> io::Result<(Self, Taken)> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let window_ms = millis(quota.window);
        let mut record = Self {
            path,
            boot_id: boot_id.trim().to_owned(),
            owner: fastrand::u64(1..),
            quota: quota.calls,
            window_ms,
            valid_ms: (window_ms / 100).max(1),
            chunk: (quota.calls / 100).max(1),
            chunks: VecDeque::new(),
            others: VecDeque::new(),
            open: None,
        };
        let now = now();
        let held = record.lock()?;
        match fs::read(&record.path) {
            Ok(bytes) => match record.parse(&bytes) {
                Some(chunks) => record.others = chunks,
                // Not ours, or damaged: nothing is known, so all that could have been called was.
                None => record.others.push_back(Chunk {
                    until: now,
                    calls: quota.calls,
                    owner: 0,
                }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        record.forget_old(now);
        // Proves at the start that it can be written.
        record.write()?;
        drop(held);
        let taken = record.taken(now);
        Ok((record, taken))
    }

    /// One call departs now, this process having used so many permits with it; where it may, it is on record when
    /// this returns.
    pub(super) fn depart(&mut self, used: u32) -> Departure {
        let now = now();
        if let Some(open) = &mut self.open {
            let fresh = (0..self.valid_ms).contains(&age_ms(now, open.since));
            if fresh && open.left > 0 {
                open.left -= 1;
                return Departure {
                    granted: true,
                    others: None,
                };
            }
        }
        self.close(now);
        // Where it cannot be locked it is written all the same: see the top of this file.
        let _held = self.lock();
        self.read_others();
        self.forget_old(now);
        let taken = self.others.iter().map(|chunk| chunk.calls);
        let taken = taken.fold(used, u32::saturating_add);
        let granted = taken <= self.quota;
        if granted {
            let calls = self.chunk.min(self.quota - taken + 1);
            self.chunks.push_back(Chunk {
                until: now.plus(self.valid_ms),
                calls,
                owner: self.owner,
            });
            self.open = Some(Open {
                since: now,
                left: calls - 1,
            });
        }
        // See the top of this file.
        let _ = self.write();
        Departure {
            granted,
            others: Some(self.taken(now)),
        }
    }

    fn taken(&self, now: Stamp) -> Taken {
        let chunks = self.others.iter();
        chunks
            .map(|chunk| {
                let wait = self.left_ms(chunk, now).max(0);
                (Duration::from_millis(wait.unsigned_abs()), chunk.calls)
            })
            .collect()
    }

    /// Held until it is dropped; a process that dies gives it back.
    fn lock(&self) -> io::Result<fs::File> {
        let file = private_file(&beside(&self.path, "-lock"))?;
        file.lock()?;
        Ok(file)
    }

    /// What cannot be read tells nothing new.
    fn read_others(&mut self) {
        let read = fs::read(&self.path).ok();
        if let Some(mut chunks) = read.and_then(|bytes| self.parse(&bytes)) {
            chunks.retain(|chunk| chunk.owner != self.owner);
            self.others = chunks;
        }
    }

    /// What was reserved and not used is given back.
    fn close(&mut self, now: Stamp) {
        let Some(open) = self.open.take() else { return };
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.calls -= open.left;
            // The chunk's last call departed before it became too old, whatever the time is now.
            if age_ms(now, open.since) < self.valid_ms {
                chunk.until = now;
            }
        }
    }

    fn forget_old(&mut self, now: Stamp) {
        let [mut own, mut others] = [&mut self.chunks, &mut self.others].map(std::mem::take);
        for chunks in [&mut own, &mut others] {
            chunks.retain(|chunk| chunk.calls > 0 && self.left_ms(chunk, now) > 0);
        }
        (self.chunks, self.others) = (own, others);
    }

    /// How long the chunk's permits are still taken.
    fn left_ms(&self, chunk: &Chunk, now: Stamp) -> i64 {
        let whole = self.window_ms + millis(UNDER_WAY);
        // A stamp further ahead than a chunk's life means that a clock went back.
        let age = age_ms(now, chunk.until).max(-self.valid_ms);
        whole - age
    }

    fn parse(&self, bytes: &[u8]) -> Option<VecDeque<Chunk>> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines();
        let head = lines.next()?;
        let old = head.strip_prefix(OLD_HEAD);
        let boot_id = old.or_else(|| head.strip_prefix(HEAD))?.trim();
        let same_boot = !boot_id.is_empty() && boot_id == self.boot_id;
        lines
            .map(|line| {
                let mut words = line.split(' ');
                let wall_ms = words.next()?.parse().ok()?;
                let boot_ms = match words.next()? {
                    "-" => None,
                    number => Some(number.parse().ok()?),
                };
                let calls = words.next()?.parse().ok()?;
                let owner = match words.next() {
                    None if old.is_some() => 0,
                    None => return None,
                    Some(owner) => u64::from_str_radix(owner, 16).ok()?,
                };
                Some(Chunk {
                    until: Stamp {
                        wall_ms,
                        boot_ms: boot_ms.filter(|_| same_boot),
                    },
                    calls,
                    owner,
                })
            })
            .collect()
    }

    fn write(&self) -> io::Result<()> {
        let mut text = format!("{HEAD} {}\n", self.boot_id);
        for chunk in self.others.iter().chain(&self.chunks) {
            let wall = chunk.until.wall_ms;
            let (calls, owner) = (chunk.calls, chunk.owner);
            let line = match chunk.until.boot_ms {
                Some(boot) => writeln!(text, "{wall} {boot} {calls} {owner:x}"),
                None => writeln!(text, "{wall} - {calls} {owner:x}"),
            };
            line.expect("a String can always be written to");
        }
        let temporary = beside(&self.path, ".new");
        private_file(&temporary)?.write_all(text.as_bytes())?;
        fs::rename(temporary, &self.path)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.close(now());
        // Nobody is left to hear of a failure; the reservation stays, which is on the safe side.
        let _held = self.lock();
        self.read_others();
        let _ = self.write();
    }
}

/// The file whose name has this end beside another's.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(end);
    name.into()
}

fn private_file(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

impl Stamp {
    fn plus(self, ms: i64) -> Self {
        Self {
            wall_ms: self.wall_ms + ms,
            boot_ms: self.boot_ms.map(|boot| boot + ms),
        }
    }
}

fn now() -> Stamp {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH);
    let boot = fs::read_to_string("/proc/uptime").ok();
    let boot = boot.as_deref().and_then(|text| text.split(' ').next());
    Stamp {
        wall_ms: wall.map_or(0, millis),
        boot_ms: boot
            .and_then(|seconds| seconds.parse().ok())
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(millis),
    }
}

/// By the clock that makes it younger.
fn age_ms(now: Stamp, then: Stamp) -> i64 {
    let wall = now.wall_ms.saturating_sub(then.wall_ms);
    match (now.boot_ms, then.boot_ms) {
        (Some(now), Some(then)) => wall.min(now.saturating_sub(then)),
        _ => wall,
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota {
        calls: 1000,
        window: Duration::from_secs(300),
    };

    fn taken_of(path: &Path) -> u32 {
        let (record, earlier) = Record::open(path.to_owned(), QUOTA).unwrap();
        std::mem::forget(record);
        assert!(
            earlier
                .iter()
                .all(|(wait, _)| *wait <= Duration::from_secs(305))
        );
        earlier.iter().map(|(_, calls)| calls).sum()
    }

    fn depart(record: &mut Record) {
        assert!(record.depart(1).granted);
    }

    #[test]
    fn two_at_a_time_keep_the_quota_together_and_lose_no_call_of_each_other() {
        let (_folder, path) = folder();
        let (mut one, _) = Record::open(path.clone(), QUOTA).unwrap();
        let (mut two, taken) = Record::open(path.clone(), QUOTA).unwrap();
        assert!(taken.is_empty());
        let (mut used, mut granted) = ([0, 0], [0, 0]);
        for n in 0..2000 {
            // One is three times as fast.
            let (which, record) = if n % 4 == 0 {
                (0, &mut two)
            } else {
                (1, &mut one)
            };
            used[which] = granted[which] + 1;
            granted[which] += u32::from(record.depart(used[which]).granted);
        }
        let all = granted[0] + granted[1];
        assert!((980..=1000).contains(&all), "{granted:?}");
        assert!(granted[0] > 100, "{granted:?}");
        // Each is told what the other has taken.
        let others = two.depart(granted[0] + 1).others.unwrap();
        let others: u32 = others.iter().map(|(_, calls)| calls).sum();
        assert!((granted[1]..granted[1] + 10).contains(&others), "{others}");
        drop((one, two));
        assert_eq!(taken_of(&path), all);
    }

    #[test]
    fn the_record_of_an_earlier_version_counts() {
        let (_folder, path) = folder();
        let wall = now().wall_ms;
        fs::write(
            &path,
            format!("idshift calls 1 x\n{wall} - 70\n{wall} - 7\n"),
        )
        .unwrap();
        assert_eq!(taken_of(&path), 77);
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls");
        (folder, path)
    }

    #[test]
    fn a_run_that_ended_left_exactly_its_calls() {
        let (_folder, path) = folder();
        let (mut record, earlier) = Record::open(path.clone(), QUOTA).unwrap();
        assert!(earlier.is_empty());
        (0..123).for_each(|_| depart(&mut record));
        drop(record);
        assert_eq!(taken_of(&path), 123);
    }

    #[test]
    fn a_run_that_was_killed_is_never_counted_short_and_at_most_one_chunk_too_high() {
        let (_folder, path) = folder();
        let (mut record, _) = Record::open(path.clone(), QUOTA).unwrap();
        for used in 1..=200 {
            depart(&mut record);
            let counted = taken_of(&path);
            assert!((used..used + 10).contains(&counted), "{counted} for {used}");
        }
        // As `kill -9` does: nothing is tidied up.
        std::mem::forget(record);
        assert_eq!(taken_of(&path), 200);
    }

    #[test]
    fn three_runs_in_a_row_add_up() {
        let (_folder, path) = folder();
        for _ in 0..3 {
            let (mut record, _) = Record::open(path.clone(), QUOTA).unwrap();
            (0..50).for_each(|_| depart(&mut record));
        }
        assert_eq!(taken_of(&path), 150);
    }

    #[test]
    fn a_chunk_that_lay_too_long_is_not_used_further() {
        let (_folder, path) = folder();
        let (mut record, _) = Record::open(path.clone(), QUOTA).unwrap();
        depart(&mut record);
        record.open.as_mut().unwrap().since = now().plus(-4000);
        record.chunks[0].until = now().plus(-1000);
        depart(&mut record);
        assert_eq!(record.chunks.len(), 2);
        assert_eq!(record.chunks[0].calls, 1);
        assert!(age_ms(now(), record.chunks[1].until) < 0);
    }

    #[test]
    fn a_clock_that_jumped_frees_nothing_early() {
        let (_folder, path) = folder();
        let (record, _) = Record::open(path, QUOTA).unwrap();
        let then = Stamp {
            wall_ms: 1_000_000,
            boot_ms: Some(5000),
        };
        let chunk = Chunk {
            until: then,
            calls: 1,
            owner: 0,
        };
        let whole = 301_000;
        let forward = Stamp {
            wall_ms: 9_000_000,
            boot_ms: Some(6000),
        };
        assert_eq!(record.left_ms(&chunk, forward), whole - 1000);
        let back = Stamp {
            wall_ms: 0,
            boot_ms: None,
        };
        assert_eq!(record.left_ms(&chunk, back), whole + 3000);
        let both = Stamp {
            wall_ms: 1_010_000,
            boot_ms: Some(15_000),
        };
        assert_eq!(record.left_ms(&chunk, both), whole - 10_000);
    }

    #[test]
    fn a_damaged_record_counts_as_a_used_up_quota() {
        let (_folder, path) = folder();
        for damage in [
            "",
            "rubbish",
            "idshift calls 1 x\n12 - \n",
            "idshift calls 2 x\n12 - 1\n",
            "idshift calls 3\n",
        ] {
            fs::write(&path, damage).unwrap();
            assert_eq!(taken_of(&path), 1000, "{damage:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_record_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, path) = folder();
        drop(Record::open(path.clone(), QUOTA).unwrap());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_record_that_cannot_be_written_is_an_error_at_the_start() {
        assert!(Record::open(PathBuf::from("/nonexistent/calls"), QUOTA).is_err());
    }
}
