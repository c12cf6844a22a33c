//! A long result: through a pager on a terminal, else straight to standard output.

use super::stream::{erase, for_out, remember};
use std::io::{IsTerminal, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// What `less` does unless the environment says otherwise: it ends by itself if everything fits on the screen, keeps
/// colours, and leaves what it showed.
const LESS: &str = "FRX";

/// Whether a pager is on the screen.
static IS_OPEN: AtomicBool = AtomicBool::new(false);

/// Whether a pager is on the screen: Ctrl-C is for it then.
pub fn is_paged() -> bool {
    IS_OPEN.load(Ordering::Relaxed)
}

/// Takes the result, and waits for the pager when it is dropped. What cannot be written ends nothing.
#[derive(Debug)]
pub struct Page {
    pager: Option<Child>,
    /// Whether the reader has seen enough.
    is_closed: bool,
}

impl Page {
    /// Starts the pager of `PAGER`, or `less`, if standard output is a terminal.
    pub fn open() -> Self {
        let pager = if std::io::stdout().is_terminal() {
            erase();
            let pager = start();
            IS_OPEN.store(pager.is_some(), Ordering::Relaxed);
            pager
        } else {
            None
        };
        Self {
            pager,
            is_closed: false,
        }
    }

    /// Another line.
    pub fn line(&mut self, text: &str) {
        if self.is_closed {
            return;
        }
        let Some(stdin) = self.pager.as_mut().and_then(|pager| pager.stdin.as_mut()) else {
            super::out(text);
            return;
        };
        self.is_closed = writeln!(stdin, "{}", for_out(text)).is_err();
    }

    /// Whether the reader has left the pager.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if let Some(mut pager) = self.pager.take() {
            drop(pager.stdin.take());
            remember(pager.wait().map(drop));
            IS_OPEN.store(false, Ordering::Relaxed);
        }
    }
}

/// `None`: there is no pager, and the terminal scrolls.
fn start() -> Option<Child> {
    let named = std::env::var("PAGER").unwrap_or_else(|_| "less".to_owned());
    if named.trim().is_empty() || named == "cat" {
        return None;
    }
    let mut shell = Command::new("sh");
    // Where there is no such program, what it would have shown is shown all the same.
    shell.args(["-c", &format!("{named} || exec cat")]);
    shell.stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        shell.env("LESS", LESS);
    }
    // Its own variables may hold a token. Others are handed on: a pager needs the terminal's and its own.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("IDSHIFT_") {
            shell.env_remove(name);
        }
    }
    shell.spawn().ok()
}
