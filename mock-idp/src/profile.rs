//! How real providers behave, as data: `fixtures/providers/*.toml`, each quirk with a name and a source.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::did_you_mean;
use crate::file::laid_over;

/// The profiles that are built in.
const FILES: [(&str, &str); 10] = [
    ("auth0", include_str!("../../fixtures/providers/auth0.toml")),
    ("cognito", include_str!("../../fixtures/providers/cognito.toml")),
    ("entra-v1", include_str!("../../fixtures/providers/entra-v1.toml")),
    ("entra-v2", include_str!("../../fixtures/providers/entra-v2.toml")),
    ("github-like", include_str!("../../fixtures/providers/github-like.toml")),
    ("google", include_str!("../../fixtures/providers/google.toml")),
    ("keycloak", include_str!("../../fixtures/providers/keycloak.toml")),
    ("okta-custom", include_str!("../../fixtures/providers/okta-custom.toml")),
    ("okta-org", include_str!("../../fixtures/providers/okta-org.toml")),
    ("ping", include_str!("../../fixtures/providers/ping.toml")),
];

/// A profile.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The provider.
    pub title: String,
    /// The path of an issuer that a client of this provider would be given.
    pub example_issuer: String,
    /// What is different from the plain issuer.
    pub quirk: BTreeMap<String, Quirk>,
}

/// One thing that a provider does in its own way.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quirk {
    /// What it does.
    pub says: String,
    /// Where that is written.
    pub source: String,
    /// The settings that make it so.
    pub set: Map<String, Value>,
}

/// Why a profile is none.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// No such profile.
    #[error("there is no profile `{name}`{hint} (known: {known})")]
    Unknown {
        /// What was written.
        name: String,
        /// A guess.
        hint: String,
        /// All of them.
        known: String,
    },
    /// No such quirk.
    #[error("profile `{profile}` has no quirk `{name}`{hint} (it has: {known})")]
    Quirk {
        /// The profile.
        profile: String,
        /// What was written.
        name: String,
        /// A guess.
        hint: String,
        /// All of them.
        known: String,
    },
}

/// Names of all profiles.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// A profile.
///
/// # Errors
/// If there is none of that name.
pub fn find(name: &str) -> Result<Profile, ProfileError> {
    let text = FILES.iter().find(|(n, _)| *n == name).map(|(_, text)| *text).ok_or_else(|| {
        ProfileError::Unknown {
            name: name.to_owned(),
            hint: did_you_mean::among(name, names()),
            known: names().collect::<Vec<_>>().join(", "),
        }
    })?;
    Ok(toml::from_str(text).expect("a test reads every profile"))
}

/// The settings of a profile without some of its quirks.
pub(crate) fn settings(name: &str, without: &[String]) -> Result<Value, ProfileError> {
    let profile = find(name)?;
    for quirk in without {
        if !profile.quirk.contains_key(quirk) {
            let known = || profile.quirk.keys().map(String::as_str);
            return Err(ProfileError::Quirk {
                profile: name.to_owned(),
                name: quirk.clone(),
                hint: did_you_mean::among(quirk, known()),
                known: known().collect::<Vec<_>>().join(", "),
            });
        }
    }
    let mut all = Value::Object(Map::new());
    for (_, quirk) in profile.quirk.iter().filter(|(name, _)| !without.contains(name)) {
        laid_over(&mut all, &Value::Object(quirk.set.clone()));
    }
    Ok(all)
}

/// The profiles as a page for people.
pub fn as_markdown() -> String {
    use std::fmt::Write as _;
    let mut text = String::from(
        "# Provider profiles\n\nMade from `fixtures/providers/*.toml` (`mock-idp profiles --markdown`); a test compares it. A quirk is \
         switched off with\n`--without NAME`.\n",
    );
    for name in names() {
        let profile = find(name).expect("its name was just listed");
        let _ = write!(
            text,
            "\n## `{name}`: {}\n\nAn issuer: `http://localhost:8080{}`\n\n",
            profile.title, profile.example_issuer
        );
        text.push_str("| quirk | what it does | source |\n|---|---|---|\n");
        for (quirk, of) in &profile.quirk {
            let _ = writeln!(text, "| `{quirk}` | {} | <{}> |", of.says, of.source);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_read_and_its_quirks_make_an_issuer() {
        for name in names() {
            let mut config = crate::Config::default();
            let settings = serde_json::json!({ "profile": name });
            crate::file::applied("/", &settings, &mut config).unwrap_or_else(|e| panic!("{name}: {e}"));
            for (quirk, of) in find(name).expect("a profile").quirk {
                assert!(of.source.starts_with("https://"), "{name} {quirk}");
            }
        }
    }

    #[test]
    fn a_misspelt_profile_or_quirk_is_answered_with_a_guess() {
        let error = find("auth00").expect_err("no such profile").to_string();
        assert!(error.contains("did you mean `auth0`"), "{error}");
        let error = settings("auth0", &["trailing-slsh".to_owned()]).expect_err("no such quirk").to_string();
        assert!(error.contains("did you mean `trailing-slash`"), "{error}");
    }
}
