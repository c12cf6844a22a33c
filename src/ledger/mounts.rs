//! Is a folder on a network file system? SQLite's write-ahead log needs memory that all readers share, and
//! locks across machines cannot be relied upon.
//!
//! Linux tells in `/proc/self/mounts`; elsewhere nothing is known, and nothing is refused.

use std::fs;
use std::path::Path;

const NETWORK: [&str; 9] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "afs",
    "ceph",
    "fuse.sshfs",
    "fuse.glusterfs",
];

/// The name of the network file system that holds `path`, if it is on one.
pub(super) fn network_file_system(path: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    network_in(&mounts, &fs::canonicalize(path).ok()?)
}

fn network_in(mounts: &str, path: &Path) -> Option<String> {
    let mut best: Option<(usize, &str)> = None;
    for mount in mounts.lines() {
        let mut fields = mount.split(' ').skip(1);
        let (Some(point), Some(kind)) = (fields.next(), fields.next()) else {
            continue;
        };
        let point = point.replace("\\040", " ");
        // A later mount on the same point hides the earlier one, hence `>=`.
        if path.starts_with(&point) && best.is_none_or(|(length, _)| point.len() >= length) {
            best = Some((point.len(), kind));
        }
    }
    best.map(|(_, kind)| kind)
        .filter(|kind| NETWORK.contains(kind))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_decides() {
        let mounts = "/dev/sda / ext4 rw 0 0\nhost:/x /home nfs4 rw 0 0\n\
                      /dev/sdb /home/my\\040disk xfs rw 0 0\n";
        let on = |path: &str| network_in(mounts, Path::new(path));
        assert_eq!(on("/srv/runs"), None);
        assert_eq!(on("/home/anna/runs"), Some("nfs4".to_owned()));
        assert_eq!(on("/home/my disk/runs"), None);
        assert_eq!(on("/homestead"), None);
    }
}
