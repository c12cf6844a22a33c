//! Standard output and standard error; a closed pipe is never an error.
//!
//! A progress display ([`draw`]) is below all other output: every other output erases the display first, and the
//! display draws itself again.

use super::wrap::wrapped;
use super::{Tone, visible};
use rustix::termios::Winsize;
use std::borrow::Cow;
use std::io::{IsTerminal, StderrLock, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Moves to the first column, and erases everything from there to the end of the screen.
const ERASE: &str = "\r\u{1b}[J";

/// Whether a progress display is on the screen, with the cursor at its beginning.
static IS_DRAWN: AtomicBool = AtomicBool::new(false);

/// 0: if the terminal has them; 1: never; 2: always.
static COLOUR: AtomicU8 = AtomicU8::new(0);

/// Sets whether colours are used; `None`: if the terminal has them.
pub fn set_colour(colour: Option<bool>) {
    let choice = match colour {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    };
    COLOUR.store(choice, Ordering::Relaxed);
}

fn choice() -> anstream::ColorChoice {
    match COLOUR.load(Ordering::Relaxed) {
        1 => anstream::ColorChoice::Never,
        2 => anstream::ColorChoice::Always,
        _ => anstream::ColorChoice::Auto,
    }
}

/// Why a part of the result was lost, if it was.
static LOST: OnceLock<std::io::Error> = OnceLock::new();

/// Remembers why output was lost. A closed pipe is no error: its reader has read enough. A full disk is an error.
pub(super) fn remember(written: std::io::Result<()>) {
    if let Err(why) = written
        && why.kind() != std::io::ErrorKind::BrokenPipe
    {
        // The first error is enough.
        let _ = LOST.set(why);
    }
}

/// Returns why a part of the result was lost on its way to standard output, if it was.
pub fn lost() -> Option<&'static std::io::Error> {
    remember(std::io::stdout().lock().flush());
    LOST.get()
}

/// Notes whether other code has printed the result without an error.
pub fn printed(written: std::io::Result<()>) {
    remember(written);
}

/// Returns the size of this terminal; `None`: this is no terminal.
fn size(stream: &(impl AsFd + IsTerminal)) -> Option<Winsize> {
    let size = rustix::termios::tcgetwinsize(stream.as_fd()).ok();
    size.filter(|_| stream.is_terminal())
}

/// Returns the width of this terminal in columns; `None`: this is no terminal, or its width is unknown.
pub(super) fn columns(stream: &(impl AsFd + IsTerminal)) -> Option<usize> {
    let columns = size(stream).map(|size| usize::from(size.ws_col));
    columns.filter(|columns| *columns > 0)
}

/// Returns the width in columns of the terminal that shows the result; `None`: the result does not go to a terminal.
pub fn out_columns() -> Option<usize> {
    columns(&std::io::stdout())
}

/// Returns the height in rows of the terminal that shows the result; `None`: there is none, or its height is unknown.
pub(super) fn out_rows() -> Option<usize> {
    let rows = size(&std::io::stdout()).map(|size| usize::from(size.ws_row));
    rows.filter(|rows| *rows > 0)
}

/// Returns the text as it is sent to this stream: wrapped between words if the stream is a terminal.
fn for_stream<'a>(text: &'a str, stream: &(impl AsFd + IsTerminal)) -> Cow<'a, str> {
    match columns(stream) {
        Some(columns) => Cow::Owned(wrapped(text, columns)),
        None => Cow::Borrowed(text),
    }
}

/// Prints a line of the result for a person; wraps it on a terminal.
pub fn out(text: &str) {
    out_as_is(&for_stream(text, &std::io::stdout()));
}

/// Prints a line of the result that a program reads or a person copies as a whole; never wraps it.
pub fn out_as_is(text: &str) {
    if std::io::stdout().is_terminal() {
        erase();
    }
    let mut stream =
        anstream::AutoStream::new(std::io::stdout().lock(), resolved(&std::io::stdout()));
    remember(writeln!(stream, "{text}"));
}

/// Returns the text as other code is to send it to standard output: without colours if none are wanted.
pub(super) fn for_out(text: &str) -> String {
    let text = for_stream(text, &std::io::stdout());
    match resolved(&std::io::stdout()) {
        anstream::ColorChoice::Never => anstream::adapter::strip_str(&text).to_string(),
        _ => text.into_owned(),
    }
}

/// Standard output for a result that is too long for one text. A failed write is remembered, and does not end the command.
#[derive(Debug)]
pub struct OutWriter(std::io::BufWriter<std::io::Stdout>);

impl OutWriter {
    /// Standard output.
    pub fn open() -> Self {
        Self(std::io::BufWriter::new(std::io::stdout()))
    }
}

impl Write for OutWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        remember(self.0.write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        remember(self.0.flush());
        Ok(())
    }
}

/// Prints bytes of the result, as they are.
pub fn out_bytes(bytes: &[u8]) {
    let mut stream = std::io::stdout().lock();
    remember(stream.write_all(bytes).and_then(|()| stream.flush()));
}

/// Prints a line for the user, on standard error.
pub fn err(text: &str) {
    err_as_is(&for_stream(text, &std::io::stderr()));
}

/// Prints a line for a program on standard error; never wraps it.
pub(super) fn err_as_is(text: &str) {
    let mut stderr = std::io::stderr().lock();
    erase_from(&mut stderr);
    let choice = resolved(&std::io::stderr());
    // If this fails, there is nowhere left to report it.
    let _ = writeln!(anstream::AutoStream::new(stderr, choice), "{text}");
}

/// Prints the error that ends a command.
pub fn error(text: &str) {
    labelled(Tone::Bad, "error", text);
}

/// Prints what may be wrong.
pub fn warning(text: &str) {
    labelled(Tone::Warning, "warning", text);
}

/// Prints what is worth knowing.
pub fn note(text: &str) {
    labelled(Tone::Note, "note", text);
}

/// Prints what to do about an error.
pub fn help(text: &str) {
    labelled(Tone::Help, "help", text);
}

fn labelled(tone: Tone, label: &str, text: &str) {
    let label = tone.paint(&format!("{label}:"));
    err(&format!("{label} {}", visible(text)));
}

/// Draws these lines below all other output, in place of what was drawn before. They must fit the terminal.
///
/// The cursor stays at the beginning of the first line. So erasing begins there, even if the terminal has moved or
/// wrapped the lines since, as terminals do when their width changes.
pub(super) fn draw(lines: &[String]) {
    let mut frame = format!("{ERASE}\u{1b}[?7l");
    frame.push_str(&lines.join("\r\n"));
    // The terminal must not wrap lines: if it has just become narrower, it cuts them.
    frame.push_str("\r\u{1b}[?7h");
    if lines.len() > 1 {
        frame.push_str(&format!("\u{1b}[{}A", lines.len() - 1));
    }
    let mut stderr = std::io::stderr().lock();
    // Written in one piece, so that no half of it is seen. If this fails, there is nowhere left to report it.
    let _ = stderr.write_all(frame.as_bytes());
    let _ = stderr.flush();
    IS_DRAWN.store(true, Ordering::Relaxed);
}

/// Returns whether what was drawn last is still on the screen.
pub(super) fn is_drawn() -> bool {
    IS_DRAWN.load(Ordering::Relaxed)
}

/// Erases what was drawn, if anything is.
pub(super) fn erase() {
    erase_from(&mut std::io::stderr().lock());
}

fn erase_from(stderr: &mut StderrLock<'_>) {
    if IS_DRAWN.swap(false, Ordering::Relaxed) {
        let _ = stderr.write_all(ERASE.as_bytes());
    }
}

/// Returns whether standard error shows colours.
pub(super) fn err_has_colour() -> bool {
    resolved(&std::io::stderr()) != anstream::ColorChoice::Never
}

fn resolved(stream: &impl anstream::stream::RawStream) -> anstream::ColorChoice {
    match choice() {
        anstream::ColorChoice::Auto => anstream::AutoStream::choice(stream),
        said => said,
    }
}
