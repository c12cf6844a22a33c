//! The command line program; everything it does is in the library.
//!
//! It is built for Linux and macOS only. The library is empty elsewhere, so that this message is the only error.

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
compile_error!(
    "idshift is for Linux and macOS: it depends on their file locks and file permissions. \
     On Windows, build and run it in WSL 2."
);

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn main() {}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn main() -> std::process::ExitCode {
    idshift::cli::main().into()
}
