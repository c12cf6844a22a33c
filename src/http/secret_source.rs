//! Where a secret is kept: in memory, in a file, or with a program that prints it.
//!
//! Tokens, client secrets and Basic headers are all read in this way. A file or a program is read again whenever the
//! secret is needed, so a secret that is rotated during a run is picked up. Error texts never contain the secret. A
//! program runs without a shell, and its output is never shown.

use secrecy::SecretString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::secret_text::{LONGEST, SecretKind, secret_file, secret_of};

const COMMAND_TIME: Duration = Duration::from_secs(30);
const READING_TIME: Duration = Duration::from_secs(10);

/// Where a secret is kept.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// The secret itself; it cannot change.
    Given(SecretString),
    /// A file that contains the secret.
    File(PathBuf),
    /// A program, with its arguments, that prints the secret.
    Command(Vec<String>),
}

impl SecretSource {
    /// The name of this kind of source in the log of calls.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Given(_) => "given",
            Self::File(_) => "file",
            Self::Command(_) => "command",
        }
    }

    /// Returns whether reading the source again may give another secret.
    pub(super) fn may_change(&self) -> bool {
        !matches!(self, Self::Given(_))
    }

    /// Returns the secret if no program has to be run for it, and `None` otherwise. The error says why there is no
    /// secret.
    pub fn first(&self, kind: SecretKind) -> Result<Option<SecretString>, String> {
        match self {
            Self::Given(secret) => Ok(Some(secret.clone())),
            Self::File(path) => {
                let (tell, told) = mpsc::channel();
                begin_reading(path.clone(), kind, move |read| drop(tell.send(read)))?;
                match told.recv_timeout(READING_TIME) {
                    Ok(read) => read.map(Some),
                    Err(RecvTimeoutError::Timeout) => Err(too_late(path, kind)),
                    Err(RecvTimeoutError::Disconnected) => Err(unreadable(path, kind)),
                }
            }
            Self::Command(words) if words.is_empty() => {
                Err(format!("the {} command is empty", kind.words()))
            }
            Self::Command(_) => Ok(None),
        }
    }

    /// Reads the current secret.
    pub async fn read(&self, kind: SecretKind) -> Result<SecretString, String> {
        match self {
            Self::Given(secret) => Ok(secret.clone()),
            Self::File(path) => read_file(path.clone(), kind).await,
            Self::Command(words) => run(words, kind).await,
        }
    }
}

async fn read_file(path: PathBuf, kind: SecretKind) -> Result<SecretString, String> {
    let (tell, told) = oneshot::channel();
    begin_reading(path.clone(), kind, move |read| drop(tell.send(read)))?;
    match timeout(READING_TIME, told).await {
        Ok(Ok(read)) => read,
        Ok(Err(_)) => Err(unreadable(&path, kind)),
        Err(_) => Err(too_late(&path, kind)),
    }
}

/// Reads a file in a thread of its own, so that a pipe without a writer or a file system that does not answer delays
/// neither calls under way nor a signal. A thread that never returns ends with the process. `tell`: takes the result,
/// which nothing waits for after the time-out.
fn begin_reading(
    path: PathBuf,
    kind: SecretKind,
    tell: impl FnOnce(Result<SecretString, String>) + Send + 'static,
) -> Result<(), String> {
    let what = unreadable(&path, kind);
    let reading = std::thread::Builder::new().spawn(move || tell(secret_file(&path, kind)));
    reading
        .map(drop)
        .map_err(|error| format!("{what}: {error}"))
}

fn unreadable(path: &Path, kind: SecretKind) -> String {
    format!(
        "the {} file {} cannot be read",
        kind.words(),
        path.display()
    )
}

fn too_late(path: &Path, kind: SecretKind) -> String {
    format!(
        "the {} file {} could not be read within {} s",
        kind.words(),
        path.display(),
        READING_TIME.as_secs()
    )
}

/// Runs a program that prints a secret.
async fn run(words: &[String], kind: SecretKind) -> Result<SecretString, String> {
    let what = kind.words();
    let (program, arguments) = words.split_first().expect("checked when it was set");
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("the {what} command `{program}` cannot be run: {error}"))?;
    let stdout = child.stdout.take().expect("it is piped");
    let mut bytes = Vec::new();
    let finished = timeout(COMMAND_TIME, async {
        stdout.take(LONGEST + 1).read_to_end(&mut bytes).await?;
        // The rest is not read, and the program may fail because of that; so its exit status is not waited for.
        if bytes.len() as u64 > LONGEST {
            return Ok(None);
        }
        child.wait().await.map(Some)
    });
    let outcome = finished.await;
    match outcome {
        Err(_) => Err(format!(
            "the {what} command `{program}` did not end within {} s",
            COMMAND_TIME.as_secs()
        )),
        Ok(Err(error)) => Err(format!("the {what} command `{program}` failed: {error}")),
        Ok(Ok(Some(status))) if !status.success() => {
            Err(format!("the {what} command `{program}` failed: {status}"))
        }
        Ok(Ok(_)) => secret_of(&bytes, kind).map_err(|why| {
            format!("the output of the {what} command `{program}` is not a valid {what}: {why}")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn shell(script: &str) -> SecretSource {
        SecretSource::Command(["sh", "-c", script].map(str::to_owned).to_vec())
    }

    #[tokio::test]
    async fn command_without_valid_secret_is_reported_without_its_output() {
        for (script, words) in [
            ("echo hunter2; exit 3", "failed: exit status: 3"),
            ("kill -9 $$", "failed: signal: 9"),
            ("true", "it is empty"),
            ("printf 'hunter2\\nhunter3\\n'", "it must be a single line"),
            ("head -c 70000 /dev/zero | tr '\\0' x", "longer than 64 KiB"),
        ] {
            for kind in [
                SecretKind::Token,
                SecretKind::ClientSecret,
                SecretKind::BasicHeader,
            ] {
                let why = shell(script).read(kind).await.expect_err(script);
                let what = format!("the {} command `sh`", kind.words());
                assert!(why.contains(words) && why.contains(&what), "{why}");
                assert!(!why.contains("hunter"), "{why}");
            }
        }
        let missing = SecretSource::Command(vec!["/nowhere/vault".to_owned()]);
        let why = missing.read(SecretKind::ClientSecret).await.unwrap_err();
        assert!(why.contains("`/nowhere/vault` cannot be run"), "{why}");
        let empty = SecretSource::Command(Vec::new());
        let why = empty.first(SecretKind::BasicHeader).unwrap_err();
        assert!(why.contains("command is empty"), "{why}");
    }

    /// The paused clock jumps to the time-out while the program still runs.
    #[tokio::test(start_paused = true)]
    async fn a_command_that_does_not_end_is_given_up_after_half_a_minute() {
        let why = shell("exec sleep 600").read(SecretKind::ClientSecret).await;
        let why = why.unwrap_err();
        assert!(why.contains("did not end within 30 s"), "{why}");
    }

    #[tokio::test]
    async fn rotated_secret_is_read_with_its_current_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let command = shell(&format!("cat {}", path.display()));
        for text in ["one", "two"] {
            std::fs::write(&path, text).unwrap();
            for source in [&SecretSource::File(path.clone()), &command] {
                let secret = source.read(SecretKind::ClientSecret).await.unwrap();
                assert_eq!(secret.expose_secret(), text);
            }
        }
    }
}
