//! The raw options of `open`: names, types, and what counts as unset.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::behaviour::{Behaviour, Defect};
use crate::failure::Failure;
use crate::named::UnknownName;

/// Every option but `metadata.<name>`.
const KNOWN: &[&str] = &[
    "uri",
    "tls.ca",
    "auth",
    "oauth.issuer",
    "oauth.token_url",
    "oauth.client_id",
    "oauth.client_secret",
    "oauth.scope",
    "oauth.audience",
    "username",
    "password",
    "token",
    "attribution",
];

/// Options whose blanks at either end may be meant.
const VERBATIM: &[&str] = &["oauth.client_secret", "password"];

/// The options that are set; blank ones are not.
#[derive(Debug)]
pub(crate) struct Options(BTreeMap<String, String>);

impl Options {
    /// Checks names and types.
    pub(crate) fn read(native: Map<String, Value>, behaviour: Behaviour) -> Result<Self, Failure> {
        let keep_blank = matches!(
            behaviour.defect,
            Some(Defect::IgnoresBlank | Defect::ChecksLate | Defect::KnowsIssuerAlready)
        );
        let mut options = BTreeMap::new();
        for (name, value) in native {
            if !KNOWN.contains(&name.as_str()) && !name.starts_with("metadata.") {
                let unknown = UnknownName::new("option", &name, KNOWN.iter().copied());
                return Err(Failure::configuration(unknown.to_string()));
            }
            let text = match value {
                Value::String(text) => text,
                Value::Null => continue,
                _ if behaviour.has(Defect::WrongTypesIgnored) => continue,
                Value::Bool(_) => return Err(wrong_type(&name, "a boolean")),
                Value::Number(_) => return Err(wrong_type(&name, "a number")),
                Value::Array(_) => return Err(wrong_type(&name, "a list")),
                Value::Object(_) => return Err(wrong_type(&name, "an object")),
            };
            if text.trim().is_empty() && !keep_blank {
                continue;
            }
            let verbatim =
                keep_blank || behaviour.has(Defect::KeepsWhiteSpace) || VERBATIM.contains(&name.as_str());
            let text = if verbatim { text } else { text.trim().to_owned() };
            options.insert(name, text);
        }
        Ok(Self(options))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The first that is set, with its name.
    pub(crate) fn first<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        names.iter().copied().find(|name| self.has(name))
    }

    /// The values of all of `names`, or an error that names each missing one.
    pub(crate) fn all<const N: usize>(&self, what: &str, names: [&str; N]) -> Result<[&str; N], Failure> {
        let missing: Vec<&str> = names.iter().copied().filter(|name| !self.has(name)).collect();
        if missing.is_empty() {
            return Ok(names.map(|name| self.get(name).expect("none is missing")));
        }
        Err(incomplete(what, &missing))
    }

    /// The custom headers: name after `metadata.`, value.
    pub(crate) fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, value)| Some((name.strip_prefix("metadata.")?, value.as_str())))
    }
}

/// The error of a configuration that lacks `missing`.
pub(crate) fn incomplete(what: &str, missing: &[&str]) -> Failure {
    let names: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
    Failure::configuration(format!("{what} configuration is incomplete: missing {}", names.join(", ")))
}

fn wrong_type(name: &str, found: &str) -> Failure {
    Failure::configuration(format!("`{name}` must be text, not {found}"))
}
