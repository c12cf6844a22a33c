//! The question before a write.

use std::io::{BufRead, IsTerminal, Write};

/// There is nobody to ask.
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
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{question}\nType yes to go on: ")
        .and_then(|()| stderr.flush())
        .map_err(|_| NoTerminal)?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|_| NoTerminal)?;
    Ok(answer.trim() == "yes")
}
