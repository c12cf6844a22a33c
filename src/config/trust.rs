//! Decides whether settings in a file that was merely found in the working folder may run programs, or write or remove files.
//!
//! Without this check, a user who can put an `idshift.toml` into another user's working folder could run programs as
//! that user.

use std::os::unix::fs::MetadataExt;

/// How far a file is trusted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Trust {
    /// The user named it, or it lies in the user's configuration folder or in `/etc`.
    #[default]
    Full,
    /// It belongs to another user.
    Foreign,
    /// It is the user's, but others may write to it.
    Writable,
}

impl Trust {
    /// Judges an open file by its owner and its mode.
    pub(super) fn of(meta: &std::fs::Metadata) -> Self {
        // The effective user: files that this process creates belong to it.
        Self::judge(meta.uid(), meta.mode(), rustix::process::geteuid().as_raw())
    }

    fn judge(owner: u32, mode: u32, own: u32) -> Self {
        if own != owner {
            Self::Foreign
        } else if mode & 0o022 != 0 {
            Self::Writable
        } else {
            Self::Full
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_file_not_writable_by_other_users_is_trusted() {
        assert_eq!(Trust::judge(7, 0o100_644, 7), Trust::Full);
        assert_eq!(Trust::judge(7, 0o100_664, 7), Trust::Writable);
        assert_eq!(Trust::judge(7, 0o100_646, 7), Trust::Writable);
        assert_eq!(Trust::judge(8, 0o100_600, 7), Trust::Foreign);
    }

    #[test]
    fn newly_created_file_is_fully_trusted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(Trust::of(&file.as_file().metadata().unwrap()), Trust::Full);
    }
}
