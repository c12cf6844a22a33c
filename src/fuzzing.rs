//! What random bytes are thrown at, and what must hold whatever they are: the file's reader, the plan, and each
//! system's answers.
//!
//! `cargo fuzz run reader` (in `fuzz/`) goes on for as long as it may; `cargo test fuzzing` throws the kept corpus and
//! some thousand mutations of it on stable Rust.

mod answers;
mod plan;
mod reader;
#[cfg(test)]
mod tests;

pub use answers::answers;
pub use plan::plan;
pub use reader::reader;
