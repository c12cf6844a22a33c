//! One run at a time on one target. The kernel holds the lock and frees it when the process dies, so a stale
//! file never blocks anybody.

use super::LedgerError;
use super::private::{create_folder, open_private};
use sha2::{Digest, Sha256};
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Who works on a target.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Holder {
    /// The run.
    pub run: String,
    /// The process.
    pub pid: u32,
    /// The machine.
    pub host: String,
}

/// The right to work on a target, as long as it lives.
#[derive(Debug)]
pub struct TargetLock {
    _file: File,
    path: PathBuf,
}

impl TargetLock {
    /// Takes the lock of a target, or says who has it.
    ///
    /// The lock lies in the user's state folder, so that runs kept in different folders exclude each other
    /// too; where there is none, in the folder of the runs. It does not reach another machine.
    pub fn acquire(target: &str, runs_dir: &Path, run: &str) -> Result<Self, LedgerError> {
        let (folder, mut file, path) = open(target, runs_dir)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Whoever holds it may be writing its name at this moment; an empty one is still true.
                let _ = file.read_to_string(&mut text);
                let holder = serde_json::from_str(&text).unwrap_or_default();
                return Err(LedgerError::Held { holder, path });
            }
            Err(TryLockError::Error(source)) => {
                return Err(LedgerError::io(&folder, "locked", source));
            }
        }
        let holder = Holder {
            run: run.to_owned(),
            pid: std::process::id(),
            host: host(),
        };
        let text = serde_json::to_string(&holder).unwrap_or_default();
        let write = |file: &mut File| -> std::io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(text.as_bytes())
        };
        write(&mut file).map_err(|source| LedgerError::io(&path, "written", source))?;
        Ok(Self { _file: file, path })
    }

    /// Where calls on this target are noted, for quotas that outlive a run.
    pub fn quota_file(&self) -> PathBuf {
        self.path.with_extension("calls")
    }
}

fn open(target: &str, runs_dir: &Path) -> Result<(PathBuf, File, PathBuf), LedgerError> {
    let digest = Sha256::digest(target.as_bytes());
    let (first, _) = digest.split_at(12);
    let name = first
        .iter()
        .fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
    let name = format!("{name:024x}");
    let mut last = None;
    for folder in [state_dir(), Some(runs_dir.join(".targets"))]
        .into_iter()
        .flatten()
    {
        let path = folder.join(format!("{name}.lock"));
        match create_folder(&folder, true).and_then(|()| open_private(&path)) {
            Ok(file) => return Ok((folder, file, path)),
            Err(source) => last = Some(LedgerError::io(&path, "opened", source)),
        }
    }
    Err(last.unwrap_or(LedgerError::Closed))
}

fn state_dir() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = set("XDG_STATE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| set("HOME").map(|home| home.join(".local").join("state")))?;
    Some(base.join("idshift").join("targets"))
}

fn host() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    named
        .map(|name| name.trim().to_owned())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_default()
}
