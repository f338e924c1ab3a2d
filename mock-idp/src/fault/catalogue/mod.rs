//! The catalogue of faults: what each breaks, where that is written, and what a correct client does.
//!
//! Numbers are for ever; `docs/faults.md` is made from here, and a test compares it.

mod connection;
mod documents;
mod http;
mod keys;
mod protocol;
mod tokens;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::FaultKind;
use crate::endpoint::Endpoint;

/// One fault.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Entry {
    /// Its number.
    pub number: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Which kind it is; several entries may be presets of one kind.
    pub kind: &'static str,
    /// What is given to the kind, as JSON.
    #[serde(skip)]
    pub preset: Option<&'static str>,
    /// Where it usually is.
    pub endpoint: Endpoint,
    /// Where it is written what would be right.
    pub clause: &'static str,
    /// What it does.
    pub effect: &'static str,
    /// What a correct client does.
    pub correct: &'static str,
    /// An example of `with`, as JSON.
    pub example: Option<&'static str>,
}

/// All faults, in order.
pub static ALL: std::sync::LazyLock<Vec<&'static Entry>> = std::sync::LazyLock::new(|| {
    documents::ENTRIES
        .iter()
        .chain(&http::ENTRIES)
        .chain(&connection::ENTRIES)
        .chain(&protocol::ENTRIES)
        .chain(&tokens::ENTRIES)
        .chain(&keys::ENTRIES)
        .collect()
});

/// The fault of a number or name.
pub fn find(number_or_name: &str) -> Option<&'static Entry> {
    ALL.iter().find(|e| e.number.eq_ignore_ascii_case(number_or_name) || e.name == number_or_name).copied()
}

/// The name of a fault that is set: the preset's if one fits, else the kind's.
pub(crate) fn name_of(kind: &FaultKind) -> String {
    let value = serde_json::to_value(kind).unwrap_or_default();
    let (tag, with) = match &value {
        Value::String(tag) => (tag.as_str(), Value::Null),
        Value::Object(members) => {
            members.iter().next().map_or(("", Value::Null), |(tag, with)| (tag.as_str(), with.clone()))
        }
        _ => ("", Value::Null),
    };
    let of_kind = || ALL.iter().filter(|e| e.kind == tag);
    let fits = |e: &&&Entry| match e.preset_value() {
        Some(Value::Object(preset)) => preset.iter().all(|(name, value)| with.get(name) == Some(value)),
        Some(preset) => preset == with,
        None => false,
    };
    let found = of_kind().find(fits).or_else(|| of_kind().find(|e| e.preset.is_none()));
    found.map_or_else(|| tag.to_owned(), |e| e.name.to_owned())
}

impl Entry {
    /// The preset as a value.
    pub(crate) fn preset_value(&self) -> Option<Value> {
        self.preset.map(|json| serde_json::from_str(json).expect("presets are JSON"))
    }

    /// The example of `with` as a value.
    pub(crate) fn example_value(&self) -> Option<Value> {
        self.example.map(|json| serde_json::from_str(json).expect("examples are JSON"))
    }

    /// A whole example request.
    pub(crate) fn example_with(&self) -> Value {
        let mut request = json!({ "fault": self.name });
        if let Some(with) = self.example_value() {
            request["with"] = with;
        }
        request
    }
}

/// The catalogue as a page for people.
pub fn as_markdown() -> String {
    use std::fmt::Write as _;
    let mut text = String::from(
        "# Faults\n\nMade from the catalogue in the code (`mock-idp faults --markdown`); a test compares it. How to set a fault, and \
         how to\nscope it, is in [the README](../README.md).\n",
    );
    let families = [
        ('D', "Documents"),
        ('H', "HTTP"),
        ('C', "Connection and TLS"),
        ('P', "Protocol"),
        ('T', "Tokens"),
        ('K', "Keys"),
    ];
    for (letter, title) in families {
        let _ = write!(text, "\n## {title}\n");
        for entry in ALL.iter().filter(|e| e.number.starts_with(letter)) {
            let _ = write!(
                text,
                "\n### {} `{}`\n\n{}\n\n- **Clause**: {}\n- **A correct client**: {}\n- **Usually at**: `{}`\n- **Example**: `{}`\n",
                entry.number,
                entry.name,
                entry.effect,
                entry.clause,
                entry.correct,
                entry.endpoint.as_str(),
                entry.example_with(),
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique() {
        let mut seen = std::collections::HashSet::new();
        for entry in ALL.iter() {
            assert!(seen.insert(entry.number) && seen.insert(entry.name), "{}", entry.name);
        }
    }

    #[test]
    fn a_preset_is_recognised_by_its_parameters() {
        let kind = FaultKind::Stall(crate::fault::Stall::SynBlackhole);
        assert_eq!(name_of(&kind), "syn-blackhole");
        let other = FaultKind::OauthError { error: "teapot".to_owned(), description: None, status: None };
        assert_eq!(name_of(&other), "oauth-error");
    }
}
