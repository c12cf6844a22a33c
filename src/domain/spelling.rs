//! Finds the known name that a mistyped name may mean.

/// Returns the known name that is nearest to a mistyped one; `None` if no name is near enough.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let within = 2.max(name.len() / 3);
    let near = known.into_iter().filter_map(|candidate| {
        let distance = strsim::levenshtein(name, candidate);
        (distance <= within).then_some((distance, candidate))
    });
    let nearest = near.min_by_key(|(distance, _)| *distance);
    nearest.map(|(_, candidate)| candidate)
}
