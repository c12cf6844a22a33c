//! Sizes for a person.

/// Returns the size in words: `1.5 MiB`.
pub fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
