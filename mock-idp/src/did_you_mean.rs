//! A guess at what somebody meant.

/// ` (did you mean …?)` if a known word is near enough; empty otherwise.
pub fn among<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> String {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(nearness, _)| *nearness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| format!(", did you mean `{candidate}`?"))
        .unwrap_or_default()
}
