//! Where in a file something is wrong, and what may have been meant.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{did_you_mean, redaction};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `.toml`.
    Toml,
    /// `.yaml`, `.yml`.
    Yaml,
    /// `.json`.
    Json,
}

impl Format {
    /// The format that a name tells; TOML if it tells none.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|e| e.to_str()) {
            Some("yaml" | "yml") => Self::Yaml,
            Some("json") => Self::Json,
            _ => Self::Toml,
        }
    }
}

/// Parses a text; the error has line and column, and a guess.
pub(crate) fn parsed<T: DeserializeOwned>(text: &str, format: Format) -> Result<T, String> {
    let outcome = match format {
        Format::Toml => toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned()),
        Format::Yaml => serde_saphyr::from_str(text).map_err(|e| match e.location() {
            Some(_) => e.to_string(),
            None => located(text, &e.to_string()),
        }),
        Format::Json => serde_json::from_str(text).map_err(|e| e.to_string()),
    };
    outcome.map_err(|message| redaction::without_values(text, &with_guess(&message)))
}

/// The YAML parser does not say where an unknown key is: at the first line that begins with it.
fn located(text: &str, message: &str) -> String {
    let word = message.split_once("unknown field `").and_then(|(_, rest)| rest.split('`').next());
    let is_there = |line: &str, word: &str| {
        let key = line.trim_start_matches([' ', '-']).split(':').next().unwrap_or_default();
        key.trim_matches(['"', '\'', ' ']) == word
    };
    match word.and_then(|w| text.lines().position(|line| is_there(line, w))) {
        Some(at) => format!("line {}: {message}", at + 1),
        None => message.to_owned(),
    }
}

/// Whether a line has a word as a key or a value of its own.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '*');
    !word.is_empty()
        && !line.trim_start().starts_with('#')
        && line
            .match_indices(word)
            .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

/// Adds a guess to serde's ``unknown field `x`, expected one of `a`, `b` ``.
pub(crate) fn with_guess(message: &str) -> String {
    let Some(at) = message.find("unknown field `").or_else(|| message.find("unknown variant `")) else {
        return message.to_owned();
    };
    let mut words = message[at..].split('`').skip(1).step_by(2);
    let Some(word) = words.next() else { return message.to_owned() };
    let guess = did_you_mean::among(word, words);
    format!("{message}{guess}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::File;

    fn check(text: &str, format: Format, expected: &[&str]) {
        let error = File::parse("idp.conf", text, format).expect_err("it is wrong").to_string();
        for part in expected {
            assert!(error.contains(part), "{error}\nlacks {part}");
        }
    }

    #[test]
    fn a_misspelt_key_is_shown_with_its_line_and_a_guess() {
        check(
            "port = 1\n[issuer]\nprofil = \"auth0\"\n",
            Format::Toml,
            &["idp.conf", "line 3", "did you mean `profile`"],
        );
        check("port: 1\nissuer:\n  profil: auth0\n", Format::Yaml, &["line 3", "did you mean `profile`"]);
        check("{\"port\": 1,\n \"isuer\": {}}", Format::Json, &["line 2", "did you mean `issuer`"]);
    }

    #[test]
    fn a_wrong_value_is_shown_with_its_line() {
        check("[issuer.token]\nlifetime = \"soon\"\n", Format::Toml, &["line 2", "`soon` is no duration"]);
        check("[issuer.token]\nalg = \"RS255\"\n", Format::Toml, &["line 2", "did you mean `RS256`"]);
    }
}
