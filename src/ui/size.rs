//! Sizes in readable units.

/// Returns the size as text: `1.5 MiB`.
pub fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
