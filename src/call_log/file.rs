//! The log file: private, appended to by any number of processes, rotated by size.
//!
//! A record that cannot be written is lost, with one warning: a log never stops a run.

use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Size in bytes at which the file is renamed and a new one begins.
const LIMIT: u64 = 64 * 1024 * 1024;
/// Number of files that are kept: FILE, FILE.1 … FILE.4.
const FILES: u32 = 5;
/// The beginning of each record.
pub(super) const BEGINNING: &str = "{\"time\":\"";

/// An open log.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    limit: u64,
    /// The mode of the file before it was opened, if others could access the file then.
    pub was_open_to_others: Option<u32>,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Whether the last line is incomplete.
    is_cut: bool,
    /// Whether the file can be renamed; `false` after a failure.
    rotates: bool,
    warned: bool,
}

impl LogFile {
    /// Checks that the file can be opened, as far as possible without creating it.
    pub fn check(path: &Path) -> io::Result<()> {
        match fs::metadata(path) {
            Err(why) if why.kind() == ErrorKind::NotFound => {
                let folder = path.parent().filter(|folder| *folder != Path::new(""));
                let is_there = folder.is_none_or(Path::is_dir);
                refuse_unless(is_there, "there is no such folder")
            }
            _ => existing(path).map(drop),
        }
    }

    /// Opens the file for appending, and makes it private; creates it if it is missing.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::with_limit(path, LIMIT)
    }

    fn with_limit(path: &Path, limit: u64) -> io::Result<Self> {
        let (file, was_open_to_others) = open(path)?;
        let is_cut = is_cut(&file)?;
        Ok(Self {
            path: path.to_owned(),
            limit,
            was_open_to_others,
            open: Mutex::new(Open {
                file,
                is_cut,
                rotates: true,
                warned: false,
            }),
        })
    }

    /// Appends one line, which ends with a line feed. Returns a warning for the user if there is one.
    pub(super) fn append(&self, line: &str) -> Option<String> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let rotated = self.rotate_if_full(&mut open, line.len());
        let written = open.append(line);
        let path = self.path.display();
        if let Err(why) = written {
            let is_first = !std::mem::replace(&mut open.warned, true);
            return is_first.then(|| {
                format!("the log {path} cannot be written ({why}); records are missing in it, and the run goes on")
            });
        }
        let why = rotated.err()?;
        open.rotates = false;
        Some(format!(
            "the log {path} cannot be renamed ({why}); it grows beyond {} MiB, and the run goes on",
            self.limit >> 20
        ))
    }

    fn rotate_if_full(&self, open: &mut Open, more: usize) -> io::Result<()> {
        let meta = open.file.metadata()?;
        let is_full = meta.is_file() && meta.len() > 0 && meta.len() + more as u64 > self.limit;
        if !is_full || !open.rotates {
            return Ok(());
        }
        // Only one process at a time has this lock; afterwards the others find another file at this path.
        match open.file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Error(why)) => return Err(why),
        }
        let identity = |meta: &Metadata| (meta.dev(), meta.ino());
        let is_current =
            fs::metadata(&self.path).is_ok_and(|now| identity(&now) == identity(&meta));
        let moved = if is_current {
            shift(&self.path)
        } else {
            Ok(())
        };
        let next = moved.and_then(|()| self::open(&self.path));
        match next {
            Ok((next, _)) => open.file = next,
            Err(why) => {
                open.file.unlock()?;
                return Err(why);
            }
        }
        Ok(())
    }
}

impl Open {
    fn append(&mut self, line: &str) -> io::Result<()> {
        if self.is_cut {
            self.file.write_all(b"\n")?;
            self.is_cut = false;
        }
        // One call, so that lines of several processes do not mix.
        let written = self.file.write(line.as_bytes())?;
        if written < line.len() {
            self.is_cut = true;
            self.file.write_all(&line.as_bytes()[written..])?;
            self.is_cut = false;
        }
        Ok(())
    }
}

/// Opens or creates the file. Returns it with its former mode, if others could access it.
fn open(path: &Path) -> io::Result<(File, Option<u32>)> {
    if path.exists() {
        let (file, meta) = existing(path)?;
        let mode = meta.mode() & 0o777;
        let is_open = meta.is_file() && mode & 0o077 != 0;
        if is_open {
            let private = file.set_permissions(Permissions::from_mode(0o600));
            private.map_err(|why| {
                io::Error::other(format!(
                    "others may read it, and its mode cannot be changed: {why}"
                ))
            })?;
        }
        return Ok((file, is_open.then_some(mode)));
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    Ok((options.open(path)?, None))
}

/// Opens an existing file, unless it is something other than a log.
fn existing(path: &Path) -> io::Result<(File, Metadata)> {
    // Checked before opening, which would wait for a reader.
    let kind = fs::metadata(path)?.file_type();
    let waits = kind.is_fifo() || kind.is_socket();
    refuse_unless(
        !waits,
        "it is a pipe, and a run would have to wait for its reader",
    )?;
    let file = OpenOptions::new().read(true).append(true).open(path)?;
    let meta = file.metadata()?;
    if meta.is_file() {
        let mut beginning = [0; BEGINNING.len()];
        let read = file.read_at(&mut beginning, 0)?;
        // The first record may be truncated.
        let line = beginning[..read].split(|byte| *byte == b'\n').next();
        let is_log = line.is_none_or(|line| BEGINNING.as_bytes().starts_with(line));
        refuse_unless(is_log, "it is a file that is not a log of idshift")?;
    }
    Ok((file, meta))
}

fn refuse_unless(is_good: bool, why: &str) -> io::Result<()> {
    if is_good {
        Ok(())
    } else {
        Err(io::Error::other(why))
    }
}

/// Returns whether the last line has no end, because a process was killed or the disk was full.
fn is_cut(file: &File) -> io::Result<bool> {
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.read_exact_at(&mut last, meta.len() - 1)?;
    Ok(last != *b"\n")
}

fn shift(path: &Path) -> io::Result<()> {
    for number in (1..FILES - 1).rev() {
        match fs::rename(numbered(path, number), numbered(path, number + 1)) {
            Err(why) if why.kind() != ErrorKind::NotFound => return Err(why),
            Ok(()) | Err(_) => {}
        }
    }
    fs::rename(path, numbered(path, 1))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Returns the existing files of a log, the oldest first.
pub(super) fn files(path: &Path) -> Vec<PathBuf> {
    let older = (1..FILES).rev().map(|number| numbered(path, number));
    let all = older.chain([path.to_owned()]);
    all.filter(|path| path.exists()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(time: &str) -> String {
        format!("{BEGINNING}{time}\"}}\n")
    }

    fn lines(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn log_file_that_was_public_becomes_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.log");
        fs::write(&path, "{\"time\":\"before\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let log = LogFile::with_limit(&path, 30).unwrap();
        assert_eq!(log.was_open_to_others, Some(0o644));
        assert_eq!(log.append("a new line\n"), None);
        assert_eq!(lines(&path), ["{\"time\":\"before", "a new line"]);
        assert_eq!(log.append("in the next file\n"), None);
        for path in files(&path) {
            let mode = fs::metadata(path).unwrap().mode() & 0o7777;
            assert_eq!(mode, 0o600);
        }
    }

    #[test]
    fn two_processes_rotate_one_log_without_losing_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.log");
        // Each has opened the file separately, like two processes.
        let logs = [(); 2].map(|()| LogFile::with_limit(&path, 7500).unwrap());
        std::thread::scope(|scope| {
            for (at, log) in logs.iter().enumerate() {
                scope.spawn(move || {
                    for n in 0..500 {
                        assert_eq!(log.append(&record(&format!("{at} {n:04}"))), None);
                    }
                });
            }
        });
        let files = files(&path);
        let mut all: Vec<String> = files.iter().flat_map(|path| lines(path)).collect();
        // While one of them renames a file, the other may append to it beyond the limit.
        assert!((2..=3).contains(&files.len()), "{files:?}");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 1000);
        // The number of files is limited.
        for n in 0..3000 {
            logs[0].append(&record(&format!("2 {n:04}")));
        }
        assert_eq!(self::files(&path).len(), 5);
        assert!(!numbered(&path, 5).exists());
    }

    #[test]
    fn incomplete_line_is_terminated_before_the_next_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.log");
        for cut in ["{\"ti", "{\"time\":\"2026\n{\"time\":"] {
            fs::write(&path, cut).unwrap();
            let log = LogFile::open(&path).unwrap();
            assert_eq!(log.append("{\"time\":\"whole\"}\n"), None);
            assert_eq!(lines(&path).last().unwrap(), "{\"time\":\"whole\"}");
            LogFile::open(&path).unwrap();
        }
    }

    #[test]
    fn file_that_is_not_a_log_is_rejected_and_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("moves.csv");
        fs::write(&path, "accountId,newAccountId\nA,B\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let folder_gone = folder.path().join("gone").join("calls.log");
        for wrong in [&path, &folder_gone, &folder.path().to_owned()] {
            assert!(LogFile::check(wrong).is_err(), "{wrong:?}");
            assert!(LogFile::open(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(lines(&path), ["accountId,newAccountId", "A,B"]);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
        // A check does not create a missing file.
        let new = folder.path().join("new.log");
        LogFile::check(&new).unwrap();
        assert!(!new.exists());
    }

    #[test]
    fn failed_rotation_is_reported_once_and_the_log_keeps_growing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.log");
        let log = LogFile::with_limit(&path, 20).unwrap();
        assert_eq!(log.append(&record("the first")), None);
        // A folder cannot be replaced by a file.
        fs::create_dir(numbered(&path, FILES - 1)).unwrap();
        fs::write(numbered(&path, FILES - 2), record("older")).unwrap();
        let said = log.append(&record("the second")).unwrap();
        assert!(said.contains("cannot be renamed"), "{said}");
        assert_eq!(log.append(&record("the third")), None);
        assert_eq!(lines(&path).len(), 3);
    }

    #[test]
    fn full_disk_is_reported_once() {
        let log = LogFile::open(Path::new("/dev/full")).unwrap();
        let first = log.append("lost\n").unwrap();
        assert!(
            first.contains("/dev/full") && first.contains("the run goes on"),
            "{first}"
        );
        assert_eq!(log.append("lost too\n"), None);
    }
}
