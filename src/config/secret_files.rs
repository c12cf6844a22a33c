//! Files that hold secrets: which file a name means, and whether others may read it.
//!
//! A service manager provides credentials in a folder of its own (`$CREDENTIALS_DIRECTORY`, systemd's
//! `LoadCredential=`). Kubernetes mounts them as files that belong to root and that the pod's group may read. Both are
//! as private as a file with mode 0600, so neither causes a warning.

use super::setting::variable;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The permissions of everyone except the owner.
const OTHERS: u32 = 0o077;
/// The permissions of everyone except the owner, without reading by the group.
const BUT_READING_BY_GROUP: u32 = 0o037;

/// Returns the folder in which the service manager provides credentials.
fn credentials_folder() -> Option<PathBuf> {
    variable("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// Returns the file that a setting names: a credential with that name, or else a file, relative to the working folder.
pub(super) fn secret_path(name: &str) -> PathBuf {
    found(name, credentials_folder().as_deref())
}

fn found(name: &str, credentials: Option<&Path>) -> PathBuf {
    // Only a bare name can be a credential's: `../token` is relative to the working folder.
    let is_bare = Path::new(name).file_name() == Some(name.as_ref());
    let credential = credentials
        .filter(|_| is_bare)
        .map(|folder| folder.join(name));
    credential
        .filter(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from(name))
}

/// Returns what the message about a missing file adds if the service manager provides credentials.
pub(super) fn not_a_credential(path: &Path) -> &'static str {
    match credentials_folder() {
        Some(_) if path.is_relative() => {
            ", and no credential in $CREDENTIALS_DIRECTORY has this name (LoadCredential=)"
        }
        _ => "",
    }
}

/// Returns a warning about a file that others may read; `None`: there is no reason for one. A missing file is reported
/// elsewhere.
pub(super) fn warning(path: &Path) -> Option<String> {
    let meta = std::fs::metadata(path).ok()?;
    let mode = meta.mode() & 0o7777;
    let is_private = mode & OTHERS == 0
        || is_handed_over(path, credentials_folder().as_deref())
        || is_mounted(meta.uid(), mode, meta.gid(), &own_groups());
    let path = path.display();
    (!is_private).then(|| {
        format!("others may read the secret in {path} (mode {mode:04o}): chmod 600 {path}")
    })
}

/// Whether the file lies in the folder of credentials. Links are followed, so a link that leads out of it does not count.
fn is_handed_over(path: &Path, credentials: Option<&Path>) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let folder = credentials.and_then(real);
    folder.is_some_and(|folder| real(path).is_some_and(|path| path.starts_with(folder)))
}

/// Returns whether the file belongs to root, its group is one of this process, and no other user may access it.
fn is_mounted(owner: u32, mode: u32, group: u32, own_groups: &[u32]) -> bool {
    owner == 0 && mode & BUT_READING_BY_GROUP == 0 && own_groups.contains(&group)
}

fn own_groups() -> Vec<u32> {
    let mut groups = vec![rustix::process::getegid().as_raw()];
    let others = rustix::process::getgroups().unwrap_or_default();
    groups.extend(others.into_iter().map(|group| group.as_raw()));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn bare_name_is_found_in_credentials_folder_before_working_folder() {
        let folder = tempfile::tempdir().unwrap();
        let credential = folder.path().join("token");
        let credentials = Some(folder.path());
        assert_eq!(found("token", credentials), Path::new("token"));
        std::fs::write(&credential, "t").unwrap();
        assert_eq!(found("token", credentials), credential);
        assert_eq!(found("token", None), Path::new("token"));
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("token"), "t").unwrap();
        // None of these is a bare name, though each leads to a file from the folder of credentials.
        for name in [
            "/etc/token",
            "../token",
            "inner/token",
            "./token",
            "",
            ".",
            "..",
        ] {
            for credentials in [credentials, Some(inner.as_path())] {
                assert_eq!(found(name, credentials), Path::new(name), "{name}");
            }
        }
    }

    #[test]
    fn root_file_readable_only_by_own_group_counts_as_private() {
        let own = [7, 1000];
        assert!(is_mounted(0, 0o440, 1000, &own));
        assert!(is_mounted(0, 0o640, 7, &own));
        for (owner, mode, group) in [
            (0, 0o440, 1001),
            (0, 0o444, 1000),
            (0, 0o460, 1000),
            (1000, 0o440, 1000),
        ] {
            assert!(!is_mounted(owner, mode, group, &own), "{mode:o}");
        }
    }

    #[test]
    fn credentials_folder_file_is_private_but_link_to_outside_is_not() {
        let base = tempfile::tempdir().unwrap();
        let credentials = base.path().join("credentials");
        std::fs::create_dir(&credentials).unwrap();
        let (inside, outside) = (credentials.join("a"), base.path().join("b"));
        for path in [&inside, &outside] {
            std::fs::write(path, "s").unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o444)).unwrap();
        }
        symlink(&outside, credentials.join("link")).unwrap();
        let link = credentials.join("link");
        let credentials = Some(credentials.as_path());
        assert!(is_handed_over(&inside, credentials));
        assert!(!is_handed_over(&outside, credentials));
        assert!(!is_handed_over(&link, credentials));
        assert!(!is_handed_over(&inside, None));
        assert!(warning(&outside).is_some_and(|words| words.contains("mode 0444")));
    }
}
