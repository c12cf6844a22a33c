//! Is a folder on a network file system? SQLite's write-ahead log needs memory that all readers share, and
//! locks across machines cannot be relied upon.
//!
//! The kind of a file system is looked up in Linux's `/proc/self/mountinfo` by its device number: `statfs` has one
//! number for all file systems in user space, of which `sshfs` is one. On other systems the kind is not known, and
//! nothing is refused.

use std::fs;
use std::os::unix::fs::MetadataExt;
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
    file_system(path).filter(|kind| NETWORK.contains(&kind.as_str()))
}

fn file_system(path: &Path) -> Option<String> {
    let device = fs::metadata(path).ok()?.dev();
    let device = format!(
        "{}:{}",
        rustix::fs::major(device),
        rustix::fs::minor(device)
    );
    kind_of(&device, &fs::read_to_string("/proc/self/mountinfo").ok()?)
}

/// A line is `ID PARENT DEVICE ROOT POINT OPTIONS [FIELD…] - KIND SOURCE OPTIONS`; blanks within are escaped.
fn kind_of(device: &str, mounts: &str) -> Option<String> {
    let mut mounts = mounts.lines().filter_map(|line| line.split_once(" - "));
    let (_, kind) = mounts.find(|(mount, _)| mount.split(' ').nth(2) == Some(device))?;
    kind.split(' ').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_system_type_is_found_by_device_number() {
        let mounts = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                      30 22 0:45 / /home rw - nfs4 host:/x rw,vers=4.2\n\
                      31 22 0:46 / /home/my\\040disk rw master:2 shared:3 - fuse.sshfs anna@host: rw\n";
        let kind = |device: &str| kind_of(device, mounts);
        assert_eq!(kind("8:1"), Some("ext4".to_owned()));
        assert_eq!(kind("0:45"), Some("nfs4".to_owned()));
        assert_eq!(kind("0:46"), Some("fuse.sshfs".to_owned()));
        assert_eq!(kind("0:4"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kind_of_a_mounted_file_system_is_found() {
        assert_eq!(file_system(Path::new("/proc")), Some("proc".to_owned()));
        assert_eq!(network_file_system(Path::new("/proc")), None);
        assert_eq!(file_system(Path::new("/proc/none")), None);
    }
}
