//! Standard output and standard error; a closed pipe is never an error.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// 0: as the terminal has it; 1: never; 2: always.
static COLOUR: AtomicU8 = AtomicU8::new(0);

/// Says whether to use colours; `None`: as the terminal has it.
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

/// Why something of the result was lost, if it was.
static LOST: OnceLock<std::io::Error> = OnceLock::new();

/// A closed pipe is no error: whoever read has read enough. A full disk is.
fn remember(written: std::io::Result<()>) {
    if let Err(why) = written
        && why.kind() != std::io::ErrorKind::BrokenPipe
    {
        // The first one tells enough.
        let _ = LOST.set(why);
    }
}

/// Why something of the result was lost on its way to standard output, if it was.
pub fn lost() -> Option<&'static std::io::Error> {
    remember(std::io::stdout().lock().flush());
    LOST.get()
}

/// Something else has printed the result.
pub fn printed(written: std::io::Result<()>) {
    remember(written);
}

/// A line of the result.
pub fn out(text: &str) {
    let mut stream =
        anstream::AutoStream::new(std::io::stdout().lock(), resolved(&std::io::stdout()));
    remember(writeln!(stream, "{text}"));
}

/// Bytes of the result, as they are.
pub fn out_bytes(bytes: &[u8]) {
    let mut stream = std::io::stdout().lock();
    remember(stream.write_all(bytes).and_then(|()| stream.flush()));
}

/// A line for whoever watches.
pub fn err(text: &str) {
    let mut stream =
        anstream::AutoStream::new(std::io::stderr().lock(), resolved(&std::io::stderr()));
    // There is nowhere left to say that this failed.
    let _ = writeln!(stream, "{text}");
}

fn resolved(stream: &impl anstream::stream::RawStream) -> anstream::ColorChoice {
    match choice() {
        anstream::ColorChoice::Auto => anstream::AutoStream::choice(stream),
        said => said,
    }
}
