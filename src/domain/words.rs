//! The bytes of a text, eight at a time.

/// Returns the bytes as little-endian 64-bit integers. The last one is padded with zero bytes.
pub fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let (whole, rest) = bytes.as_chunks::<8>();
    let rest = match bytes.last_chunk::<8>() {
        _ if rest.is_empty() => None,
        // Takes the last eight bytes, and shifts out those that the whole words already have; so no copy is made.
        Some(last) => Some(u64::from_le_bytes(*last) >> (64 - 8 * rest.len())),
        None => Some(
            rest.iter()
                .rev()
                .fold(0, |word, byte| (word << 8) | u64::from(*byte)),
        ),
    };
    whole
        .iter()
        .map(|word| u64::from_le_bytes(*word))
        .chain(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_in_exactly_one_word_in_order() {
        for length in 0..40_u8 {
            let bytes: Vec<u8> = (1..=length).collect();
            let mut again: Vec<u8> = words(&bytes).flat_map(u64::to_le_bytes).collect();
            assert!(again.len() < bytes.len() + 8);
            again.truncate(bytes.len());
            assert_eq!(again, bytes);
            assert!(words(&bytes).count() * 8 >= bytes.len());
        }
    }
}
