//! The question before a write.

use super::err;
use std::io::{BufRead, IsTerminal, Write};

/// There is no user to ask.
#[derive(Debug, thiserror::Error)]
#[error("there is no terminal to ask at")]
pub struct NoTerminal;

/// Whether there is a terminal to ask at.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks; only `yes` in full is a yes, and Enter is no.
pub fn confirm(question: &str) -> Result<bool, NoTerminal> {
    if !can_ask() {
        return Err(NoTerminal);
    }
    err(question);
    // Standard error is not kept locked while the answer is waited for: a signal meanwhile prints how the run ends.
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
        // The input has ended: what is said next begins a line of its own.
        let _ = writeln!(stderr);
    }
    Ok(answer.trim() == "yes")
}

/// Asks on a thread of its own, so that the caller can listen for signals meanwhile. Without an answer it is a no.
pub async fn ask(question: String) -> bool {
    let (answer, answered) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Where the caller does not wait any more, the answer is of no use.
        let _ = answer.send(confirm(&question).unwrap_or(false));
    });
    answered.await.unwrap_or(false)
}
