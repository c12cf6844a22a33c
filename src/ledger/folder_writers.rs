//! Decides whether a folder that its group may write to is still private to this user.
//!
//! Kubernetes makes a volume writable for the group of `fsGroup` at each mount. Many systems give each user a group of
//! their own and create folders with mode 0775. If the group has no other member, such a folder is as private as one
//! with mode 0700. The local files list the members. Where users come from elsewhere (LDAP, a domain), this cannot be
//! found out, and the user confirms it with `--allow-group-write`.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set once, where the settings are read; holds for all folders that this process uses.
static GROUP_MAY_WRITE: AtomicBool = AtomicBool::new(false);

/// Accepts, from now on, folders that their group may write to, whatever members the group has.
pub fn allow_group_write() {
    GROUP_MAY_WRITE.store(true, Ordering::Relaxed);
}

/// Who may write into a folder besides its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writers {
    /// Every user of the machine.
    Everyone,
    /// These users, who are in its group.
    Members {
        /// The group's number.
        group: u32,
        /// Their names.
        names: Vec<String>,
    },
    /// The members of its group; the local files do not list them.
    Unknown {
        /// The group's number.
        group: u32,
    },
}

impl Writers {
    /// What to do about it, in words.
    pub(super) fn remedy(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Everyone => format!("Remove this permission with `chmod o-w {path}`"),
            Self::Members { .. } | Self::Unknown { .. } => format!(
                "Remove this permission with `chmod g-w {path}`, or set --allow-group-write if everyone in this group \
                 may change the runs"
            ),
        }
    }
}

impl fmt::Display for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("every user of this machine"),
            Self::Members { group, names } => {
                let first: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
                let more = if names.len() > 3 { ", …" } else { "" };
                write!(
                    f,
                    "other members of its group {group} ({}{more})",
                    first.join(", ")
                )
            }
            Self::Unknown { group } => write!(
                f,
                "the members of its group {group}, which local files do not tell on this machine,"
            ),
        }
    }
}

/// Who may write into a folder of this mode and group, besides its owner and root; `None`: no other user, or it was allowed.
pub(super) fn other_writers(mode: u32, group: u32) -> Option<Writers> {
    if mode & 0o002 != 0 {
        return Some(Writers::Everyone);
    }
    if mode & 0o020 == 0 || GROUP_MAY_WRITE.load(Ordering::Relaxed) {
        return None;
    }
    let text = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    let database = Database {
        sources: text("/etc/nsswitch.conf"),
        users: text("/etc/passwd"),
        groups: text("/etc/group"),
    };
    let own = rustix::process::geteuid().as_raw();
    // Systems other than Linux keep their users in a directory service.
    if !cfg!(target_os = "linux") || !database.is_local() {
        return Some(Writers::Unknown { group });
    }
    let names = database.others(group, own);
    (!names.is_empty()).then_some(Writers::Members { group, names })
}

/// The files that tell about users and groups.
struct Database {
    sources: String,
    users: String,
    groups: String,
}

impl Database {
    /// Whether the local files list all users and groups. The source `systemd` adds users of services, who are in no
    /// other user's group.
    fn is_local(&self) -> bool {
        let lines = self.sources.lines().filter_map(|line| {
            let line = line.split('#').next().unwrap_or(line);
            let (name, sources) = line.split_once(':')?;
            let counts = matches!(name.trim(), "passwd" | "group" | "initgroups");
            counts.then_some(sources)
        });
        // `[SUCCESS=merge]` is what to do after a source.
        let sources = lines
            .flat_map(str::split_whitespace)
            .filter(|word| !word.starts_with('['));
        sources
            .into_iter()
            .all(|one| matches!(one, "files" | "systemd"))
    }

    /// The users who are in this group, besides root and the user `own`.
    fn others(&self, group: u32, own: u32) -> Vec<String> {
        let users = || {
            self.users.lines().filter_map(|line| {
                let mut fields = line.split(':');
                let name = fields.next()?;
                let user: u32 = fields.nth(1)?.parse().ok()?;
                let main: u32 = fields.next()?.parse().ok()?;
                Some((name, user, main))
            })
        };
        let is_own = |name: &str| {
            let mut same = users().filter(|(known, _, _)| *known == name).peekable();
            same.peek().is_some() && same.all(|(_, user, _)| user == own || user == 0)
        };
        let by_group = self.groups.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let number: u32 = fields.nth(2)?.parse().ok()?;
            (number == group).then(|| fields.next().unwrap_or_default())
        });
        let listed = by_group
            .flat_map(|members| members.split(','))
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let main = users()
            .filter(|(_, _, main)| *main == group)
            .map(|(name, _, _)| name);
        let mut others: Vec<String> = listed
            .chain(main)
            .filter(|name| !is_own(name))
            .map(str::to_owned)
            .collect();
        others.sort_unstable();
        others.dedup();
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(sources: &str, users: &str, groups: &str) -> Database {
        Database {
            sources: sources.to_owned(),
            users: users.to_owned(),
            groups: groups.to_owned(),
        }
    }

    #[test]
    fn group_without_other_members_has_no_other_writers() {
        let users = "root:x:0:0::/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\n\
                     ben:x:1001:1001::/home/ben:/bin/sh\ncrm:x:90:100::/:/bin/false\n";
        let groups = "root:x:0:\nanna:x:1000:\nben:x:1001:anna\nusers:x:100:ben,anna\nroots:x:7:root\nghost:x:8:gone\n";
        let files = database("", users, groups);
        assert!(files.others(1000, 1000).is_empty());
        assert_eq!(files.others(1001, 1000), ["ben"]);
        assert_eq!(files.others(100, 1000), ["ben", "crm"]);
        assert!(files.others(7, 1000).is_empty());
        // A member without an entry in the list of users counts as another user.
        assert_eq!(files.others(8, 1000), ["gone"]);
        // In a container, user and group have no entry.
        assert!(files.others(2000, 2000).is_empty());
        assert!(database("", "", "").others(1000, 1000).is_empty());
    }

    #[test]
    fn group_members_are_known_only_from_local_files() {
        for (sources, is_local) in [
            ("", true),
            (
                "passwd: files\ngroup: files [SUCCESS=merge] systemd\nhosts: files dns\n",
                true,
            ),
            ("# group: ldap\npasswd:\tfiles systemd # sss\n", true),
            ("passwd: files sss\ngroup: files\n", false),
            ("group: files ldap\n", false),
            ("group: compat\n", false),
            ("initgroups: files winbind\n", false),
        ] {
            assert_eq!(database(sources, "", "").is_local(), is_local, "{sources}");
        }
    }

    #[test]
    fn world_writable_folder_has_everyone_as_writer() {
        assert_eq!(other_writers(0o2777, 0), Some(Writers::Everyone));
        assert_eq!(other_writers(0o755, 0), None);
        assert_eq!(other_writers(0o2700, 0), None);
    }
}
