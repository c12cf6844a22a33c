//! The question before a write.

use super::err;
use std::io::{BufRead, IsTerminal, Write};

/// There is no user to ask.
#[derive(Debug, thiserror::Error)]
#[error("there is no terminal for the question")]
pub struct NoTerminal;

/// Returns whether there is a terminal to ask at.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks the question. Only the full word `yes` means yes; Enter means no.
pub fn confirm(question: &str) -> Result<bool, NoTerminal> {
    if !can_ask() {
        return Err(NoTerminal);
    }
    err(question);
    // Standard error is not locked while the answer is waited for: after a signal, the end of the run is printed meanwhile.
    let mut stderr = std::io::stderr();
    write!(stderr, "Type yes to continue: ")
        .and_then(|()| stderr.flush())
        .map_err(|_| NoTerminal)?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|_| NoTerminal)?;
    if !answer.ends_with('\n') {
        // The input has ended without a line break, so the next message must begin on a line of its own.
        let _ = writeln!(stderr);
    }
    Ok(answer.trim() == "yes")
}

/// Asks on a separate thread, so that the caller can listen for signals meanwhile. No answer means no.
pub async fn ask(question: String) -> bool {
    let (answer, answered) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // If the caller does not wait any more, the answer is not needed.
        let _ = answer.send(confirm(&question).unwrap_or(false));
    });
    answered.await.unwrap_or(false)
}
