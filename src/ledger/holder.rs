//! The process that works on a run or a target; a second process gets this in its error.

use std::fs::File;
use std::io::Read;

/// The process that holds a lock, as it is recorded with the lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Holder {
    /// Its run.
    pub run: String,
    /// Its process.
    pub pid: u32,
    /// Its machine.
    pub host: String,
}

impl Holder {
    /// This process, at work on a run.
    pub(super) fn this_process(run: &str) -> Self {
        Self {
            run: run.to_owned(),
            pid: std::process::id(),
            host: host(),
        }
    }

    /// What the lock file says.
    pub(super) fn read(file: &mut File) -> Self {
        let mut text = String::new();
        // The holder may be writing its name at this moment, so the text can be incomplete. The lock is held in any case.
        let _ = file.take(1000).read_to_string(&mut text);
        serde_json::from_str(&text).unwrap_or_default()
    }
}

/// Returns this machine's name, for the error that a second process gets.
pub fn host() -> String {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    let name: String = name.chars().filter(char::is_ascii_graphic).collect();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name
    }
}

/// The name of the user who runs this process, or the number where no name is known.
pub fn user() -> String {
    let number = rustix::process::geteuid().as_raw().to_string();
    // A person's name may also come from a directory service, which is not asked.
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    });
    named.unwrap_or(number)
}
