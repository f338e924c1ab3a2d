//! What a clause may name: kinds of events and their fields.

use std::collections::BTreeMap;

use crate::document::schema_value;
use crate::event::Fact;

/// Kinds and their fields, derived from the schema: what a clause may name.
#[derive(Debug, Clone)]
pub struct Vocabulary(BTreeMap<String, Vec<String>>);

impl Vocabulary {
    /// Of the events that this version records.
    pub fn new() -> Self {
        let schema = schema_value::<Fact>();
        let mut kinds = BTreeMap::new();
        for variant in schema["oneOf"].as_array().into_iter().flatten() {
            let Some(properties) = variant["properties"].as_object() else { continue };
            let Some(kind) = properties["kind"]["const"].as_str() else { continue };
            let fields = properties.keys().filter(|k| *k != "kind").cloned().collect();
            kinds.insert(kind.to_owned(), fields);
        }
        Self(kinds)
    }

    /// All kinds.
    pub fn kinds(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.keys().map(String::as_str)
    }

    /// The fields of a kind.
    pub fn fields(&self, kind: &str) -> Option<&[String]> {
        self.0.get(kind).map(Vec::as_slice)
    }
}

impl Default for Vocabulary {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vocabulary_holds_every_kind_with_its_fields() {
        let words = Vocabulary::new();
        assert_eq!(words.kinds().count(), 23);
        let rpc = words.fields("server.rpc").expect("server.rpc is a kind");
        for field in ["session", "token_state", "remaining_ms", "user_values"] {
            assert!(rpc.iter().any(|f| f == field), "{field} in {rpc:?}");
        }
    }
}
