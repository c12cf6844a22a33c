//! A long result: through a pager on a terminal, otherwise straight to standard output.

use super::stream::{erase, for_out, remember};
use std::io::{IsTerminal, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// The options of `less`, unless the environment sets some: it ends by itself if everything fits on the screen, keeps
/// colours, and leaves on the screen what it showed.
const LESS: &str = "FRX";

/// Whether a pager is on the screen.
static IS_OPEN: AtomicBool = AtomicBool::new(false);

/// Returns whether a pager is on the screen: Ctrl-C is then meant for the pager.
pub fn is_paged() -> bool {
    IS_OPEN.load(Ordering::Relaxed)
}

/// Writes a result, and waits for the pager when it is dropped. A failed write does not end the command.
#[derive(Debug)]
pub struct Page {
    pager: Option<Child>,
    /// Whether the reader has left the pager.
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

    /// Writes another line.
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

    /// Returns whether the reader has left the pager.
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

/// Starts the pager. `None`: there is no pager, and the terminal scrolls.
fn start() -> Option<Child> {
    let named = std::env::var("PAGER").unwrap_or_else(|_| "less".to_owned());
    if named.trim().is_empty() || named == "cat" {
        return None;
    }
    let mut shell = Command::new("sh");
    // If there is no such program, `cat` shows the text.
    shell.args(["-c", &format!("{named} || exec cat")]);
    shell.stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        shell.env("LESS", LESS);
    }
    // The variables of idshift may hold a token, so they are removed. The others are kept: a pager needs some of them.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("IDSHIFT_") {
            shell.env_remove(name);
        }
    }
    shell.spawn().ok()
}
